"""The restorer never makes a picture much worse than it came."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.JpegImagePlugin import JpegImageFile
from skimage.data import astronaut

from npeg.enhance import enhance, jpeg_cells

PHOTO = np.ascontiguousarray(astronaut()[:256, 100:420])


Ink = str | tuple[int, int, int]


def text(paper: Ink, ink: Ink) -> np.ndarray:
    image = Image.new("RGB", (320, 160), paper)
    draw = ImageDraw.Draw(image)
    for y in range(0, 150, 14):
        draw.text((4, y), "The quick brown fox jumps over 0123456789 lazy dogs", fill=ink)
    return np.asarray(image)


def lines(low: int, high: int) -> np.ndarray:
    columns = np.where(np.arange(128) % 2, high, low).astype(np.uint8)
    return np.broadcast_to(columns[None, :, None], (128, 128, 3)).copy()


def coded(pixels: np.ndarray, kind: str, **options: object) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return np.asarray(Image.open(file).convert("RGB" if pixels.ndim == 3 else "L"))


def psnr_db(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b) ** 2)
    return 10 * np.log10(255**2 / error) if error else 99.0


def free_coefficients(pixels: np.ndarray) -> np.ndarray:
    found = jpeg_cells._transform(jpeg_cells._luma(pixels))
    return found[jpeg_cells._unclipped(pixels)].reshape(-1, 64)


GRAPHICS = {
    "black text": text("white", "black"),
    "red text": text("black", (255, 0, 0)),
    "soft text": text((210, 220, 200), (40, 30, 60)),
    "lines": lines(0, 255),
    "soft lines": lines(60, 190),
    "blue": np.full((64, 64, 3), (0, 0, 255), np.uint8),
}


@pytest.mark.parametrize("name", GRAPHICS)
@pytest.mark.parametrize("quality", [30, 75, 90, 95, 100])
def test_a_graphic_is_never_much_worse(name: str, quality: int) -> None:
    original = GRAPHICS[name]
    for subsampling in (0, 2):
        found = coded(original, "JPEG", quality=quality, subsampling=subsampling)
        better = enhance(found, "restorer")
        assert psnr_db(better, original) > psnr_db(found, original) - 1


@pytest.mark.parametrize("name", GRAPHICS)
def test_a_clean_graphic_stays(name: str) -> None:
    assert np.array_equal(enhance(GRAPHICS[name], "restorer"), GRAPHICS[name])


def test_a_clean_photograph_stays_nearly() -> None:
    assert psnr_db(enhance(PHOTO, "restorer"), PHOTO) > 44
    best = coded(PHOTO, "JPEG", quality=100, subsampling=0)
    assert psnr_db(enhance(best, "restorer"), PHOTO) > psnr_db(best, PHOTO) - 1


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90])
@pytest.mark.parametrize("grey", [True, False])
def test_a_jpeg_photograph_gains(quality: int, grey: bool) -> None:
    original = np.asarray(Image.fromarray(PHOTO).convert("L")) if grey else PHOTO
    found = coded(original, "JPEG", quality=quality)
    better = enhance(found, "restorer")
    assert psnr_db(better, original) > psnr_db(found, original) + 0.6
    assert better.shape == original.shape


def test_a_webp_photograph_gains() -> None:
    found = coded(PHOTO, "WEBP", quality=20)
    assert psnr_db(enhance(found, "restorer"), PHOTO) > psnr_db(found, PHOTO) + 0.3


@pytest.mark.parametrize("quality", [20, 50, 80, 90])
def test_the_table_of_a_jpeg_is_found_in_its_pixels(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", quality=quality)
    image = Image.open(file)
    assert isinstance(image, JpegImageFile)
    coefficients = free_coefficients(np.asarray(image))
    expected = np.array(image.quantization[0]).reshape(8, 8)
    found = jpeg_cells.standard_table(coefficients)
    assert found is not None  # of close qualities, finest steps may be a level apart
    assert np.abs(found - expected)[:4, :4].max() <= 1


def test_a_table_of_its_own_is_found_too() -> None:
    table = [3 + 2 * (k // 8 + k % 8) for k in range(64)]
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", qtables=[table, table])
    image = Image.open(file)
    assert isinstance(image, JpegImageFile)
    coefficients = free_coefficients(np.asarray(image))
    standard = jpeg_cells.standard_table(coefficients)
    assert standard is None or standard.max() == 1
    found = jpeg_cells.own_table(coefficients)
    assert found is not None
    expected = np.array(image.quantization[0]).reshape(8, 8)
    assert np.mean((found == expected)[:4, :4]) > 0.7
    pixels = np.asarray(image)
    assert psnr_db(enhance(pixels, "restorer"), PHOTO) > psnr_db(pixels, PHOTO) + 0.5


def test_a_restored_jpeg_is_inside_of_its_cells() -> None:
    found = coded(PHOTO, "JPEG", quality=30)
    restored = np.random.default_rng(0).integers(0, 256, PHOTO.shape, np.uint8)
    held = jpeg_cells.restrained(found, restored)  # noise is far outside: nothing is left of it
    assert np.array_equal(held, found)


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (70, 3, 3), (9, 8, 3), (600, 17)])
def test_every_size_is_taken(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert jpeg_cells.restrained(image, image).shape == shape
