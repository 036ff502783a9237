"""Pillow opens and saves .npeg files once npeg is registered."""

import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import npeg
from npeg import codec, container

pytestmark = pytest.mark.usefixtures("plugin")


def test_saving_and_opening_is_encoding_and_decoding(photo, photo_npeg, tmp_path):
    path = tmp_path / "photo.npeg"
    Image.fromarray(photo).save(path, quality=50)
    assert path.read_bytes() == photo_npeg
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("NPEG", "RGB", (128, 96))
        assert image.get_format_mimetype() == "image/x-npeg"
        assert image.info["quality"] == 50
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
    with pytest.raises(npeg.NpegError, match="transparent"):
        Image.new("RGBA", (4, 4)).save(tmp_path / "x.npeg")
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
