"""The order of a residual's coefficients, and the probability table of each.

Enters: symbols as they are decoded, or are to be encoded. Leaves: the table of each next group.
Integers only. Which table a coefficient has follows from magnitudes before it: in its block, in
the blocks around, in the planes before; and from how large those in the same context have been.
A transcription of SPEC.md, section 11.

Source: ITU-T T.81 (JPEG: blocks, bands); Weinberger et al. 1996, LOCO-I (contexts that learn).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from . import _residual as kernel
except ImportError:  # installed without a C compiler
    kernel = None  # type: ignore[assignment]

SIDE = 8  # of a block
DIAGONALS = 2 * SIDE - 1  # of the bands (u, v) of a block: u + v = 0..14
TABLES = 76  # by the mean of their magnitudes, four an octave
CLASSES = 4  # of contexts: which of the bands before are 0
BINS = 80  # of contexts: what 2^20 comes to is below
UNIT = 1024  # of means of magnitudes
CONTEXT_UNIT = 64  # what contexts are to magnitudes, about
PRIOR = 24  # symbols that what is supposed beforehand counts as
MEMORY = 4096  # symbols of a context after which the older ones count half
LOOK_BACK = 5  # diagonals whose mean over the block counts
CONTEXTS = 1 << 16  # what is expected is below, or counts as the largest
MOST = 1 << 12  # what a larger magnitude is counted as

Ints = NDArray[np.int64]
Visit = Callable[["Group"], NDArray[Any]]
Group = tuple[int, Ints, Ints, Ints, Ints]  # plane, u, v, blocks, tables (bands, blocks)


def bin_of(values: Any) -> Ints:
    """Return the bins of integers >= 0: 0..3 are their own, then four an octave."""
    octave = np.frexp(np.maximum(values, 4))[1].astype(np.int64) - 1
    bins = np.where(values < 4, values, 4 * (octave - 1) + (values >> (octave - 2) & 3))
    return np.minimum(bins, BINS - 1)


def middle_of_bin(t: int) -> float:
    """Return the mean of magnitudes in the middle of a bin of `UNIT`."""
    low = t if t < 4 else (4 + t % 4) << (t // 4 - 1)
    return (low + (0.5 if t < 4 else 2.0 ** (t // 4 - 2))) / UNIT


@cache
def _bin_of_context() -> Ints:
    return bin_of(np.arange(CONTEXTS))


class Order:
    """Walks through the coefficients of a tile, diagonal after diagonal, plane after plane.

    Args:
        planes: C, 1 or 3.
        shape: (h, w), blocks of the tile in each direction.
        extents: diagonals that are coded of each plane, 0..15; all others are 0.
        most: the last table; an encoder that has no shifts yet asks for BINS - 1, so that shifts
            can be added to what it is given.
    """

    def __init__(
        self, planes: int, shape: tuple[int, int], extents: list[int], most: int = TABLES - 1
    ) -> None:
        h, w = shape
        self.extents = extents
        self.most = most
        self.symbols = np.zeros((planes, SIDE, SIDE, h * w), np.int32)
        self._shape = h, w
        self._own = np.zeros((planes, SIDE + 2, SIDE + 2, h * w), np.int32)  # two bands of 0 first
        self._around = np.zeros_like(self._own)
        self._blocks = np.zeros((planes, DIAGONALS, h * w), np.int32)
        self._near = np.zeros_like(self._blocks)
        dark = np.add.outer(np.arange(h), np.arange(w)).ravel() % 2
        self._halves = [np.flatnonzero(dark == parity) for parity in (0, 1)]
        self._count = np.full((planes, CLASSES * BINS), PRIOR, np.int64)
        supposed = [
            round(PRIOR * UNIT * UNIT / CONTEXT_UNIT * middle_of_bin(b)) for b in range(BINS)
        ]
        self._sum = np.tile(np.array(supposed, np.int64), (planes, CLASSES))

    def run(self, shifts: Ints, visit: Visit) -> NDArray[Any]:
        """Visit all groups; `visit` returns the symbols of each, of the shape of its tables.

        Args:
            shifts: (C, 15), by how many tables those of a plane's diagonal differ.
            visit: called for each group in order.

        Returns:
            All symbols, (C, 8, 8, h, w).
        """
        for d in range(DIAGONALS):
            u = np.arange(max(0, d - SIDE + 1), min(d, SIDE - 1) + 1)
            for plane in range(len(self.symbols)):
                if d < self.extents[plane]:
                    self._diagonal(plane, d, u, int(shifts[plane, d]), visit)
        return self.symbols.reshape(*self.symbols.shape[:3], *self._shape)

    def _diagonal(self, plane: int, d: int, u: Ints, shift: int, visit: Visit) -> None:
        """Visit the bands (u, d - u) of a plane: first every other block, then those between."""
        band = self.symbols[plane, u, d - u]
        context, classes = self._expected(plane, d, u)
        for sides, blocks in zip((0, 5 if plane else 3), self._halves, strict=True):
            means = bin_of(self._sum[plane] // self._count[plane]) + shift
            table_of_bin = means.clip(0, self.most)
            bins, tables = self._chosen(context, classes, band, blocks, sides, table_of_bin)
            found = visit((plane, u, d - u, blocks, tables))
            band[:, blocks] = found
            self._learn(plane, bins, found)
        self.symbols[plane, u, d - u] = band
        self._keep(plane, d, u, band)

    def _expected(self, plane: int, d: int, u: Ints) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """Return what is to be expected of bands (u, d - u), and their classes, (bands, h * w)."""
        if not kernel:
            return self._context(plane, d, u), self._class(plane, d, u)
        shape = len(u), self.symbols.shape[3]
        context, classes = np.empty(shape, np.int32), np.empty(shape, np.uint8)
        state = self._own, self._around, self._blocks, self._near
        kernel.expect(*state, plane, d, context, classes)
        return context, classes

    def _chosen(
        self,
        context: NDArray[np.int32],
        classes: NDArray[Any],
        band: NDArray[np.int32],
        blocks: Ints,
        sides: int,
        table_of_bin: Ints,
    ) -> tuple[Ints, Ints]:
        """Return the bins and the tables of some blocks of bands (bands, h * w).

        sides: what the magnitudes in the four blocks beside count, 0 where they are not known.
        """
        if kernel:
            shape = len(context), len(blocks)
            bins, tables = np.empty(shape, np.int64), np.empty(shape, np.int64)
            known = context, classes, band, blocks, sides, self._shape
            kernel.choose(*known, _bin_of_context(), table_of_bin, bins, tables)
            return bins, tables
        part = context[:, blocks]
        if sides:
            beside = self._sum_around(np.abs(band), sides=1, corners=0)[:, blocks]
            part = (13 * part >> 4) + sides * beside
        bins = _bin_of_context()[np.minimum(part, CONTEXTS - 1)] + BINS * classes[:, blocks]
        return bins, table_of_bin[bins]

    def _context(self, plane: int, d: int, u: Ints) -> NDArray[np.int32]:
        """Return what is to be expected of bands (u, d - u), in 1/64 about, (bands, h * w)."""
        own, around = self._own[plane], self._around[plane]
        u, v = u + 2, d - u + 2
        near = own[u - 1, v - 1] + own[u - 2, v] + own[u, v - 2]
        near += around[u - 1, v] + around[u, v - 1]
        next_to = own[u - 1, v] + own[u, v - 1]
        first = max(d - LOOK_BACK, 0)
        count = sum(min(k + 1, DIAGONALS - k) for k in range(first, d)) or 1
        block, blocks = self._blocks[plane, first:d].sum(0), self._near[plane, first:d].sum(0)
        if plane == 0:
            return (5 * next_to + near + (12 * block + 2 * blocks) // count).astype(np.int32)
        mean = (4 * block + blocks // 2) // count
        return (6 * next_to + near + mean + 5 * self._own[plane - 1, u, v]).astype(np.int32)

    def _class(self, plane: int, d: int, u: Ints) -> Ints:
        """Return which of bands (u, d - u) have zeros before them, (bands, h * w): 0..3.

        1 is added where the next two lower bands of the same u are 0, 2 where those of the same v
        are; those of a straight edge are 0 on one side alone.
        """
        own = self._own[plane]
        u, v = u + 2, d - u + 2
        across = (own[u, v - 1] | own[u, v - 2]) == 0
        down = (own[u - 1, v] | own[u - 2, v]) == 0
        return across + 2 * down.astype(np.int64)

    def _learn(self, plane: int, bins: Ints, symbols: NDArray[Any]) -> None:
        """Count symbols by their contexts' bins, of the same shape."""
        count, total = self._count[plane], self._sum[plane]
        if kernel:
            kernel.learn(bins, np.ascontiguousarray(symbols, np.int32), count, total)
            return
        count += np.bincount(bins.ravel(), minlength=len(count))
        weights = np.minimum(np.abs(symbols), MOST).ravel()
        total += UNIT * np.bincount(bins.ravel(), weights, len(count)).astype(np.int64)
        while (many := count > MEMORY).any():
            count[many] >>= 1
            total[many] >>= 1

    def _keep(self, plane: int, d: int, u: Ints, band: NDArray[np.int32]) -> None:
        """Remember the magnitudes of the bands (u, d - u) of a plane, (bands, h * w)."""
        if kernel:
            state = self._own, self._around, self._blocks, self._near
            kernel.keep(band, plane, d, self._shape, *state)
            return
        found = np.minimum(np.abs(band), MOST)
        around = self._sum_around(found, sides=2, corners=1)
        self._own[plane, u + 2, d - u + 2] = found
        self._around[plane, u + 2, d - u + 2] = around
        self._blocks[plane, d] = found.sum(0)
        self._near[plane, d] = around.sum(0)

    def _sum_around(self, band: NDArray[np.int32], sides: int, corners: int) -> NDArray[np.int32]:
        """Return weighted sums of what is in the eight blocks around each, (bands, h * w)."""
        h, w = self._shape
        padded = np.zeros((len(band), h + 2, w + 2), np.int32)
        padded[:, 1:-1, 1:-1] = band.reshape(-1, h, w)
        rows = padded[:, :-2] + padded[:, 2:]
        total = sides * (rows[:, :, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:])
        if corners:
            total += corners * (rows[:, :, :-2] + rows[:, :, 2:])
        return total.reshape(len(band), h * w)
