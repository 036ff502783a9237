"""How probable a 1 is for every bit of the code planes, from the bits coded before it.

Enters: planes of bits, or a `coder.Decoder`.  Leaves: groups for `coder.encode`, or planes.
Does not know: images, networks, files.

Planes follow each other; a plane is coded in passes that refine a grid, so that most bits have
four known neighbours in their own plane.  A weighted sum of these and of some bits of earlier
planes gives a bucket; each bucket has counts, which start at what the sum predicts and adapt.
The weights are the model's; everything is exact integer arithmetic.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from . import coder
from .coder import TOTAL, Bits, Ones

Shorts = NDArray[np.int16]
Ints = NDArray[np.int32]

COARSEST = 4  # spacing of the grid that the first pass codes
MARGIN = 2  # zeros around a plane: a neighbour is at most so far away
KINDS = 5  # of passes: the first, then centres and edges of each of the two finer grids
UNIT = 64  # a sum of UNIT is a logit of 1
BUCKETS = 64
BUCKET_WIDTH = 16  # of a sum: a quarter of a logit
OBSERVATION = 16  # what one coded bit adds to the counts
START = 512  # the counts' sum at the start: as much as 32 bits

# fmt: off
_RARE: NDArray[np.int64] = np.array([
    1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 27, 35, 44, 55, 68, 84, 103,
    125, 151, 179, 209, 240,
])
# fmt: on
FIRST_ONES: NDArray[np.int64] = np.concatenate([_RARE, START - _RARE[::-1]])
"""Counts of ones at the start of each bucket, (64,): START * sigmoid((bucket - 31.5) / 4)."""


@dataclass(frozen=True)
class Pass:
    """A group of positions of a plane that is coded at once: a grid within the plane."""

    kind: int  # 0..KINDS-1
    top: int
    left: int
    spacing: int
    reach: int  # distance of the known neighbours; 0 when there are none

    def offsets(self) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
        """Return two pairs of known neighbours (dy, dx): of a pair, both weigh the same."""
        r = self.reach
        if not r:
            return ()
        if self.top and self.left:  # a centre: its diagonals
            return ((-r, -r), (r, r)), ((-r, r), (r, -r))
        return ((-r, 0), (r, 0)), ((0, -r), (0, r))

    def of(self, plane: NDArray[np.int16], dy: int = 0, dx: int = 0) -> NDArray[np.int16]:
        """Return the view of a padded plane (h + 4, w + 4) at these positions, moved by dy, dx."""
        h, w = (side - 2 * MARGIN for side in plane.shape)
        rows = slice(MARGIN + self.top + dy, MARGIN + max(h, self.top) + dy, self.spacing)
        columns = slice(MARGIN + self.left + dx, MARGIN + max(w, self.left) + dx, self.spacing)
        return plane[rows, columns]


def passes() -> list[Pass]:
    """Return the passes over a plane in their order."""
    order = [Pass(0, 0, 0, COARSEST, 0)]
    spacing, kind = COARSEST, 1
    while spacing > 1:
        half = spacing // 2
        order += [
            Pass(kind, half, half, spacing, half),
            Pass(kind + 1, 0, half, spacing, half),
            Pass(kind + 1, half, 0, spacing, half),
        ]
        spacing, kind = half, kind + 2
    return order


@dataclass(frozen=True)
class Weights:
    """What a model knows of its planes (P of them, K features each): integers, shipped.

    sources: (P, K) plane of each feature, below the plane's own.
    rows, columns: (P, K) in -1..1, where the feature is, seen from the bit.
    weights: (P, K) int16; the absolute values of a row sum to less than 2^15.
    scales, biases: (P, KINDS): what each kind of pass makes of the weighted sum, and adds.
    own: (P, KINDS, 2): weight of each pair of neighbours in the same plane.
    """

    sources: NDArray[np.int16]
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]
    weights: NDArray[np.int16]
    scales: NDArray[np.int16]
    biases: NDArray[np.int16]
    own: NDArray[np.int16]

    @property
    def planes(self) -> int:
        """P."""
        return len(self.weights)


def encode_planes(planes: Bits, model: Weights, lanes: int | None = None) -> bytes:
    """Return the payload of planes (k, h, w), the first k of the model's."""
    return coder.encode(list(groups(planes, model)), lanes)


def decode_planes(payload: bytes, shape: tuple[int, int, int], model: Weights) -> Bits:
    """Return the planes (k, h, w) of a payload.

    Raises:
        FormatError: the payload does not hold them.
    """
    decoder = coder.Decoder(payload)
    known = _padded(shape)
    for p in range(len(known)):
        for _ in _walk(known, p, model, lambda _step, ones: decoder.decode(ones)):
            pass
    decoder.finish()
    return known[:, MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.uint8)


def groups(planes: Bits, model: Weights) -> Iterator[tuple[Bits, Ones]]:
    """Yield the bits of each pass over each plane, and their probabilities."""
    known = _padded(planes.shape)
    known[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = planes  # no pass looks at what comes after it
    for p, plane in enumerate(known):
        yield from _walk(known, p, model, partial(_look_up, plane))


def _look_up(plane: Shorts, step: Pass, _: Ones) -> Bits:
    return step.of(plane).astype(np.uint8).ravel()


def _padded(shape: tuple[int, ...]) -> Shorts:
    return np.zeros((shape[0], shape[1] + 2 * MARGIN, shape[2] + 2 * MARGIN), np.int16)


def _walk(
    known: Shorts, p: int, model: Weights, code: Callable[[Pass, Ones], Bits]
) -> Iterator[tuple[Bits, Ones]]:
    """Go through plane p of `known`, writing what `code` answers to the probabilities."""
    plane, counts = known[p], Counts()
    sums = sum_features(known, p, model)
    for step in passes():
        buckets = bucket_of(step, plane, sums, p, model)
        ones = counts.ones(buckets)
        bits = code(step, ones)
        target = step.of(plane)
        target[...] = bits.reshape(target.shape)
        counts.add(buckets, bits)
        yield bits, ones


def sum_features(known: Shorts, p: int, model: Weights) -> Shorts:
    """Return the weighted sum of plane p's features everywhere, padded (h + 4, w + 4)."""
    width = known.shape[2]
    flat = known.reshape(len(known), -1)
    inside = slice(MARGIN * width, flat.shape[1] - MARGIN * width)
    sums = np.zeros(flat.shape[1], np.int16)
    term = np.empty(inside.stop - inside.start, np.int16)
    features = zip(model.sources[p], model.rows[p], model.columns[p], model.weights[p], strict=True)
    for q, dy, dx, weight in features:
        if weight:  # the margins make a step beyond a row's end a zero
            shift = int(dy) * width + int(dx)
            np.multiply(flat[q, inside.start + shift : inside.stop + shift], weight, out=term)
            sums[inside] += term
    return sums.reshape(known.shape[1:])


def bucket_of(step: Pass, plane: Shorts, sums: Shorts, p: int, model: Weights) -> NDArray[np.int64]:
    """Return the bucket 0..63 of each bit of a pass, (n,)."""
    logit = step.of(sums).astype(np.int32)
    logit *= int(model.scales[p, step.kind])
    logit >>= 8
    logit += int(model.biases[p, step.kind])
    for (first, second), weight in zip(step.offsets(), model.own[p, step.kind], strict=False):
        pair = step.of(plane, *first) + step.of(plane, *second)
        logit += np.multiply(pair, int(weight), dtype=np.int32)
    logit >>= BUCKET_WIDTH.bit_length() - 1
    logit += BUCKETS // 2
    return np.clip(logit, 0, BUCKETS - 1).ravel().astype(np.int64)


class Counts:
    """How often a bit was 1 in each bucket of one plane."""

    def __init__(self) -> None:
        self._ones = FIRST_ONES.copy()
        self._all = np.full(BUCKETS, START, np.int64)

    def ones(self, buckets: NDArray[np.int64]) -> Ones:
        """Return the probability of a 1 in each of the buckets (n,), of 8192."""
        table = np.clip(self._ones * TOTAL // self._all, 1, TOTAL - 1).astype(np.uint16)
        return table[buckets]

    def add(self, buckets: NDArray[np.int64], bits: Bits) -> None:
        """Count bits (n,) in their buckets (n,)."""
        both = np.bincount(buckets + BUCKETS * bits.astype(np.int64), minlength=2 * BUCKETS)
        self._ones += OBSERVATION * both[BUCKETS:]
        self._all += OBSERVATION * (both[:BUCKETS] + both[BUCKETS:])
