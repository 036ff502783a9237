"""A region equals the same part of the whole image, and little is read for it."""

import io
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import npeg
from npeg import codec, container, image_files, latents, limits, tiles
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.errors import FormatError, InputError, LimitError

REGIONS = [(0, 0, 1, 1), (70, 50, 130, 90), (199, 0, 1, 180), (0, 120, 200, 60), (0, 0, 200, 180)]


LAYERED = ("colours", "one tile", "residual", "alpha")  # kinds that are coded in layers, too


def picture() -> Pixels:
    """A photograph (180, 200, 3) in which some tiles are flat, of few colours or made of edges."""
    pixels = data.astronaut()[60:240, 140:340].copy()
    pixels[:64, 64:128] = 255
    pixels[64:128, :64] = pixels[64:128, :64] // 128 * 128
    pixels[128:, 128::3] = 0
    return pixels


def kinds() -> dict[str, tuple[Pixels, int, EncoderOptions]]:
    """Return pixels, a level and options of all kinds of files."""
    pixels = picture()
    alpha = np.full((180, 200), 255, np.uint8)
    alpha[40:90, 100:150] = np.arange(50)
    small, middle = EncoderOptions(tile_size=64), EncoderOptions(tile_size=128, effort=0)
    return {
        "colours": (pixels, 140, small),
        "tiles of 128": (pixels, 120, middle),
        "one tile": (pixels, 140, EncoderOptions()),
        "residual": (pixels, 196, small),
        "grey": (pixels[..., 1], 150, middle),
        "neutral": (pixels[..., :1].repeat(3, axis=2), 150, middle),
        "alpha": (np.dstack([pixels, alpha]), 140, small),
        "grey with alpha": (np.dstack([pixels[..., 0], alpha]), 140, middle),
        "exact": (pixels, 200, EncoderOptions(lossless=True, tile_size=128)),
    }


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    found = {name: codec.encode_pixels(*what) for name, what in kinds().items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(latents, "LAYERED", 0)
        return found | {f"{name}, layers": codec.encode_pixels(*kinds()[name]) for name in LAYERED}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", [*kinds(), *(f"{name}, layers" for name in LAYERED)])
def test_a_region_equals_that_of_the_whole(
    files: dict[str, bytes], name: str, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr(tiles, "AT_ONCE", 0)
    whole = npeg.decode(files[name])
    for left, top, width, height in REGIONS:
        found = npeg.decode(files[name], region=(left, top, width, height))
        expected = whole[top : top + height, left : left + width]
        np.testing.assert_array_equal(found, expected)
        assert found.flags.c_contiguous


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A file of 6 x 8 tiles of 64 pixels, which are synthesised one by one."""
    monkeypatch.setattr(tiles, "AT_ONCE", 0)
    options = EncoderOptions(effort=0, tile_size=64)
    return codec.encode_pixels(data.astronaut()[:384], 140, options)


def test_a_region_reads_the_tiles_that_it_needs(many: bytes, tmp_path: Path) -> None:
    file, region = Counted(many), (448, 320, 64, 64)  # the last tile
    found = npeg.decode(file, region=region)
    np.testing.assert_array_equal(found, npeg.decode(many)[320:, 448:])
    needed = container.read_tiles(many)[1]
    expected = sum(len(needed[8 * row + column][b"T"]) for row in (3, 4, 5) for column in (5, 6, 7))
    heads = len(many) - container.HEADER_SIZE - sum(len(parts[b"T"]) for parts in needed)
    assert file.count == expected + container.HEADER_SIZE + heads
    (tmp_path / "x.npeg").write_bytes(many)
    np.testing.assert_array_equal(npeg.decode(tmp_path / "x.npeg", region=region), found)


def test_what_is_skipped_is_not_verified_and_what_is_read_is(many: bytes) -> None:
    last = bytearray(many)
    last[-1] ^= 1
    assert npeg.decode(bytes(last), region=(0, 0, 64, 64)).shape == (64, 64, 3)
    with pytest.raises(FormatError, match="damaged"):
        npeg.decode(bytes(last), region=(448, 320, 64, 64))
    with pytest.raises(FormatError, match="truncated"):
        npeg.decode(many[:-100], region=(448, 320, 64, 64))


def test_any_cut_or_flipped_bit_gives_a_region_or_one_line(files: dict[str, bytes]) -> None:
    good = files["alpha"]
    rng = np.random.default_rng(4)
    for at in rng.integers(0, len(good), 20):
        damaged = bytearray(good)
        damaged[at] ^= 1 << rng.integers(8)
        for bad in (bytes(damaged), good[:at]):
            try:
                npeg.decode(bad, region=(60, 60, 80, 80))
            except npeg.NpegError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((100, 0, 101, 10), "region 100,0,101,10, expected one inside of 200x180"),
        ((0, 171, 10, 10), "inside of 200x180"),
        ((-1, 0, 10, 10), "inside"),
        ((0, 0, 0, 10), "inside"),
        ((0, 0, 10), "expected left, top, width and height"),
        ((0.5, 0, 10, 10), "expected left, top, width and height"),
        (7, "expected left, top, width and height"),
        ("abcd", "expected left, top, width and height"),
    ],
)
def test_a_bad_region_is_refused_by_name(
    files: dict[str, bytes], region: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        npeg.decode(files["exact"], region=region)


def test_dither_files_have_regions_too(photo: Pixels) -> None:
    file = npeg.encode(photo, codec="dither8")
    found = npeg.decode(file, region=(10, 20, 30, 40))
    np.testing.assert_array_equal(found, npeg.decode(file)[20:60, 10:40])


def test_decode_crop_writes_the_region(run: Callable[..., Any], files: dict[str, bytes]) -> None:
    Path("x.npeg").write_bytes(files["colours"])
    done = run("decode", "x.npeg", "--crop", "70,50,130,90")
    assert (done.status, done.err) == (0, "")
    expected = npeg.decode(files["colours"])[50:140, 70:200]
    np.testing.assert_array_equal(np.asarray(Image.open("x.png")), expected)
    done = run("decode", "x.npeg", "y.png", "--crop", "70,50,131,90")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "inside of 200x180 pixels" in done.err
    assert run("decode", "x.npeg", "--crop", "1,2,3").status == 2


@pytest.mark.usefixtures("plugin")
def test_crop_of_an_opened_image_decodes_the_region_alone(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = npeg.decode(files["colours"])
    with monkeypatch.context() as patched:
        patched.setattr(codec, "decode_pixels", lambda data: pytest.fail("all was decoded"))
        image = Image.open(io.BytesIO(files["colours"]))
        part = image.crop((70, 50, 200, 140))
        assert (part.size, part.mode) == ((130, 90), "RGB")
        np.testing.assert_array_equal(np.asarray(part), whole[50:140, 70:])
    np.testing.assert_array_equal(
        np.asarray(image.crop((190, 0, 210, 10)))[:, :10], whole[:10, 190:]
    )
    np.testing.assert_array_equal(np.asarray(image), whole)


# --- limits ---


def test_the_limit_is_an_argument_a_variable_and_a_flag(
    run: Callable[..., Any], photo: Pixels, photo_npeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.most_pixels() == 2 * 89_478_485
    message = "found 128x96 pixels, expected at most 0.012 million"
    for work, what in ((npeg.encode, photo), (npeg.decode, photo_npeg)):
        with pytest.raises(LimitError, match=message):
            work(what, max_pixels=12_000)
        with pytest.raises(InputError, match="max_pixels is 0, expected 1 to"):
            work(what, max_pixels=0)
        assert len(work(what, max_pixels=12_288))
    assert npeg.decode(photo_npeg, region=(0, 0, 9, 9), max_pixels=81).shape == (9, 9, 3)
    with pytest.raises(LimitError, match="found 9x10"):
        npeg.decode(photo_npeg, region=(0, 0, 9, 10), max_pixels=81)
    Path("x.npeg").write_bytes(photo_npeg)
    Image.fromarray(photo).save("y.png")
    for command, name in (("decode", "x.npeg"), ("info", "x.npeg"), ("encode", "y.png")):
        done = run(command, name, "--max-pixels", "12000")
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert message in done.err
    monkeypatch.setenv(limits.VARIABLE, "12000")
    with pytest.raises(LimitError, match=message):
        npeg.decode(photo_npeg)
    assert run("decode", "x.npeg", "--max-pixels", "12288").status == 0
    monkeypatch.setenv(limits.VARIABLE, "many")
    with pytest.raises(InputError, match="NPEG_MAX_PIXELS is 'many', expected 1 to 4294967296"):
        npeg.decode(photo_npeg)


def test_a_larger_limit_takes_larger_files(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (20_000, 9000)).save(path)
    with pytest.raises(LimitError, match="20000x9000 pixels, expected at most 179 million"):
        npeg.encode(path)
    assert Image.MAX_IMAGE_PIXELS == limits.DEFAULT // 2


def test_threads_that_open_images_at_once_leave_pillows_limit_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    pillow_open = Image.open

    def open_slowly(source: io.BytesIO) -> Image.Image:
        time.sleep(0.02)  # the other threads begin meanwhile
        return pillow_open(source)

    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "open", open_slowly)
    with ThreadPoolExecutor(4) as pool:
        sources = [io.BytesIO(file.getvalue()) for _ in range(8)]
        assert [image.size for image in pool.map(image_files.open_image, sources)] == [(8, 8)] * 8
    assert before == Image.MAX_IMAGE_PIXELS


def test_no_file_is_larger_than_the_format_allows() -> None:
    container.check_size((1 << 24) - 1, 256)
    with pytest.raises(LimitError, match="4294967296"):
        container.check_size(1 << 16, (1 << 16) + 1)
    with pytest.raises(LimitError, match="16777215"):
        container.check_size(1 << 24, 1)


# --- tile by tile ---


@pytest.mark.parametrize("at_once", [True, False])
def test_items_come_in_order_and_few_are_held(
    at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "AT_ONCE", 1 << 40 if at_once else 0)
    header = container.Header(8, 100, 1000, 2000, tile_size=128)  # 8 x 16
    taken = []

    def items() -> Any:
        for number in range(header.tiles):
            taken.append(number)
            yield number

    for number, (item, _) in enumerate(tiles.with_pixels(items(), lambda _: None, header)):
        assert item == number
        assert len(taken) == header.tiles if at_once else len(taken) <= number + 8 + 1 + 1


def test_a_stream_of_tiles_codes_what_all_tiles_together_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tiles that wait for all others are what an encoder without streams would see."""
    monkeypatch.setattr(tiles, "AT_ONCE", 0)
    options = EncoderOptions(tile_size=64)
    pixels = np.tile(picture()[:, :100], (2, 1, 1))
    for level in (140, 180):
        streamed = codec.encode_with_reconstruction(pixels, level, options)
        with monkeypatch.context() as patched:
            patched.setattr(tiles, "_ahead", lambda header: header.tiles - 1)
            together = codec.encode_with_reconstruction(pixels, level, options)
        assert streamed[0] == together[0]
        np.testing.assert_array_equal(streamed[1], together[1])
        np.testing.assert_array_equal(streamed[1], codec.decode_pixels(streamed[0]))


def test_memory_does_not_grow_with_the_rows_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "AT_ONCE", 0)
    options, photo = EncoderOptions(tile_size=64), data.astronaut()[:, 200:264]
    codec.encode_pixels(photo[:64], 140, options)

    def peak(work: Callable[[], Any]) -> int:
        """Return the bytes that NumPy and Python had at most; the networks' are not counted."""
        tracemalloc.start()
        work()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    encoding, decoding = [], []
    for pixels in (photo, np.concatenate([photo, photo[::-1], photo])):
        file = codec.encode_pixels(pixels, 140, options)
        encoding.append(peak(partial(codec.encode_pixels, pixels, 140, options)))
        decoding.append(peak(partial(codec.decode_pixels, file)) - pixels.size)
    assert encoding[1] < encoding[0] + 200_000  # 16 tiles more, each of 64 KiB of y_hat alone
    assert decoding[1] < decoding[0] + 200_000
