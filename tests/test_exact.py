"""Exact payloads: every pixel comes back, few bytes are used, damage is refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from skimage import data

from npeg import adaptive, exact, planes
from npeg.arrays import Pixels
from npeg.errors import FormatError
from npeg.planes import Method

BOUNDS = np.zeros(1, np.int64), np.full(1, 255)


def pictures(height: int, width: int) -> dict[str, Pixels]:
    """Return pictures of all kinds of one size."""
    rng = np.random.default_rng(height * 100 + width)
    noise = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:height, :width]
    return {
        "noise": noise,
        "grey noise": noise[..., 0],
        "photo": data.astronaut()[100 : 100 + height, 180 : 180 + width],
        "flat": np.full((height, width, 3), (1, 250, 99), np.uint8),
        "two colours": np.where(noise[..., :1] < 40, 255, 0).astype(np.uint8).repeat(3, axis=2),
        "five greys": noise[..., 0] // 52,
        "palette": np.array([[0, 0, 9], [255, 0, 0], [7, 8, 9]], np.uint8)[noise[..., 1] % 3],
        "ramp": (rows * 3 + columns * 2).astype(np.uint8),
        "extremes": np.where(noise < 128, 0, 255).astype(np.uint8),
    }


def round_trip(pixels: Pixels) -> bytes:
    payload = exact.encode(pixels)
    channels = 1 if pixels.ndim == 2 else 3
    found = exact.decode(payload, len(pixels), pixels.shape[1], channels)
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    return payload


SIZES = [(1, 1), (1, 2), (2, 1), (1, 70), (70, 1), (2, 3), (5, 4), (16, 17), (70, 33), (64, 70)]


@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_comes_back(size: tuple[int, int]) -> None:
    for pixels in pictures(*size).values():
        round_trip(pixels)


METHODS = [
    Method(),
    Method(guessing=False),
    Method(matching=False, guessing=False),
    Method(direct=True),
    Method(matching=False, guessing=False, direct=True),
    Method(weights=np.full((1, 8), 16)),
    Method(weights=np.arange(-4, 4)[None] * 900),
]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_plane_back(method: Method) -> None:
    for size in SIZES[::4]:
        for pixels in pictures(*size).values():
            plane = pixels.reshape(*size, -1)[None, ..., 0].astype(np.int32)
            payload = planes.encode(plane, method, BOUNDS)
            np.testing.assert_array_equal(planes.decode(payload, plane.shape, BOUNDS), plane)
            assert planes.size_bits(plane, method, BOUNDS) / 8 < len(payload)


def test_photographs_are_not_tried() -> None:
    photo = data.astronaut()[:128, :128]
    assert not exact.may_be_small(photo)
    assert not exact.may_be_small(photo[..., 0])
    assert not exact.may_be_small(np.repeat(photo[..., :1], 3, axis=2))
    assert exact.may_be_small(photo // 128 * 255)


def test_planes_of_16_bits_come_back() -> None:
    plane = np.random.default_rng(1).integers(0, 1 << 16, (2, 9, 20)).astype(np.int32)
    bounds = np.zeros(2, np.int64), np.full(2, (1 << 16) - 1)
    for method in (Method(), Method(matching=False, guessing=False), Method(direct=True)):
        payload = planes.encode(plane, method, bounds)
        np.testing.assert_array_equal(planes.decode(payload, plane.shape, bounds), plane)


def test_what_is_flat_costs_a_handful_of_bytes() -> None:
    assert len(round_trip(np.full((700, 500, 3), 255, np.uint8))) == 7
    assert len(round_trip(np.zeros((1, 1), np.uint8))) == 5


def test_text_takes_half_of_what_png_takes() -> None:
    image = Image.new("L", (300, 90), 255)
    for k in range(0, 80, 12):
        ImageDraw.Draw(image).text((3, k), "every pixel comes back as it was, and costs little", 0)
    pixels = np.asarray(image)
    assert len(round_trip(pixels)) < 1600


def test_a_photograph_takes_less_than_4_bits_a_sample() -> None:
    pixels = data.astronaut()[100:228, 150:300]
    assert len(round_trip(pixels)) < pixels.size * 4.1 / 8


def test_the_bytes_are_those_of_the_specification() -> None:
    pixels = np.array([[0, 0, 9, 9], [0, 7, 9, 9], [0, 0, 0, 8]], np.uint8)
    assert exact.encode(pixels).hex() == GOLDEN
    np.testing.assert_array_equal(exact.decode(bytes.fromhex(GOLDEN), 3, 4, 1), pixels)


GOLDEN = "000300c16fdd361030af13"


SMALL = np.ascontiguousarray(data.astronaut()[100:112, 180:196])


def test_every_truncation_is_refused() -> None:
    for pixels in (SMALL, SMALL[..., 0] // 16, np.zeros((12, 16), np.uint8)):
        payload = exact.encode(pixels)
        for size in range(len(payload)):
            with pytest.raises(FormatError):
                exact.decode(payload[:size], 12, 16, 1 if pixels.ndim == 2 else 3)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 4000), st.integers(0, 255), st.integers(0, 2), st.sampled_from([1, 3]))
def test_damage_gives_pixels_or_one_line(at: int, value: int, which: int, channels: int) -> None:
    pixels = (SMALL, SMALL[..., 0] // 16, np.array([[1, 2, 3]], np.uint8).repeat(9, 0))[which]
    damaged = bytearray(exact.encode(pixels))
    damaged[at % len(damaged)] = value
    try:
        assert exact.decode(bytes(damaged), 12, 16, channels).shape[:2] == (12, 16)
    except FormatError as error:
        assert "\n" not in str(error)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=90), st.integers(0, 3), st.integers(0, 15))
def test_any_bytes_give_pixels_or_one_line(tail: bytes, kind: int, flags: int) -> None:
    for payload in (tail, bytes([kind, flags]) + tail, bytes([kind, flags, 0, 0, 0, 1]) + tail):
        try:
            assert exact.decode(payload, 20, 30, 3).shape == (20, 30, 3)
        except FormatError as error:
            assert "\n" not in str(error)


def test_a_few_bytes_cannot_keep_a_decoder_busy() -> None:
    certain = adaptive.Tables(np.array([1]), np.ones((1, 1), np.int64))  # its symbol costs nothing
    reader = adaptive.Reader(b"\0" + (1 << 16).to_bytes(4, "little"), certain)
    reader.code(certain, np.zeros(100, np.int64))
    with pytest.raises(FormatError, match="has 1 lanes for 32868 symbols"):
        reader.code(certain, np.zeros(1 << 15, np.int64))


def test_writer_and_reader_agree_on_any_groups() -> None:
    rng = np.random.default_rng(5)
    sizes = np.array([3, 40, 7])

    def tables() -> adaptive.Tables:
        return adaptive.Tables(sizes, np.ones((3, 40), np.int64))

    ours = tables()
    writer, groups = adaptive.Writer(ours), []
    for count in (1, 0, 500, 3, 2000):
        rows = rng.integers(0, 3, count)
        symbols = (rng.random(count) ** 4 * sizes[rows]).astype(np.int64)
        widths = rng.integers(0, 9, count)
        values = rng.integers(0, 256, count) & (1 << widths) - 1
        writer.refresh()
        writer.code(ours, rows, symbols)
        writer.bits(widths, values)
        groups.append((rows, symbols, widths, values))
    theirs = tables()
    reader = adaptive.Reader(writer.finish(), theirs)
    for rows, symbols, widths, values in groups:
        reader.refresh()
        np.testing.assert_array_equal(reader.code(theirs, rows), symbols)
        np.testing.assert_array_equal(reader.bits(widths), values)
    reader.finish()


def test_a_tile_is_not_tried_again_at_another_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def counted(pixels: Pixels, bits: int) -> bytes:
        tried.append(bits)
        return encode(pixels, bits)

    encode = exact._encode
    monkeypatch.setattr(exact, "_encode", counted)
    monkeypatch.setattr(exact, "_REMEMBERED", {})
    stripes = np.add.outer(np.arange(40), 7 * np.arange(30)).astype(np.uint8)
    assert exact.encode(stripes) == exact.encode(stripes.copy())
    assert len(tried) == 1
    exact.encode(stripes.T)
    exact.encode(stripes, bits=9)
    assert len(tried) == 3
    for number in range(exact.MOST_REMEMBERED):
        exact.encode(np.full((1, 1), number, np.uint8))
    assert len(exact._REMEMBERED) == exact.MOST_REMEMBERED
    exact.encode(stripes)
    assert len(tried) == 4 + exact.MOST_REMEMBERED
