"""Pillow opens and saves .npeg files once npeg is registered."""

import copy
import io
import pickle
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import npeg
from npeg import codec, container, icc
from npeg.NpegImagePlugin import NpegImageFile

pytestmark = pytest.mark.usefixtures("plugin")


def test_saving_and_opening_is_encoding_and_decoding(photo, photo_npeg, tmp_path):
    path = tmp_path / "photo.npeg"
    Image.fromarray(photo).save(path, quality=50)
    assert path.read_bytes() == photo_npeg
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("NPEG", "RGB", (128, 96))
        assert image.get_format_mimetype() == "image/x-npeg"
        assert "quality" not in image.info  # which would break other formats' save(**image.info)
        np.testing.assert_array_equal(np.asarray(image), npeg.decode(photo_npeg))
        assert image.copy().resize((10, 10)).size == (10, 10)


def test_grey_images_stay_grey(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).convert("L").save(buffer, "NPEG")
    image = Image.open(buffer)
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), npeg.decode(buffer.getvalue()))


def test_opening_reads_the_header_alone(photo_npeg, monkeypatch):
    monkeypatch.setattr(codec, "decode_pixels", lambda data: pytest.fail("pixels were decoded"))
    image = Image.open(io.BytesIO(photo_npeg[: container.HEADER_SIZE]))
    assert image.size == (128, 96)


def test_targets_pass_through_save(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "NPEG", size=1500)
    assert len(buffer.getvalue()) <= 1500


def test_a_turned_photo_is_saved_upright(photo):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(buffer, "PNG", exif=exif)
    image, buffer = Image.open(buffer), io.BytesIO()
    image.save(buffer, "NPEG")
    assert Image.open(buffer).size == (96, 128)


def test_a_refused_image_leaves_no_file(tmp_path):
    with pytest.raises(npeg.NpegError, match="floats from 2 to 2"):
        Image.new("F", (4, 4), 2.0).save(tmp_path / "x.npeg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_truncated_file_raises_oserror_when_pixels_are_asked_for(photo_npeg, kept):
    image = Image.open(io.BytesIO(photo_npeg[: int(len(photo_npeg) * kept)]))
    with pytest.raises(OSError, match="truncated"):
        image.load()


def test_a_damaged_header_raises_oserror_on_opening(photo_npeg):
    damaged = bytearray(photo_npeg)
    damaged[10] ^= 1
    with pytest.raises(OSError, match="damaged"):
        Image.open(io.BytesIO(damaged))
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(photo_npeg[:12]))
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"NPAG" + photo_npeg[4:]))


def test_verify_checks_every_byte_without_decoding(photo_npeg, monkeypatch):
    monkeypatch.setattr(codec, "decode_pixels", lambda data: pytest.fail("pixels were decoded"))
    Image.open(io.BytesIO(photo_npeg)).verify()
    damaged = bytearray(photo_npeg)
    damaged[-5] ^= 4
    with pytest.raises(OSError, match="damaged"):
        Image.open(io.BytesIO(damaged)).verify()


def test_registering_twice_changes_nothing():
    before = list(Image.ID)
    npeg.register()
    assert before == Image.ID


def test_opened_images_survive_pickle_and_deepcopy(photo_npeg):
    decoded = npeg.decode(photo_npeg)
    for clone in (lambda image: pickle.loads(pickle.dumps(image)), copy.deepcopy):
        for loaded in (False, True):
            image = Image.open(io.BytesIO(photo_npeg))
            if loaded:
                image.load()
            twin = clone(image)
            np.testing.assert_array_equal(np.asarray(twin), decoded)
            assert isinstance(image, NpegImageFile)
            assert (twin.info, twin.text) == (image.info, image.text)
            twin.verify()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "NPEG"])
def test_info_breaks_no_other_format(photo, image_format):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.fromarray(photo[:16, :16]).save(buffer, "NPEG", exif=exif, dpi=(300, 300), comment=b"hm")
    image = Image.open(buffer)
    image.save(io.BytesIO(), image_format, **cast("dict[str, Any]", image.info))


def test_an_option_that_means_nothing_is_refused_but_not_another_formats_info(photo):
    image = Image.fromarray(photo[:16, :16])
    for option in ({"optimize": True}, {"exact": True}, {"qualty": 60}):
        with pytest.raises(
            npeg.NpegError, match=f"found the option {next(iter(option))}, expected"
        ):
            image.save(io.BytesIO(), "NPEG", **option)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", progressive=True)
    opened = Image.open(jpeg)
    opened.save(io.BytesIO(), "NPEG", **cast("dict[str, Any]", opened.info))


def test_a_turned_photo_is_saved_upright_whatever_else_is_given(photo):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    buffer = io.BytesIO()
    Image.fromarray(photo[:16, :24]).save(buffer, "JPEG", exif=exif)
    image = Image.open(buffer)
    for options in ({"xmp": b"<x/>"}, {"exif": None}, {"dpi": (72, 72)}, {"strip": True}):
        image.save(saved := io.BytesIO(), "NPEG", **options)
        assert Image.open(saved).size == (16, 24), options
    exif[0x0112] = 1
    image.save(saved := io.BytesIO(), "NPEG", exif=exif)
    assert Image.open(saved).size == (24, 16)


def test_save_takes_metadata_as_pillows_own_writers_do(photo):
    image = Image.fromarray(photo[:16, :24])
    profile = icc.profile(icc.PRIMARIES[12], None)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a camera", 6
    buffer = io.BytesIO()
    image.save(buffer, "NPEG", exif=exif, xmp=b"<x/>", icc_profile=profile, dpi=(300, 200))
    opened = Image.open(buffer)
    assert opened.size == (16, 24)  # turned
    assert dict(opened.getexif()) == {0x010F: "a camera", 0x0112: 1}
    assert opened.info["exif"].startswith(b"Exif\0\0")
    assert (opened.info["xmp"], opened.info["icc_profile"]) == (b"<x/>", profile)
    assert opened.info["dpi"] == (300, 200)
    again = io.BytesIO()
    opened.save(again, "NPEG", icc_profile=None, xmp=None)
    assert set(Image.open(again).info) == {"exif", "dpi"}
    opened.save(again := io.BytesIO(), "NPEG", strip=True)
    assert set(Image.open(again).info) == {"icc_profile"}
    with pytest.raises(npeg.NpegError, match="found damaged EXIF"):
        image.save(io.BytesIO(), "NPEG", exif=b"nonsense")
    for name in ("exif", "xmp", "comment", "icc_profile"):
        with pytest.raises(npeg.NpegError, match="found int as .*, expected bytes"):
            image.save(io.BytesIO(), "NPEG", **{name: 5})
