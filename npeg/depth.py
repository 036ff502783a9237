"""Samples of 8 bits and of more, and what they are worth of each other.

Enters or leaves: uint8; or of all sources of more than 8 bits uint16, where 65535 is full; or the
*levels* that the networks compute with, of 255, float32 where there are more than 256 of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Levels, Samples
from .errors import InputError

FULL = 65535
STEP = 257  # of uint16 in a level: 65535 / 255
DTYPES = ("uint8", "uint16", "float32")  # that pixels can leave as


def full(pixels: Samples) -> int:
    """Return the largest value that samples of this type have."""
    return int(np.iinfo(pixels.dtype).max)


def to_levels(pixels: Samples) -> Levels:
    """Return samples in levels: uint8 as they are, uint16 as float32."""
    return pixels if pixels.dtype == np.uint8 else pixels / np.float32(STEP)


def rounded(levels: Levels) -> NDArray[np.uint8]:
    """Return levels as uint8."""
    return levels if levels.dtype == np.uint8 else np.rint(levels).clip(0, 255).astype(np.uint8)


def from_levels(levels: Levels) -> NDArray[np.uint16]:
    """Return levels as uint16."""
    if levels.dtype == np.uint8:
        return levels * np.uint16(STEP)
    return np.rint(levels * STEP).clip(0, FULL).astype(np.uint16)


def as_type(pixels: Samples, dtype: Any) -> Samples:
    """Return samples as uint8, uint16 or float32 in [0, 1]; what is of that type as it is."""
    if pixels.dtype == dtype:
        return pixels
    if dtype == np.uint8:
        return ((pixels.astype(np.uint32) + STEP // 2) // STEP).astype(np.uint8)
    if dtype == np.uint16:
        return from_levels(pixels)
    return pixels / np.float32(full(pixels))


def widened(samples: Samples, bits: int) -> Samples:
    """Return samples 0..2^bits - 1 as uint16, full where they are; those of 8 bits as they are."""
    if bits == 8:
        return samples
    most = (1 << bits) - 1
    return ((samples.astype(np.uint32) * FULL + most // 2) // most).astype(np.uint16)


def of_bits(pixels: Samples, bits: int) -> Samples:
    """Return the samples 0..2^bits - 1 that were widened; others are rounded."""
    if bits == 8:
        return pixels
    most = (1 << bits) - 1
    return ((pixels.astype(np.uint32) * most + FULL // 2) // FULL).astype(np.uint16)


def of_floats(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Return floats from 0 to 1 as uint16, which no quality of npeg's can tell from them.

    Raises:
        InputError: there are others.
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # NaN is in no range
        raise InputError(f"found floats from {low:g} to {high:g}, expected 0 to 1")
    return np.rint(values.astype(np.float64) * FULL).astype(np.uint16)


def of_array(array: NDArray[Any]) -> Samples | None:
    """Return an array of uint8, uint16 or floats as samples; None: it is of another type.

    Raises:
        InputError: its floats are not from 0 to 1.
    """
    if array.dtype.kind == "f":
        return of_floats(array)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    return None


def checked_dtype(dtype: object) -> np.dtype[Any]:
    """Return the type that decoded pixels are to have.

    Raises:
        InputError: it is none of DTYPES.
    """
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if dtype is None or found not in map(np.dtype, DTYPES):
        raise InputError(f"found the dtype {dtype!r}, expected {', '.join(DTYPES)}")
    assert isinstance(found, np.dtype)
    return found
