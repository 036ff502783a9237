"""What parts of a picture say of the whole: how bytes and errors go with quality, in less time.

Enters: pixels, a function that encodes and measures some. Leaves: a value at each level, which is
off by about the same at levels near each other. Knows no codec.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .arrays import Samples

Shape = Callable[[int], float]  # level -> value

LEAST, MOST = 128, 512  # side of the sketch in pixels
SHARE = 4  # of the picture's side
PLACES = (0.3, 0.7)  # of the parts' middles, in shares of the picture's sides
UNIT = 64  # pixels: a hyper-latent's


def part_of(pixels: Samples) -> Samples:
    """Return four parts of a picture (H, W, ...), put together."""
    side = round((pixels.shape[0] * pixels.shape[1]) ** 0.5 / SHARE / UNIT) * UNIT
    half = min(max(side, LEAST), MOST) // 2
    rows, columns = (_parts(length, half) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[rows][:, columns])


def shape_of(value_of: Callable[[Samples, int], float], pixels: Samples) -> Shape:
    """Return what parts of a picture say of a value at each level; each is measured once."""
    part = part_of(pixels)
    return cache(lambda level: value_of(part, level))


def _parts(length: int, half: int) -> NDArray[np.int64]:
    """Return the indexes of two parts along a side, or of all of it."""
    if length <= 2 * half:
        return np.arange(length)
    firsts = [min(max(round(length * at) - half // 2, 0), length - half) for at in PLACES]
    return np.unique(np.concatenate([np.arange(first, first + half) for first in firsts]))


def crossing(
    shape: Shape, known: dict[int, float], bounds: tuple[int, int], target: float, above: bool
) -> int:
    """Return the level that is supposed to be the best: the first at the target, or the last below.

    Args:
        shape: of the curve.
        known: its values at some levels.
        bounds: levels between which it crosses the target.
        target: a value.
        above: values at or above the target are wanted, the least of them; else those up to it.
    """
    ends = [level for level in bounds if level in known]
    offsets = [known[level] - shape(level) for level in ends]
    low, high = bounds
    while high - low > 1:
        level = (low + high) // 2
        value = shape(level) + (float(np.interp(level, ends, offsets)) if ends else 0.0)
        if value > target or (above and value == target):
            high = level
        else:
            low = level
    return high if above else low
