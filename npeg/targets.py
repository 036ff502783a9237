"""Exact targets in place of a quality: bits a pixel, bytes, or PSNR.

Pixels and a target enter, the best file that meets the target leaves.  Files are measured, never
estimated: size means the whole file, PSNR the decoder's own output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import codec
from .container import LEVELS
from .encoder_rule import EFFORT, TUNE
from .errors import InputError

Pixels = NDArray[np.uint8]

TOP = LEVELS - 1
LOOK_AHEAD = 2  # levels tried beyond the one found: tiny images are uneven by a level or two


def encode(
    pixels: Pixels,
    quality: float,
    *,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    effort: int = EFFORT,
    tune: str = TUNE,
) -> bytes:
    """Encode pixels, (H, W, 3) or (H, W), at a quality or at the one target that is given.

    Raises:
        InputError: a value is out of range, two targets are given, or none reaches it.
    """
    if sum(target is not None for target in (bpp, size, psnr)) > 1:
        raise InputError("found several of bpp, size and psnr, expected one")
    if bpp is not None:
        return encode_to_bpp(pixels, bpp, effort, tune)
    if size is not None:
        return encode_to_size(pixels, size, effort, tune)
    if psnr is not None:
        return encode_to_psnr(pixels, psnr, effort, tune)
    return codec.encode_pixels(pixels, level_of(quality), effort=effort, tune=tune)


def level_of(quality: float) -> int:
    """Return the level in the file, 0..200, of a quality of 0..100."""
    if not _is_number(quality) or not 0 <= quality <= TOP / 2:
        raise InputError(f"quality is {quality!r}, expected 0 to {TOP // 2}")
    return round(2 * quality)


def encode_to_bpp(pixels: Pixels, bpp: float, effort: int = EFFORT, tune: str = TUNE) -> bytes:
    """Return the file of the highest quality that has at most bpp bits a pixel."""
    count = pixels.shape[0] * pixels.shape[1]
    limit = _positive(bpp, "bpp") * count / 8
    return _largest_file(pixels, limit, lambda size: f"{8 * size / count:.4g} bpp", effort, tune)


def encode_to_size(
    pixels: Pixels, size_bytes: int, effort: int = EFFORT, tune: str = TUNE
) -> bytes:
    """Return the file of the highest quality that has at most size_bytes bytes."""
    limit = _positive(size_bytes, "size")
    return _largest_file(pixels, limit, lambda size: f"{size:.0f} bytes", effort, tune)


def encode_to_psnr(pixels: Pixels, psnr: float, effort: int = EFFORT, tune: str = TUNE) -> bytes:
    """Return the smallest file whose decoded image has at least this RGB PSNR in dB."""
    target = _positive(psnr, "psnr")
    file_at = cache(lambda level: codec.encode_pixels(pixels, level, effort=effort, tune=tune))

    @cache
    def psnr_at(level: int) -> float:
        return psnr_db(pixels, codec.decode_pixels(file_at(level)))

    steps_down = _furthest(lambda step: psnr_at(TOP - step) >= target)
    if steps_down is None:
        best = f"{max(psnr_at(TOP - step) for step in range(LOOK_AHEAD + 1)):.2f} dB"
        raise InputError(f"psnr {target:g} dB is out of reach: the best for this image is {best}")
    return file_at(TOP - steps_down)


def psnr_db(a: Pixels, b: Pixels) -> float:
    """Return the PSNR over all samples of two images of equal shape; inf when they are equal."""
    rows = zip(a, b, strict=True)  # one by one: no second image in memory
    error = sum(int(np.square(np.subtract(x, y, dtype=np.int64)).sum()) for x, y in rows)
    return 10 * math.log10(255**2 * a.size / error) if error else math.inf


def _largest_file(
    pixels: Pixels, limit: float, text: Callable[[float], str], effort: int, tune: str
) -> bytes:
    """Return the file of the highest quality with at most `limit` bytes."""
    file_at = cache(lambda level: codec.encode_pixels(pixels, level, effort=effort, tune=tune))
    level = _furthest(lambda level: len(file_at(level)) <= limit)
    if level is None:
        smallest = text(min(len(file_at(level)) for level in range(LOOK_AHEAD + 1)))
        raise InputError(
            f"{text(limit)} is out of reach: the smallest for this image is {smallest}"
        )
    return file_at(level)


def _furthest(meets: Callable[[int], bool]) -> int | None:
    """Return the last step of 0..TOP that meets a target, None when the first ones do not.

    Bisection: the steps that meet it come first, but for LOOK_AHEAD uneven ones at the border.
    """
    low = next(filter(meets, range(LOOK_AHEAD + 1)), None)
    if low is None:
        return None
    high = TOP + 1  # low meets it, high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    beyond = range(high + 1, min(high + LOOK_AHEAD, TOP) + 1)
    return max([low, *filter(meets, beyond)])


def _positive(value: float, name: str) -> float:
    if not _is_number(value) or not 0 < value < math.inf:
        raise InputError(f"{name} is {value!r}, expected a number above 0")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
