"""ICC profiles for colours that a file states by numbers: primaries, white and a curve.

Source: ICC.1:2022; Bradford adaptation as its annex E; code points of ITU-T H.273.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Point = tuple[float, float]

D50 = (0.9642, 1.0, 0.8249)
D65 = (0.3127, 0.3290)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class Primaries(NamedTuple):
    """Chromaticities x, y of a white and of three primaries."""

    white: Point
    red: Point
    green: Point
    blue: Point


SRGB = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARIES = {  # by code point
    1: SRGB,
    4: Primaries((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: Primaries(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: Primaries(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


def profile(primaries: Primaries, gamma: float | None) -> bytes:
    """Return an ICC profile, version 4.3, of an RGB space.

    Args:
        primaries: its white and primaries.
        gamma: of its curve, to linear light; None for the curve of sRGB.

    Raises:
        ValueError: the primaries span no space.
    """
    adaptation, columns = _to_d50(primaries)
    curve = _curve(gamma)
    tags = {b"desc": _text("npeg: stated colours"), b"cprt": _text("CC0")}
    tags |= {b"wtpt": _xyz(D50), b"chad": b"sf32" + bytes(4) + _fixed(adaptation.ravel())}
    for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": curve}
    return _file(tags)


def _to_d50(primaries: Primaries) -> tuple[Matrix, Matrix]:
    """Return the adaptation of the white to D50, and linear RGB to XYZ under D50, 3x3 each."""
    white, *points = ([x / y, 1, (1 - x - y) / y] if y else [0, 0, 0] for x, y in primaries)
    try:
        columns = np.array(points).T
        columns = columns * np.linalg.solve(columns, white)
        cones = (BRADFORD @ D50) / (BRADFORD @ white)
        adaptation = np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD
    except np.linalg.LinAlgError as error:
        raise ValueError("its primaries span no space") from error
    if not np.abs(adaptation @ columns).max() < 8:  # nan, too: none that exists is near
        raise ValueError("its primaries span no space")
    return adaptation, adaptation @ columns


def _curve(gamma: float | None) -> bytes:
    """Return a parametric curve: a power, or that of sRGB (IEC 61966-2-1)."""
    if gamma is None:
        numbers = [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(numbers)
    return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed([gamma])


def _fixed(numbers: NDArray[np.float64] | list[float] | tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(65536 * float(number))) for number in numbers)


def _xyz(numbers: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(numbers)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded


def _file(tags: dict[bytes, bytes]) -> bytes:
    """Return a display profile with these tags."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    head = struct.pack(">I4xI4s4s4s", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)  # fixed: the same colours, the same bytes
    head = (head + date + b"acsp").ljust(68, b"\0") + _fixed(D50)
    return head.ljust(128, b"\0") + table + body
