"""Others read and write .npeg files: by Pillow once it knows them, and by numcodecs at once."""

import subprocess
import sys

import numpy as np
import pytest
from skimage.data import astronaut

import npeg
from npeg.errors import InputError

PHOTO = np.ascontiguousarray(astronaut()[:80, 180:276])


@pytest.fixture
def path(tmp_path) -> str:
    npeg.register()
    file = tmp_path / "photo.npeg"
    file.write_bytes(npeg.encode(PHOTO, effort=0))
    return str(file)


def test_imageio_reads_and_writes(path, tmp_path) -> None:
    v3 = pytest.importorskip("imageio.v3")
    assert np.array_equal(v3.imread(path), npeg.decode(path))
    v3.imwrite(tmp_path / "again.npeg", PHOTO, quality=40)
    assert npeg.info(tmp_path / "again.npeg").header.quality == 40


def test_scikit_image_reads(path) -> None:
    from skimage import io

    assert np.array_equal(io.imread(path), npeg.decode(path))


def test_matplotlib_reads(path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert np.array_equal(pyplot.imread(path), npeg.decode(path))


def test_numcodecs_finds_the_codec_by_itself() -> None:
    pytest.importorskip("numcodecs")
    code = "import numcodecs; print(numcodecs.get_codec({'id': 'npeg', 'quality': 30}).quality)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "30\n"


@pytest.mark.parametrize("shape", [(80, 96, 3), (1, 80, 96, 3), (1, 1, 80, 96, 3), (240, 96)])
def test_a_chunk_comes_back(shape: tuple[int, ...]) -> None:
    pytest.importorskip("numcodecs")
    from npeg.numcodecs_codec import Npeg

    codec, chunk = Npeg(quality=60, effort=0), PHOTO.reshape(shape)
    data = codec.encode(chunk)
    assert codec.decode(data).reshape(shape).dtype == np.uint8
    out = np.empty(shape, np.uint8)
    codec.decode(data, out)
    assert np.array_equal(out.ravel(), npeg.decode(data).ravel())
    assert Npeg.from_config({"quality": 60, "effort": 0}).encode(chunk) == data


def test_a_chunk_that_is_no_picture_is_refused() -> None:
    pytest.importorskip("numcodecs")
    from npeg.numcodecs_codec import Npeg

    with pytest.raises(InputError, match=r"chunk of shape \(2, 80, 48, 3\), expected one picture"):
        Npeg().encode(PHOTO.reshape(2, 80, 48, 3))


def test_zarr_keeps_pictures_as_chunks(tmp_path) -> None:
    zarr = pytest.importorskip("zarr")
    from npeg.numcodecs_codec import Npeg

    array = zarr.create_array(
        tmp_path / "stack.zarr",
        shape=(2, 80, 96, 3),
        chunks=(1, 80, 96, 3),
        dtype="uint8",
        zarr_format=2,
        compressors=Npeg(effort=0),
    )
    array[:] = np.stack([PHOTO, PHOTO[::-1]])
    again = zarr.open_array(tmp_path / "stack.zarr")
    assert np.array_equal(again[0], npeg.decode(npeg.encode(PHOTO, effort=0)))
