"""More than 8 bits a sample: from any file to a .npeg file and back, nearer than by way of 8."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from test_pixels import LINEAR_GREY

import npeg
from npeg import codec, container, deep_images, depth, exact, networks, targets, transparency
from npeg.encoder_rule import EncoderOptions
from npeg.errors import InputError
from npeg.pixels import to_picture

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

Deep = NDArray[np.uint16]
HEIGHT, WIDTH = 70, 90


def noisy(channels: int) -> Deep:
    """A ramp with noise in the low byte, (H, W) or (H, W, C)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(channels)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, channels))
    found = (x * 300 + y * 200)[..., None] + 2000 * np.arange(channels) + noise
    return np.squeeze(found.astype(np.uint16))


def ramp(height: int = 96, width: int = 160) -> Deep:
    y, x = np.mgrid[:height, :width]
    return np.rint(2000 + 60000 * (0.7 * x / width + 0.3 * y / height)).astype(np.uint16)


@pytest.fixture(scope="module")
def fine(photo: NDArray[np.uint8]) -> Deep:
    """A photograph of more than 8 bits: means of four pixels, (48, 64, 3)."""
    blocks = photo.reshape(48, 2, 64, 2, 3).astype(float).mean((1, 3))
    return np.rint(blocks * 257).astype(np.uint16)


def opened(data: bytes | bytearray) -> Image.Image:
    return Image.open(io.BytesIO(data))


def tiff(pixels: Deep, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


# --- the way in ---


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_16_bit_png_gives_every_bit(channels: int) -> None:
    pixels = noisy(channels)
    found = to_picture(opened(imagecodecs.png_encode(pixels)))
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.bits == 16


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_16_bit_tiff_gives_every_bit(
    channels: int, planes: str, compression: str | None, order: str
) -> None:
    pixels = noisy(channels)
    options: dict[str, Any] = {"compression": compression, "byteorder": order, "rowsperstrip": 16}
    if channels > 1:
        options |= {"photometric": "rgb", "planarconfig": planes}
        options |= {"extrasamples": ["unassalpha"] if channels == 4 else None}
        stored = np.moveaxis(pixels, 2, 0) if planes == "separate" else pixels
    else:
        stored = pixels
    found = to_picture(opened(tiff(stored, **options)))
    np.testing.assert_array_equal(found.pixels, pixels)


def test_black_may_be_the_largest_number_of_a_tiff() -> None:
    found = to_picture(opened(tiff(noisy(1), photometric="miniswhite")))
    np.testing.assert_array_equal(found.pixels, 65535 - noisy(1))


def test_planes_that_pillow_reads_wrong_are_refused_without_tifffile(monkeypatch) -> None:
    monkeypatch.setattr(deep_images, "_has", lambda _: False)
    data = tiff(np.moveaxis(noisy(3), 2, 0), photometric="rgb", planarconfig="separate")
    with pytest.raises(InputError, match="planes of 16 bits .* tifffile alone"):
        to_picture(opened(data))


@pytest.mark.parametrize("most", [1023, 65535])
def test_pnm_files_are_scaled_from_their_largest_value(most: int) -> None:
    values = noisy(3).astype(np.int64) * most // 65535
    expected = (values * 65535 + most // 2) // most
    size = f"{WIDTH} {HEIGHT}\n{most}\n".encode()
    plain = b"# a comment\n" + " ".join(map(str, values.ravel())).encode()
    for data in (b"P6\n" + size + values.astype(">u2").tobytes(), b"P3\n" + size + plain):
        np.testing.assert_array_equal(to_picture(opened(data)).pixels, expected)
    for data in (b"P5\n" + size + values[..., 0].astype(">u2").tobytes(),):
        found = to_picture(opened(data)).pixels
        assert np.abs(found.astype(int) - expected[..., 0]).max() <= 1  # Pillow scales these
    with pytest.raises(InputError, match="damaged PPM"):
        to_picture(opened(b"P6\n" + size + bytes(9)))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg_2000_keeps_its_bits(channels: int, bits: int) -> None:
    values = noisy(channels) >> (16 - bits)
    data = imagecodecs.jpeg2k_encode(values, level=0, bitspersample=bits)
    found = to_picture(opened(data))
    assert found.bits == bits
    np.testing.assert_array_equal(found.pixels, depth.widened(values, bits))


def test_avif_keeps_its_10_bits_or_says_that_they_are_cut(monkeypatch) -> None:
    data = imagecodecs.avif_encode(noisy(3) >> 6, level=100, bitspersample=10)
    found = to_picture(opened(data))
    assert found.bits == 10
    expected = depth.widened(imagecodecs.avif_decode(data), 10)
    np.testing.assert_array_equal(found.pixels, expected)
    monkeypatch.setattr(deep_images, "_has", lambda _: False)
    with pytest.warns(UserWarning, match="10 bits .* cut to 8: imagecodecs reads them whole"):
        assert to_picture(opened(data)).pixels.dtype == np.uint8


def test_what_another_package_reads_otherwise_than_pillow_is_not_trusted(monkeypatch) -> None:
    data = imagecodecs.avif_encode(noisy(3) >> 6, level=100, bitspersample=10)
    monkeypatch.setattr(imagecodecs, "avif_decode", lambda _: noisy(3)[::-1] >> 6)
    with pytest.warns(UserWarning, match="cut to 8"):
        to_picture(opened(data))


def test_a_colour_key_of_16_bits_becomes_alpha() -> None:
    image = opened(imagecodecs.png_encode(noisy(1)))
    image.info["transparency"] = int(noisy(1)[3, 4])
    found = to_picture(image).pixels
    assert found.shape == (HEIGHT, WIDTH, 2)
    assert found[3, 4, 1] == 0
    assert (found[..., 1][noisy(1) != noisy(1)[3, 4]] == 65535).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_upright_as_others_are(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    eight, deep = io.BytesIO(), io.BytesIO()
    Image.fromarray(depth.as_type(noisy(1), np.uint8)).save(eight, "PNG", exif=exif)
    Image.fromarray(noisy(1)).save(deep, "PNG", exif=exif)
    expected = to_picture(Image.open(eight)).pixels
    found = to_picture(Image.open(deep)).pixels
    np.testing.assert_array_equal(depth.as_type(found, np.uint8), expected)


def test_colours_that_must_be_converted_are_cut_to_8_bits_with_a_warning() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image, buffer = Image.fromarray(noisy(1)), io.BytesIO()
    image.save(buffer, "PNG", icc_profile=srgb)
    assert to_picture(Image.open(buffer)).pixels.dtype == np.uint16  # sRGB changes nothing
    image.save(buffer := io.BytesIO(), "PNG", icc_profile=LINEAR_GREY)
    with pytest.warns(UserWarning) as caught:
        assert to_picture(Image.open(buffer)).pixels.dtype == np.uint8
    texts = [str(warning.message) for warning in caught]
    assert "16 bits a sample are cut to 8, as their colours are converted to sRGB" in texts


def test_floats_are_from_0_to_1() -> None:
    values = np.random.default_rng(0).random((20, 30, 3))
    for dtype in (np.float16, np.float32, np.float64):
        found = to_picture(values.astype(dtype)).pixels
        assert found.dtype == np.uint16
        np.testing.assert_allclose(found / 65535, values, atol=1e-3)
    for bad in (-0.1, 1.5, np.nan, np.inf):
        values[3, 4, 1] = bad
        with pytest.raises(InputError, match="found floats .* expected 0 to 1"):
            npeg.encode(values)
    with pytest.raises(InputError, match="found integers from -1 to 70000"):
        npeg.encode(Image.fromarray(np.array([[-1, 70000]], np.int32)))
    with pytest.raises(InputError, match="int16"):
        npeg.encode(np.zeros((4, 4), np.int16))


# --- through the file ---


@pytest.mark.parametrize("tune", ["visual", "psnr"])
def test_a_16_bit_ramp_comes_back_with_far_more_than_256_values(tune: str) -> None:
    pixels = ramp()
    for quality, least in ((50, 45), (100, 58)):
        data = npeg.encode(pixels, quality, tune=tune)
        found = npeg.decode(data, dtype="uint16")
        assert len(np.unique(found)) > 4000
        assert targets.psnr_db(pixels, found) > least


@pytest.mark.parametrize("kind", ["ramp", "grey", "rgb"])
def test_at_quality_100_deep_pictures_are_nearer_than_by_way_of_8_bits(
    kind: str, fine: Deep
) -> None:
    pixels = {"ramp": ramp(), "grey": fine[..., 1], "rgb": fine}[kind]
    deep = npeg.encode(pixels, 100)
    by_8 = npeg.encode(depth.as_type(pixels, np.uint8), 100)
    found = npeg.decode(deep, dtype="uint16")
    for other in (npeg.decode(by_8), npeg.decode(by_8, dtype="uint16")):
        nearer = targets.psnr_db(pixels, found) - targets.psnr_db(
            pixels, depth.as_type(other, np.uint16)
        )
        assert nearer > 0.05
    assert len(deep) < 1.03 * len(by_8)
    if kind != "ramp":
        assert any(section.type == "R" for section in npeg.info(deep).sections)


def test_the_encoder_corrects_by_the_full_precision(fine: Deep) -> None:
    model = networks.load()
    levels = depth.to_levels(np.ascontiguousarray(fine))
    whole = np.rint(levels)
    exact_error, _ = model.latent_error(levels, levels, 100, 1.3, 0.25)
    cut_error, _ = model.latent_error(levels, whole, 100, 1.3, 0.25)
    assert np.abs(exact_error).max() == 0
    assert np.abs(cut_error).max() > 0


def test_8_bit_pixels_are_the_deep_ones_rounded(fine: Deep) -> None:
    for data in (npeg.encode(fine, 60), npeg.encode(fine, 100), npeg.encode(fine, lossless=True)):
        wide = npeg.decode(data, dtype=np.uint16)
        np.testing.assert_array_equal(npeg.decode(data), depth.as_type(wide, np.uint8))
        floats = npeg.decode(data, dtype="float32")
        assert floats.dtype == np.float32
        np.testing.assert_allclose(floats * 65535, wide, atol=0.01)
    with pytest.raises(InputError, match="dtype 'int8', expected uint8, uint16, float32"):
        npeg.decode(data, dtype="int8")


def test_8_bit_files_have_more_between_their_levels_too(photo: NDArray[np.uint8]) -> None:
    smooth = npeg.encode(photo, 60)
    wide, narrow = npeg.decode(smooth, dtype="uint16"), npeg.decode(smooth)
    assert len(np.unique(wide)) > 1000
    assert np.abs(wide / 257 - narrow).max() <= 0.51
    exactly = npeg.encode(photo, lossless=True)
    np.testing.assert_array_equal(npeg.decode(exactly, dtype="uint16"), photo * np.uint16(257))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_lossless_gives_every_bit_back(channels: int, bits: int) -> None:
    pixels = depth.widened(noisy(channels) >> (16 - bits), bits)
    options = EncoderOptions(lossless=True, bit_depth=bits, tile_size=64)
    data = codec.encode_pixels(pixels, 200, options)
    assert container.read_header(data).bit_depth == bits
    np.testing.assert_array_equal(codec.decode_pixels(data, True), pixels)


def test_fewer_bits_of_the_source_take_fewer_bytes() -> None:
    sizes = []
    for bits in (10, 16):
        pixels = depth.widened(noisy(1) >> 6, 10)
        options = EncoderOptions(lossless=True, bit_depth=bits)
        sizes.append(len(codec.encode_pixels(pixels, 200, options)))
    assert sizes[0] < 0.9 * sizes[1]


@pytest.mark.parametrize("bits", [8, 9, 12, 16])
def test_few_deep_colours_have_a_palette(bits: int) -> None:
    rng = np.random.default_rng(bits)
    colours = rng.integers(0, 1 << bits, (7, 3)).astype(np.uint8 if bits == 8 else np.uint16)
    pixels = colours[rng.integers(0, 7, (40, 50))]
    payload = exact.encode(pixels, bits)
    assert payload[0] == exact.PALETTE
    np.testing.assert_array_equal(exact.decode(payload, 40, 50, 3, bits), pixels)


def test_soft_alpha_of_16_bits_is_kept_and_that_of_8_costs_no_more() -> None:
    mask = ramp(40, 60)
    mask[:5], mask[-5:] = 0, 65535
    payload = transparency.encode(mask, 100, 16)
    np.testing.assert_array_equal(transparency.decode(payload, 40, 60, True), mask)
    of_eight = depth.as_type(depth.as_type(mask, np.uint8), np.uint16)
    deep, eight = (
        transparency.encode(alpha, 100, bits)
        for alpha, bits in ((of_eight, 16), (depth.as_type(mask, np.uint8), 8))
    )
    assert len(deep) == len(eight) + 1
    lossy = transparency.decode(transparency.encode(mask, 0, 16), 40, 60, True)
    assert np.abs(lossy.astype(int) - mask).max() < 65535 / 15 / 2 + 1
    assert (lossy[mask == 0] == 0).all()
    assert (lossy[mask == 65535] == 65535).all()


def test_regions_of_deep_files_equal_the_whole(fine: Deep) -> None:
    pixels = np.dstack([fine, fine[..., 0]])
    data = codec.encode_pixels(pixels, 190, EncoderOptions(tile_size=64))
    for dtype in ("uint8", "uint16", "float32"):
        part = npeg.decode(data, region=(11, 7, 30, 33), dtype=dtype)
        np.testing.assert_array_equal(part, npeg.decode(data, dtype=dtype)[7:40, 11:41])


def test_targets_and_backgrounds_count_in_16_bits(fine: Deep) -> None:
    data = npeg.encode(fine, psnr=40)
    assert targets.psnr_db(fine, npeg.decode(data, dtype="uint16")) >= 40
    half = np.dstack([fine, np.full(fine.shape[:2], 32768, np.uint16)])
    flat = transparency.flatten(half, "white")
    assert flat.dtype == np.uint16
    assert np.abs(flat.astype(float) - (fine / 2 + 65535 / 2)).max() < 2


def test_the_header_says_the_depth() -> None:
    for bits in range(8, 17):
        header = container.Header(model_id=8, level=1, width=2, height=3, bit_depth=bits)
        packed = container.pack_header(header)
        assert packed[7] >> 4 == bits - 8
        assert container.read_header(packed) == header


# --- the way out ---


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_command_line_gives_16_bits_back(run, channels: int) -> None:
    pixels = noisy(channels)
    Path("in.png").write_bytes(imagecodecs.png_encode(pixels))
    assert run("encode", "in.png", "--lossless").status == 0
    assert "16 bits" in run("info", "in.npeg").out
    assert run("decode", "in.npeg", "out.png").status == 0
    np.testing.assert_array_equal(imagecodecs.png_decode(Path("out.png").read_bytes()), pixels)
    assert run("decode", "in.npeg", "out.tif").status == 0
    np.testing.assert_array_equal(tifffile.imread("out.tif"), pixels)
    if channels in (1, 3):
        assert run("decode", "in.npeg", "out.ppm").status == 0
        np.testing.assert_array_equal(to_picture(Image.open("out.ppm")).pixels, pixels)
    assert run("decode", "in.npeg", "eight.png", "--depth", "8").status == 0
    eight = imagecodecs.png_decode(Path("eight.png").read_bytes())
    np.testing.assert_array_equal(eight, depth.as_type(pixels, np.uint8))


def test_metadata_travels_into_16_bit_files(run) -> None:
    image = Image.fromarray(noisy(1))
    exif = Image.Exif()
    exif[0x010E] = "a ramp"
    image.save("in.png", dpi=(300, 300), exif=exif)
    run("encode", "in.png")
    for name in ("out.png", "out.tif"):
        assert run("decode", "in.npeg", name).status == 0
        with Image.open(name) as found:
            assert found.mode == "I;16"
            assert found.size == (WIDTH, HEIGHT)
            assert found.getexif()[0x010E] == "a ramp"
            assert float(found.info["dpi"][0]) == pytest.approx(300, abs=0.1)


def test_depth_is_asked_for_or_refused(run, png: Path) -> None:
    run("encode", png, "-o", "a.npeg")
    assert run("decode", "a.npeg", "a.png").status == 0
    with Image.open("a.png") as found:
        assert found.tile[0].args == "RGB"
    assert run("decode", "a.npeg", "b.png", "--depth", "16", "--crop", "3,4,20,30").status == 0
    with Image.open("b.png") as found:
        assert found.size == (20, 30)
        assert found.tile[0].args == "RGB;16B"
    failed = run("decode", "a.npeg", "a.jpg", "--depth", "16")
    assert failed.status == 1
    assert "found JPEG for 16 bits a sample, expected PNG, TIFF, PPM" in failed.err
    failed = run("decode", "a.npeg", "c.png", "--depth", "16", "--enhance", "unsharp")
    assert "found --depth 16 with --enhance" in failed.err


def test_pillow_saves_deep_grey_and_opens_it_in_8_bits(plugin) -> None:
    buffer = io.BytesIO()
    Image.fromarray(ramp()).save(buffer, "NPEG", quality=90)
    header = npeg.info(buffer.getvalue()).header
    assert isinstance(header, container.Header) and header.bit_depth == 16
    with Image.open(buffer) as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image) - ramp() / 257).max() < 5
