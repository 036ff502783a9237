"""HEIC, JPEG XL and raw pictures: read where their packages are, named where they are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npeg
from npeg import image_files, inputs, more_formats
from npeg.arrays import Pixels
from npeg.errors import InputError, LimitError


@pytest.fixture
def heic(photo: Pixels) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason='needs pip install "npeg[formats]"')
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(photo)).save(file, quality=95)
    return file.getvalue()


@pytest.fixture
def jxl(photo: Pixels) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason='needs pip install "npeg[formats]"')
    return bytes(imagecodecs.jpegxl_encode(photo, lossless=True))


@pytest.fixture
def dng() -> bytes:
    """A raw picture of 64x96 photosites, red to the right, written as a DNG."""
    tifffile = pytest.importorskip("tifffile")
    mosaic = np.full((64, 96), 800, np.uint16)
    mosaic[::2, ::2] += (400 * np.arange(48)).astype(np.uint16)  # red
    matrix = np.array([1, 0, 0, 0, 1, 0, 0, 0, 1])
    pairs = np.stack([matrix, np.ones(9, int)], 1).ravel().tolist()
    tags = [
        (50706, "B", 4, (1, 4, 0, 0)),  # DNGVersion
        (50708, "s", 0, "npeg"),  # UniqueCameraModel
        (33421, "H", 2, (2, 2)),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2)),  # CFAPattern
        (50721, "2i", 9, pairs),  # ColorMatrix1
        (50778, "H", 1, 21),  # CalibrationIlluminant1
        (50717, "I", 1, 65535),  # WhiteLevel
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, mosaic, photometric="CFA", extratags=tags)
    return file.getvalue()


def test_heic_is_read(heic: bytes, photo: Pixels, run) -> None:
    found = inputs.pixels_of(heic)
    assert found.shape == photo.shape
    assert np.abs(found.astype(int) - photo).mean() < 4
    Path("a.heic").write_bytes(heic)
    Path("in").mkdir()
    Path("in/b.HEIC").write_bytes(heic)
    assert run("encode", "a.heic").status == run("encode", "in").status == 0
    assert Path("in/b.npeg").exists()


def test_jpeg_xl_is_read_as_it_is(jxl: bytes, photo: Pixels, run) -> None:
    assert (inputs.pixels_of(jxl) == photo).all()
    Path("a.jxl").write_bytes(jxl)
    assert run("encode", "a.jxl", "--lossless").status == 0
    assert (npeg.decode("a.npeg") == photo).all()


def test_deep_jpeg_xl_is_cut_with_a_word(photo: Pixels) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason='needs pip install "npeg[formats]"')
    deep = imagecodecs.jpegxl_encode(photo.astype(np.uint16) * 257, lossless=True)
    with pytest.warns(UserWarning, match="16 bits a sample are cut to 8"):
        assert (inputs.pixels_of(bytes(deep)) == photo).all()


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (33, 65), (300, 1000), (2000, 3), (512, 512)])
def test_the_size_of_jpeg_xl_is_known_before_its_pixels(size: tuple[int, int]) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason='needs pip install "npeg[formats]"')
    for container in (False, True):
        data = imagecodecs.jpegxl_encode(np.zeros((*size, 3), np.uint8), usecontainer=container)
        assert more_formats.jpeg_xl_size(bytes(data)) == size[::-1]


def test_large_pictures_are_refused_before_they_are_decoded(heic: bytes, jxl: bytes) -> None:
    for data in (heic, jxl):
        with pytest.raises(LimitError, match="128x96 pixels"):
            npeg.encode(data, max_pixels=1000)


def test_raw_is_developed_whatever_its_name(dng: bytes, run) -> None:
    pytest.importorskip("rawpy", reason='needs pip install "npeg[formats]"')
    found = inputs.pixels_of(dng)
    assert found.shape == (64, 96, 3)
    left, right = found[8:56, 8:16].mean((0, 1)), found[8:56, 80:88].mean((0, 1))
    assert right[0] > left[0] + 20  # red grows to the right
    assert right[0] > right[2] + 20
    Path("a.dng").write_bytes(dng)
    assert run("encode", "a.dng").status == 0


@pytest.mark.parametrize("kind", more_formats.PACKAGES)
def test_a_damaged_file_is_one_line(kind: str) -> None:
    heads = {
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "JPEG XL": more_formats.JXL_CODESTREAM,
        "raw": b"FUJIFILMCCD-RAW ",
    }
    pytest.importorskip(more_formats.PACKAGES[kind], reason='needs pip install "npeg[formats]"')
    with pytest.raises(InputError, match=f"found a damaged {kind} file") as caught:
        image_files.open_image(io.BytesIO(heads[kind] + bytes(100)))
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("name", "head", "package"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "pillow-heif"),
        ("a.jxl", b"\xff\x0a\x00\x00", "imagecodecs"),
        ("a.nef", b"MM\0*\0\0\0\x08", "rawpy"),
    ],
)
def test_without_its_package_a_picture_names_it(
    run, monkeypatch: pytest.MonkeyPatch, name: str, head: bytes, package: str
) -> None:
    monkeypatch.setattr(more_formats, "_is_here", lambda kind: False)
    Path(name).write_bytes(head + bytes(100))
    done = run("encode", name)
    assert done.status == 1 and done.err.count("\n") == 1
    assert f'which {package} reads: pip install "npeg[formats]"' in done.err


def test_a_folder_says_what_would_read_what_is_left_out(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(more_formats, "_is_here", lambda kind: False)
    (folder / "b.heic").write_bytes(b"")
    done = run("encode", folder)
    assert done.status == 0
    assert "b.heic" in done.err and 'pip install "npeg[formats]"' in done.err
