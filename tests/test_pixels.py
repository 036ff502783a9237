"""Any image becomes correct RGB or grey pixels, or is refused: never a wrong picture."""

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

import npeg
from npeg.errors import InputError, LimitError, NpegError
from npeg.pixels import to_pixels

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)

# EXIF: the visual side of the stored row 0 and of the stored column 0, undone from upright pixels
STORED = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.swapaxes(0, 1),  # left, top
    6: lambda a: a[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda a: a[::-1].swapaxes(0, 1),  # left, bottom
}


def reopened(image: Image.Image, image_format: str = "PNG", **options: Any) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return Image.open(buffer)


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a version 2 ICC profile for a display, with these tags."""
    white = (0.9642, 1.0, 0.8249)  # D50
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(79),
            b"cprt": b"text" + bytes(4) + b"x\0", b"wtpt": xyz(*white), **tags}  # fmt: skip
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3I", *(round(v * 65536) for v in white))
    return head.ljust(128, b"\0") + table + body


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


P3 = [(0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)]
SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)]
WIDE = icc(
    b"RGB ",
    {b"rgb"[i : i + 1] + b"XYZ": xyz(*P3[i]) for i in range(3)}
    | {b"rgb"[i : i + 1] + b"TRC": curve(2.2) for i in range(3)},
)
LINEAR_GREY = icc(b"GRAY", {b"kTRC": curve(1.0)})


def srgb_bytes(linear: np.ndarray) -> np.ndarray:
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * curved)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("upright", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_every_exif_orientation_is_applied(orientation, upright, image_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    np.testing.assert_array_equal(to_pixels(reopened(stored, image_format, exif=exif)), upright)


def test_a_damaged_exif_block_does_not_refuse_a_good_picture():
    image = reopened(Image.fromarray(RGB), exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff")
    with pytest.warns(UserWarning, match="EXIF is damaged and not stored"):
        np.testing.assert_array_equal(to_pixels(image), RGB)


def test_palettes_and_bits_become_the_colours_they_stand_for():
    colours = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(to_pixels(colours), np.asarray(colours.convert("RGB")))
    bits = Image.fromarray((GREY > 100).astype(np.uint8) * 255).convert("1")
    np.testing.assert_array_equal(to_pixels(bits), (GREY > 100) * np.uint8(255))


def test_cmyk_and_ycbcr_become_rgb():
    assert to_pixels(Image.new("CMYK", (2, 1))).tolist() == [[[255] * 3] * 2]
    inks = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    assert to_pixels(inks).tolist() == [[[0, 255, 255]]]
    ycbcr = Image.fromarray(RGB).convert("YCbCr")
    assert np.abs(to_pixels(ycbcr).astype(int) - RGB).max() <= 3


def test_an_opaque_alpha_channel_is_dropped():
    for mode, expected in [("LA", GREY), ("RGBA", RGB)]:
        image = Image.fromarray(expected).convert(mode)
        np.testing.assert_array_equal(to_pixels(image), expected)
    palette = Image.fromarray(RGB).quantize(16)
    with_unused = reopened(palette, transparency=200)
    np.testing.assert_array_equal(to_pixels(with_unused), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "La", "RGBa"])
def test_transparent_pixels_are_refused(mode):
    image = Image.fromarray(RGB).convert("RGBA")
    image.putpixel((3, 2), (10, 20, 30, 254))
    image = image.convert("LA").convert(mode) if mode == "La" else image.convert(mode)
    with pytest.raises(InputError, match=r"transparent pixels \(alpha down to 254\), expected"):
        to_pixels(image)


@pytest.mark.parametrize("base", [GREY, RGB], ids=["grey", "rgb"])
def test_a_colour_key_that_is_used_is_refused(base):
    key = int(base[0, 0]) if base.ndim == 2 else tuple(base[0, 0].tolist())
    with pytest.raises(InputError, match="transparent"):
        to_pixels(reopened(Image.fromarray(base), transparency=key))


def test_more_than_8_bits_a_sample_are_cut_with_a_warning_where_8_are_asked_for():
    deep = GREY.astype(np.uint16) * 257
    ppm = (RGB * np.uint16(257)).astype(">u2")
    plain = " ".join(map(str, ppm.ravel())).encode()
    grey = [
        deep,
        GREY / 255,
        Image.fromarray(deep),
        reopened(Image.fromarray(deep)),
        reopened(Image.fromarray(deep), "TIFF"),
        Image.fromarray((deep / 65535).astype(np.float32)),
        Image.fromarray(deep.astype(np.int32)),
        Image.open(io.BytesIO(b"P5 8 6 65535\n" + deep.astype(">u2").tobytes())),
    ]
    rgb = [
        Image.open(io.BytesIO(b"P6 8 6 65535\n" + ppm.tobytes())),
        Image.open(io.BytesIO(b"P3 8 6 65535\n" + plain)),
    ]
    for image in (*grey, *rgb):
        with pytest.warns(UserWarning, match="16 bits a sample are cut to 8"):
            pixels = to_pixels(image)
        np.testing.assert_array_equal(pixels, RGB if any(image is other for other in rgb) else GREY)


def test_an_srgb_profile_leaves_every_pixel_as_it_is():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for pixels in (RGB, GREY):
        image = reopened(Image.fromarray(pixels), icc_profile=profile)
        np.testing.assert_array_equal(to_pixels(image), pixels)


@pytest.mark.filterwarnings("error")
def test_lab_is_converted_whatever_its_profile():
    spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(RGB), *spaces, outputMode="LAB")
    assert lab is not None
    assert lab.info["icc_profile"]
    back = ImageCms.profileToProfile(lab, *spaces[::-1], outputMode="RGB")
    assert np.abs(to_pixels(lab).astype(int) - np.asarray(back)).max() <= 1


def test_a_wide_profile_is_converted_to_srgb():
    colours = np.array([[[100, 150, 80], [128, 128, 128], [180, 120, 140]]], np.uint8)
    image = reopened(Image.fromarray(colours), icc_profile=WIDE)
    linear = (colours / 255) ** 2.2 @ np.array(P3) @ np.linalg.inv(np.array(SRGB))
    assert np.abs(to_pixels(image) - srgb_bytes(linear)).max() <= 2
    assert np.abs(srgb_bytes(linear) - colours).max() > 5  # else nothing was tested


def test_a_grey_profile_is_converted_and_grey_stays_grey():
    image = reopened(Image.fromarray(GREY), icc_profile=LINEAR_GREY)
    assert np.abs(to_pixels(image) - srgb_bytes(GREY / 255)).max() <= 2
    assert to_pixels(image).shape == GREY.shape


@pytest.mark.parametrize("profile", [b"not a profile", LINEAR_GREY], ids=["broken", "for grey"])
def test_a_profile_that_does_not_fit_is_warned_about(profile):
    image = reopened(Image.fromarray(RGB), icc_profile=profile)
    with pytest.warns(UserWarning, match="the ICC profile is not usable, sRGB is assumed"):
        np.testing.assert_array_equal(to_pixels(image), RGB)


def test_lost_metadata_is_warned_about_but_a_lone_orientation_is_not_lost():
    exif = Image.Exif()
    exif[0x0112] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_pixels(reopened(Image.fromarray(RGB), "JPEG", exif=exif))
    exif[0x010F] = "a camera"
    with pytest.warns(UserWarning, match="^EXIF and XMP metadata is not stored$"):
        to_pixels(reopened(Image.fromarray(RGB), "JPEG", exif=exif, xmp=b"<x/>"))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_an_animation_gives_its_first_frame_and_a_warning(image_format):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if image_format == "WEBP" else {}
    animation = reopened(
        frames[0], image_format, save_all=True, append_images=frames[1:], **options
    )
    with pytest.warns(UserWarning, match="one of 3 frames is stored, number 1"):
        pixels = to_pixels(animation)
    assert (pixels == [255, 0, 0]).all()


@pytest.mark.parametrize(("image_format", "cut"), [("PNG", 60), ("JPEG", 30), ("BMP", 40)])
def test_a_damaged_image_is_refused_and_named(image_format, cut):
    buffer = io.BytesIO()
    Image.fromarray(RGB).resize((64, 64)).save(buffer, image_format)
    image = Image.open(io.BytesIO(buffer.getvalue()[:-cut]))
    with pytest.raises(InputError, match=f"found a damaged {image_format} image"):
        to_pixels(image)


@pytest.mark.parametrize(
    "image_format", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
)
def test_a_file_cut_anywhere_is_refused_or_read(image_format):
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, image_format)
    whole = stream.getvalue()
    refused = 0
    for size in {*range(0, len(whole), 7), *range(min(40, len(whole)))}:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                npeg.encode(whole[:size], effort=0)
        except NpegError:
            refused += 1
    assert refused > 10


def test_empty_and_huge_images_are_refused():
    with pytest.raises(InputError, match="0x4 pixels"):
        to_pixels(Image.new("RGB", (0, 4)))
    with pytest.raises(InputError, match="empty"):
        to_pixels(np.zeros((0, 4), np.uint8))
    huge = np.broadcast_to(np.uint8(0), (200_000, 1000))
    with pytest.raises(LimitError, match="1000x200000"):
        to_pixels(huge)


def test_what_is_no_image_is_named():
    for thing, name in [("photo.jpg", "str"), (None, "NoneType"), ([[1, 2]], "list")]:
        with pytest.raises(InputError, match=f"found {name}, expected a Pillow image"):
            to_pixels(thing)


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        dtype=st.sampled_from([np.uint8, np.int8, np.int32, np.complex64, np.bool_]),
        shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_arrays_are_taken_as_they_are_or_refused(array):
    usable = array.dtype == np.uint8 and array.ndim in (2, 3) and array.size > 0
    if usable and (array.ndim == 2 or array.shape[2] in (1, 3)):
        pixels = to_pixels(array)
        np.testing.assert_array_equal(pixels.reshape(array.shape), array)
        assert pixels.ndim == 2 or pixels.shape[2] == 3
    elif usable and array.shape[2] in (2, 4) and (array[..., -1] == 255).all():
        colours = array[..., 0] if array.shape[2] == 2 else array[..., :3]
        np.testing.assert_array_equal(to_pixels(array), colours)
    elif usable and array.shape[2] in (2, 4):
        with pytest.raises(InputError, match="found transparent pixels"):
            to_pixels(array)
    else:
        with pytest.raises(InputError, match="found an .*array"):
            to_pixels(array)
