"""Samples <-> payloads that give every pixel back: palettes, colour transforms, the best method.

Enters: samples of 8 to 16 bits, (H, W) or (H, W, 3). Leaves: a payload of section `E` or `A`, and
the samples.
Does not know: tiles, files, networks.

The encoder tries all methods on small parts of a picture, the best of them on larger ones, and
takes the best of these.

Source: Malvar and Sullivan 2003, JVT-I014 (YCoCg-R).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import planes
from .arrays import Samples
from .errors import FormatError
from .planes import Ints, Method, Planes

PLAIN, GREEN, YCOCG, PALETTE = range(4)  # the first byte of a payload
MOST_COLOURS = 256
SAMPLE_BITS = 16  # of the largest samples
MOST_GREYS = 16  # of a plane that has a palette
LEAST_RUNS = 0.5  # share of pixels like their left neighbours, of greys that are no photograph
LEAST_FLAT = 0.8  # of pictures of many colours that may be shorter exactly
FIRST, SECOND = 64, 128  # side of the parts by which all methods, then the best are compared
KEPT = 3  # methods that are compared again
FEWEST = 64  # pixels to fit a prediction to
MOST = 1 << 14  # pixels that it is fitted to, about
ROUNDS = 3  # of fitting, each with less weight for what is far off
MOST_REMEMBERED, LONGEST_REMEMBERED = 16, 1 << 16  # payloads, and bytes of each
_REMEMBERED: dict[bytes, bytes] = {}
_LENGTH = struct.Struct("<H")


def encode(pixels: Samples, bits: int = 8) -> bytes:
    """Return the payload of pixels, (H, W) or (H, W, 3), whose samples have so many bits.

    Short ones are remembered for a while: a target encodes the same tile at several qualities.
    """
    digest = hashlib.sha256(pixels.tobytes())
    key = digest.digest() + repr((pixels.shape, pixels.dtype.str, bits)).encode()
    payload = _REMEMBERED.pop(key, None) or _encode(pixels, bits)
    if len(payload) <= LONGEST_REMEMBERED:
        _REMEMBERED[key] = payload  # the last used is the last in order
        for old in list(_REMEMBERED)[:-MOST_REMEMBERED]:
            _REMEMBERED.pop(old, None)
    return payload


def _encode(pixels: Samples, bits: int) -> bytes:
    """Return the payload of pixels by the best of all methods."""
    found = _candidates(_stacked(pixels), bits)
    if len(found) > 1:
        found = sorted(found, key=lambda candidate: candidate.cost_bits(FIRST))[:KEPT]
        found = [min(found, key=lambda candidate: candidate.cost_bits(SECOND))]
    return found[0].payload()


def decode(payload: bytes, height: int, width: int, channels: int, bits: int = 8) -> Samples:
    """Return the pixels of a payload, (H, W) or (H, W, 3), uint8, or uint16 of more bits.

    Raises:
        FormatError: it holds no such pixels.
    """
    turned = height > width
    shape = (channels, width, height) if turned else (channels, height, width)
    stack = _read(payload, shape, bits)
    if stack.min() < 0 or stack.max() >= 1 << bits:
        raise FormatError(f"exact payload has samples of {stack.min()}..{stack.max()}")
    stack = (stack.swapaxes(1, 2) if turned else stack).astype(np.uint8 if bits == 8 else np.uint16)
    return np.ascontiguousarray(stack[0] if channels == 1 else stack.transpose(1, 2, 0))


def may_be_small(pixels: Samples) -> bool:
    """Tell what is worth a try where pixels may be lost: few colours, or nearly all in runs.

    Few greys must be in runs too: all grey photographs have no more than 256.
    """
    stack = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    colours = _colours(stack)
    if colours is None:
        return _in_runs(stack) >= LEAST_FLAT
    neutral = (colours == colours[:, :1]).all()
    if not neutral or len(colours) <= MOST_GREYS:
        return True
    return _in_runs(stack) >= LEAST_RUNS


def _in_runs(stack: NDArray[Any]) -> float:
    """Return the share of pixels of planes (C, H, W) that equal their left neighbours."""
    return float((stack[:, ::4, 1:] == stack[:, ::4, :-1]).all(axis=0).mean())


# --- the format ---


def _read(payload: bytes, shape: tuple[int, int, int], bits: int) -> Planes:
    """Return planes (C, H, W), not larger than asked for, whatever the payload holds."""
    kind = payload[0] if payload else -1
    if kind == PALETTE:
        return _read_palette(payload, shape, bits)
    if kind not in ((PLAIN,) if shape[0] == 1 else (PLAIN, GREEN, YCOCG)):
        raise FormatError(f"exact payload of {len(payload)} bytes starts with kind {kind}")
    stack = planes.decode(payload[1:], shape, _bounds(kind, shape[0], bits))
    return _BACK[kind](stack)


def _read_palette(payload: bytes, shape: tuple[int, int, int], bits: int) -> Planes:
    """Return planes whose pixels are indexes of colours."""
    if len(payload) < 4:
        raise FormatError(f"exact payload has {len(payload)} bytes, a palette has four or more")
    count, (size,) = payload[1] + 1, _LENGTH.unpack_from(payload, 2)
    head, body = payload[4 : 4 + size], payload[4 + size :]
    sample = _sample_type(bits)
    most = count * shape[0] * sample.itemsize
    if len(head) < size or size > most:
        raise FormatError(f"exact payload has a palette of {size} bytes for {count} colours")
    if size < most:
        if head[0:1] == bytes([PALETTE]):
            raise FormatError("exact payload has a palette in its palette")
        colours = _read(head, (shape[0], 1, count), bits)[:, 0]
    else:
        colours = np.frombuffer(head, sample).reshape(count, shape[0]).T.astype(np.int32)
    if count == 1 and body:
        raise FormatError(f"exact payload of one colour has {len(body)} bytes more")
    if count == 1:
        return np.broadcast_to(colours[:, :, None], shape)
    index = planes.decode(body, (1, *shape[1:]), _index_bounds(count))
    return colours[:, index[0]]


def _index_bounds(count: int) -> tuple[Ints, Ints]:
    return np.zeros(1, np.int64), np.full(1, count - 1)


def _bounds(kind: int, channels: int, bits: int) -> tuple[Ints, Ints]:
    """Return the lowest and the highest value of each plane."""
    largest = (1 << bits) - 1
    low = np.zeros(channels, np.int64)
    if kind != PLAIN:
        low[1:] = -largest
    return low, np.full(channels, largest)


def _sample_type(bits: int) -> np.dtype[Any]:
    """Return how a palette has samples of so many bits."""
    return np.dtype(np.uint8 if bits == 8 else "<u2")


def _to_green(rgb: Planes) -> Planes:
    r, g, b = rgb
    return np.stack([g, r - g, b - g])


def _from_green(stack: Planes) -> Planes:
    g, r, b = stack
    return np.stack([r + g, g, b + g])


def _to_ycocg(rgb: Planes) -> Planes:
    r, g, b = rgb
    co = r - b
    middle = b + (co >> 1)
    cg = g - middle
    return np.stack([middle + (cg >> 1), co, cg])


def _from_ycocg(stack: Planes) -> Planes:
    y, co, cg = stack
    middle = y - (cg >> 1)
    b = middle - (co >> 1)
    return np.stack([b + co, cg + middle, b])


_FORTH = {PLAIN: lambda stack: stack, GREEN: _to_green, YCOCG: _to_ycocg}
_BACK = {PLAIN: lambda stack: stack, GREEN: _from_green, YCOCG: _from_ycocg}


# --- the encoder's choice ---


@dataclass(frozen=True)
class _Candidate:
    """One way to code a picture: what comes before its planes (C, H, W), and how they are coded."""

    head: bytes
    planes: Planes
    bounds: tuple[Ints, Ints]
    method: Method

    def fitted(self) -> _Candidate:
        """Return the same with a linear prediction."""
        weights = np.stack([_fit(plane, self.method.matching) for plane in self.planes])
        return self.coded_by(replace(self.method, weights=weights))

    def coded_by(self, method: Method) -> _Candidate:
        """Return the same planes, coded in another way."""
        return replace(self, method=method)

    def cost_bits(self, side: int) -> float:
        """Return about the length in bits, by parts of a picture that are this high and wide.

        They are put side by side: what takes time is how many diagonals there are.
        """
        height, width = self.planes.shape[1:]
        part = self.planes
        if height * width > 4 * side**2:
            places = product(_places(height, side), _places(width, side))
            part = np.concatenate([part[:, rows, columns] for rows, columns in places], axis=2)
        coded = planes.size_bits(part, self.method, self.bounds)
        return 8 * len(self.head) + height * width / part[0].size * coded

    def payload(self) -> bytes:
        """Return the payload."""
        if (self.bounds[0] == self.bounds[1]).all():
            return self.head
        return self.head + planes.encode(self.planes, self.method, self.bounds)


def _places(length: int, side: int) -> list[slice]:
    """Return two places of this side along a longer one, or near the ends of a short one."""
    firsts = [length * tenths // 10 - side // 2 for tenths in (3, 7)]
    firsts = [max(0, min(first, length - side)) for first in firsts]
    return [slice(first, first + side) for first in firsts]


def _stacked(pixels: Samples) -> Planes:
    """Return pixels as planes (C, H, W), turned so that they are no higher than wide."""
    stack = (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)).astype(np.int32)
    return stack.swapaxes(1, 2) if stack.shape[1] > stack.shape[2] else stack


def _candidates(stack: Planes, bits: int) -> list[_Candidate]:
    """Return the ways to code planes (C, H, W) that may be the best."""
    colours, grey = _colours(stack), len(stack) == 1
    if colours is not None and len(colours) == 1:
        return [_indexed(stack, colours, bits, direct=False)]
    most = MOST_GREYS if grey else MOST_COLOURS
    found, few = [], False
    if colours is not None and len(colours) <= most:
        found, few = [_indexed(stack, colours, bits, direct) for direct in (True, False)], True
    main = _transformed(stack, PLAIN if grey else GREEN, bits)
    found += [main, main.fitted()]
    if few:
        return found
    found.append(main.coded_by(Method(guessing=False)).fitted())
    for kind in (PLAIN,) if grey else (GREEN, YCOCG):
        smooth = _transformed(stack, kind, bits).coded_by(Method(matching=False, guessing=False))
        found += [smooth, smooth.fitted()]
    return found


def _transformed(stack: Planes, kind: int, bits: int) -> _Candidate:
    bounds = _bounds(kind, len(stack), bits)
    return _Candidate(bytes([kind]), _FORTH[kind](stack), bounds, Method())


def _indexed(stack: Planes, colours: Ints, bits: int, direct: bool) -> _Candidate:
    """Return planes as indexes of colours (n, C): by brightness, or the most frequent first."""
    places = np.searchsorted(_codes(colours.T), _codes(stack))
    if direct:
        order = np.argsort(-np.bincount(places.ravel(), minlength=len(colours)), kind="stable")
    else:
        order = np.argsort(colours.sum(axis=1), kind="stable")
    index = np.argsort(order)[places][None].astype(np.int32)
    head = bytes([PALETTE, len(colours) - 1]) + _palette(colours[order], bits)
    return _Candidate(head, index, _index_bounds(len(colours)), Method(direct=direct))


def _palette(colours: Ints, bits: int) -> bytes:
    """Return colours (n, C), as they are or, where that is shorter, coded as a picture."""
    shortest = colours.astype(_sample_type(bits)).tobytes()
    kind = PLAIN if colours.shape[1] == 1 else GREEN
    method = Method(matching=False, guessing=False)
    picture = _transformed(colours.T[:, None].astype(np.int32), kind, bits).coded_by(method)
    shortest = min(shortest, picture.payload(), key=len)
    return _LENGTH.pack(len(shortest)) + shortest


def _colours(stack: NDArray[Any]) -> Ints | None:
    """Return the distinct colours of planes (C, H, W), (n, C), sorted; None: over 256."""
    for part in (stack[:, ::37, ::11], stack):
        codes = np.unique(_codes(part))
        if len(codes) > MOST_COLOURS:
            return None
    shifts = SAMPLE_BITS * np.arange(len(stack))[::-1]
    return np.asarray(codes[:, None] >> shifts & (1 << SAMPLE_BITS) - 1)


def _codes(stack: NDArray[Any]) -> Ints:
    """Return one number for each pixel of planes (C, ...)."""
    code = stack[0].astype(np.int64)
    for plane in stack[1:]:
        code = code << SAMPLE_BITS | plane
    return code


def _fit(plane: Planes, matching: bool) -> Ints:
    """Return weights (8,) that predict a plane (H, W), or its pixels unlike all neighbours."""
    unit = 1 << planes.WEIGHT_BITS
    first = np.zeros(len(planes.LINEAR))
    first[:2] = 0.5
    near, pixels = _neighbours(plane, 1 + plane.size // MOST)
    if matching:
        other = (near[:4] != pixels).all(axis=0)
        near, pixels = near[:, other], pixels[other]
    share, weighted = first, near
    ridge = np.eye(len(near)) * len(pixels) * 1e-3
    for _ in range(ROUNDS if len(pixels) >= FEWEST else 0):
        share = np.linalg.solve(weighted @ near.T + ridge, weighted @ pixels + ridge @ first)
        weighted = near / np.maximum(1, abs(pixels - share @ near)) ** 0.7
    found: Ints = np.rint(share * unit).clip(-32 * unit, 32 * unit).astype(np.int64)
    return found


def _neighbours(plane: Planes, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the neighbours (8, n) of some pixels within a plane, and the pixels (n,)."""
    height, width = plane.shape
    rows = np.arange(2, height, step)[:, None]
    columns = np.arange(2, width - 2)[None]
    found = []
    for name in planes.LINEAR:
        back, up = planes.NEIGHBOURS[name]
        found.append(plane[rows - up, columns - back + 2 * up].ravel())
    return np.array(found, np.float64), plane[rows, columns].ravel().astype(np.float64)
