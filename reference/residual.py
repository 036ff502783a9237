"""The residual: what the networks leave, block by block (SPEC.md, section 11)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entropy import MOST_PER_LANE, Payload, Tables
from refused import need

Array = np.ndarray
DIAGONALS, BINS, CLASSES, TABLES = 15, 80, 4, 76
SHIFT_TABLE, MOST_SHIFT = 36, 8
MOST_MAGNITUDE, MOST_NUMBER = 4096, 4096
AXES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


@dataclass(frozen=True)
class Residual:
    """Symbols (C, 8, 8, h, w): plane, vertical and horizontal frequency, block; steps (C, 8, 8)."""

    symbols: Array
    steps: Array


def read(data: bytes, planes: int, height: int, width: int, folder: Path) -> Residual:
    """Return the residual of a tile of so many planes and pixels."""
    need(len(data) > 2 * planes, "a residual ends too early")
    codes, extents = list(data[0 : 2 * planes : 2]), [e % 16 for e in data[1 : 2 * planes : 2]]
    slopes = [e // 16 for e in data[1 : 2 * planes : 2]]
    need(max(codes) <= 95, "no such step of a residual")
    need(max(extents) > 0, "a residual has no band")
    with np.load(folder / "residual" / "tables.npz") as file:
        tables = Tables(file["tables"])
    shape = planes, 8, 8, -(-height // 8), -(-width // 8)
    symbols = Reader(data[2 * planes :], tables, shape, extents).read()
    diagonals = np.add.outer(np.arange(8), np.arange(8))
    powers = np.array(codes)[:, None, None] / 8 + np.multiply.outer(slopes, diagonals) / 16
    return Residual(symbols, 2.0**powers)


class Reader:
    """Symbols while they are read, group by group."""

    def __init__(self, data: bytes, tables: Tables, shape: tuple, extents: list[int]) -> None:
        self.tables, self.extents = tables, extents
        self.symbols = np.zeros(shape, np.int64)
        self.even = np.add.outer(np.arange(shape[3]), np.arange(shape[4])) % 2 == 0
        self.payload = Payload(data)
        blocks = shape[3] * shape[4]
        bands = sum(len(bands_of(d)) for extent in extents for d in range(extent))
        need(blocks * bands <= MOST_PER_LANE * len(self.payload.states), "too few lanes")
        self.numbers = np.full((shape[0], CLASSES, BINS), 24, np.int64)
        first = [np.rint(24 * 16384 * middle(b)) for b in range(BINS)]
        self.sums = np.zeros_like(self.numbers) + np.array(first, np.int64)

    def read(self) -> Array:
        """Return all symbols."""
        shifts = self.read_shifts()
        groups = [
            (d, plane, even)
            for d in range(DIAGONALS)
            for plane, extent in enumerate(self.extents)
            if extent > d
            for even in (True, False)
        ]
        for group in groups:
            d, plane, _ = group
            self.read_group(*group, shifts[plane][d], last=group == groups[-1])
        return self.symbols

    def read_shifts(self) -> list[list[int]]:
        """Return what is added to the table of each diagonal, for each plane."""
        tables = np.full(sum(self.extents), SHIFT_TABLE)
        shifts = self.payload.group(self.tables, tables).tolist()
        need(all(abs(shift) <= MOST_SHIFT for shift in shifts), "a shift is too large")
        return [[shifts.pop(0) for _ in range(extent)] for extent in self.extents]

    def read_group(self, d: int, plane: int, even: bool, shift: int, last: bool) -> None:
        """Read the bands of a diagonal, in the blocks of one colour of a chessboard."""
        where = self.even == even
        bands = bands_of(d)
        contexts = [self.context(plane, u, v, even)[where] for u, v in bands]
        classes = np.concatenate([self.class_of(plane, u, v)[where] for u, v in bands])
        bins = bin_of(np.minimum(np.concatenate(contexts), 65535))
        numbers, sums = self.numbers[plane], self.sums[plane]
        index = bin_of(sums // numbers)[classes, bins] + shift
        found = self.payload.group(self.tables, np.clip(index, 0, TABLES - 1), last)
        for (u, v), symbols in zip(bands, np.split(found, len(bands)), strict=True):
            self.symbols[plane, u, v][where] = symbols
        np.add.at(numbers, (classes, bins), 1)
        np.add.at(sums, (classes, bins), 1024 * np.minimum(abs(found), MOST_MAGNITUDE))
        while (numbers > MOST_NUMBER).any():
            many = numbers > MOST_NUMBER
            numbers[many] //= 2
            sums[many] //= 2

    def m(self, plane: int, u: int, v: int) -> Array:
        """Return the magnitudes of a band, (h, w), 0 where there is none."""
        if u < 0 or v < 0:
            return np.zeros_like(self.symbols[0, 0, 0])
        return np.minimum(abs(self.symbols[plane, u, v]), MOST_MAGNITUDE)

    def context(self, plane: int, u: int, v: int, even: bool) -> Array:
        """Return the context of a band in each block."""
        near = [self.m(plane, u - 1, v), self.m(plane, u, v - 1)]
        further = [(u - 1, v - 1), (u - 2, v), (u, v - 2)]
        found = (6 if plane else 5) * sum(near)
        found = found + sum(self.m(plane, *band) for band in further)
        found = found + sum(around(band) for band in near)
        if plane:
            found = found + 5 * self.m(plane - 1, u, v)
        found = found + self.lower_bands(plane, u + v)
        if not even:
            sides, _ = neighbours(abs(self.symbols[plane, u, v]))
            found = 13 * found // 16 + (5 if plane else 3) * sides
        return found

    def lower_bands(self, plane: int, d: int) -> Array:
        """Return what the bands of the five diagonals before say."""
        bands = [band for lower in range(max(d - 5, 0), d) for band in bands_of(lower)]
        s = sum((self.m(plane, *band) for band in bands), self.m(plane, -1, -1))
        t = sum((around(self.m(plane, *band)) for band in bands), self.m(plane, -1, -1))
        return (4 * s + t // 2 if plane else 12 * s + 2 * t) // max(len(bands), 1)

    def class_of(self, plane: int, u: int, v: int) -> Array:
        """Return the class of a band in each block, 0..3."""
        across = self.m(plane, u, v - 1) + self.m(plane, u, v - 2) == 0
        down = self.m(plane, u - 1, v) + self.m(plane, u - 2, v) == 0
        return across + 2 * down


def bands_of(d: int) -> list[tuple[int, int]]:
    """Return the bands (u, v) of a diagonal by rising u."""
    return [(u, d - u) for u in range(8) if 0 <= d - u < 8]


def neighbours(blocks: Array) -> tuple[Array, Array]:
    """Return the sums of the four blocks at the sides and of the four at the corners."""
    p = np.pad(blocks, 1)
    sides = p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]
    return sides, p[:-2, :-2] + p[:-2, 2:] + p[2:, :-2] + p[2:, 2:]


def around(blocks: Array) -> Array:
    """Return B: the sum of the eight neighbours, those at the sides twice."""
    sides, corners = neighbours(blocks)
    return 2 * sides + corners


def bin_of(x: Array) -> Array:
    """Return the bin of integers, 0..79."""
    k = np.frexp(np.maximum(x, 1).astype(np.float64))[1] - 1
    parted = 4 * (k - 1) + (x >> np.maximum(k - 2, 0)) % 4
    return np.minimum(np.where(x < 4, x, parted), BINS - 1)


def middle(number: int) -> float:
    """Return the middle of a bin, as a mean magnitude."""
    if number < 4:
        return (number + 0.5) / 1024
    k, quarter = number // 4 + 1, number % 4
    width = 2 ** (k - 2)
    return (2**k + quarter * width + width / 2) / 1024


# --- pixels ---


def differences(residual: Residual, height: int, width: int, alone: bool) -> Array:
    """Return what is added to the pixels of a tile, (H, W, C); `alone` without latents."""
    symbols = residual.symbols
    if alone:
        symbols = symbols.copy()
        symbols[:, 0, 0] = symbols[:, 0, 0].cumsum(2)
    coefficients = symbols * residual.steps[..., None, None]
    y = np.arange(8)
    basis = np.cos(np.pi * np.outer(y, 2 * y + 1) / 16) / 2  # frequency, place
    basis[0] = np.sqrt(1 / 8)
    blocks = np.einsum("cuvij,uy,vx->iyjxc", coefficients, basis, basis)
    h, _, w, _, planes = blocks.shape
    found = blocks.reshape(8 * h, 8 * w, planes)[:height, :width]
    return found @ AXES if planes == 3 else found
