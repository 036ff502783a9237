"""What the networks leave of a tile, coded block by block behind them.

Enters: the difference of a tile's pixels to what the networks decode. Leaves: bytes, and again a
difference, to within half a step a coefficient. A transcription of SPEC.md, section 11.

    difference -> luma and two colours -> 8x8 cosines -> steps -> rANS, diagonal after diagonal

No pixel has a say in which symbols are read, so that machines whose networks differ by a rounding
read the same.

Source: ITU-T T.81 (JPEG).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import entropy, weights
from .arrays import Levels
from .errors import FormatError
from .residual_order import BINS, DIAGONALS, SIDE, TABLES, Group, Order

try:
    from . import _residual as kernel
except ImportError:  # installed without a C compiler
    kernel = None  # type: ignore[assignment]

STEP_CODES = 96  # steps of 2^(code / 8), 1 to 3756
GREY = 128  # what pixels are a difference to where the networks have no say
SHIFT_TABLE = 36  # of the shifts: magnitudes of about 1
MOST_SHIFT = 8
FILE = Path(__file__).parent / "models" / "residual" / "tables.npz"

Float = NDArray[np.float64]
Ints = NDArray[Any]


@dataclass(frozen=True)
class Residual:
    """What a payload says.

    Attributes:
        symbols: coefficients in steps, (C, 8, 8, h, w), C = 1 or 3.
        steps: code of each plane's step, 0..95.
        alone: whether the pixels are a difference to mid-grey, not to what the networks decode.
        slopes: by how many sixteenths of an octave each plane's steps grow from a diagonal of bands
            to the next, 0..15; empty for 0.
    """

    symbols: Ints
    steps: tuple[int, ...]
    alone: bool = False
    slopes: tuple[int, ...] = ()

    @property
    def worth(self) -> Float:
        """What a symbol of each band is worth, in levels, (C, 8, 8, 1, 1)."""
        return worth_of(self.steps, self.slopes)


@cache
def tables() -> entropy.Tables:
    """Return the tables of the coefficients, by the mean of the magnitudes."""
    with np.load(weights.open_arrays(FILE), allow_pickle=False) as arrays:
        return entropy.Tables(arrays["tables"])


def step_of(code: int) -> float:
    """Return what a symbol is worth of an orthonormal coefficient, in levels."""
    return float(np.exp2(code / 8))


def worth_of(steps: tuple[int, ...], slopes: tuple[int, ...]) -> Float:
    """Return what a symbol of each plane and band is worth, (C, 8, 8, 1, 1)."""
    diagonal = np.add.outer(np.arange(SIDE), np.arange(SIDE))
    pairs = zip(steps, slopes or (0,) * len(steps), strict=True)
    worth = np.stack([np.exp2(code / 8 + slope / 16 * diagonal) for code, slope in pairs])
    return np.asarray(worth[..., None, None])


# --- transform ---


@cache
def _cosines() -> Float:
    """Return the orthonormal cosine transform of 8 samples, (frequency, sample)."""
    i = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(i, 2 * i + 1) / (2 * SIDE))
    return np.asarray(waves / np.linalg.norm(waves, axis=1, keepdims=True))


@cache
def _colours() -> Float:
    """Return luma and two colours, orthonormal, of R, G and B, (plane, channel)."""
    rows = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def forward(difference: Ints) -> Float:
    """Return the coefficients (C, 8, 8, h, w) of a difference (H, W, C), C = 1 or 3."""
    height, width, channels = difference.shape
    padding = ((0, -height % SIDE), (0, -width % SIDE), (0, 0))
    samples = np.pad(difference.astype(np.float64), padding, mode="edge")
    if channels == 3:
        samples = samples @ _colours().T
    h, w = samples.shape[0] // SIDE, samples.shape[1] // SIDE
    blocks = samples.reshape(h, SIDE, w, SIDE, channels)  # (h, y, w, x, C)
    half = np.tensordot(_cosines(), blocks, (1, 1))  # (u, h, w, x, C)
    return np.ascontiguousarray(np.tensordot(_cosines(), half, (1, 3)).transpose(4, 1, 0, 2, 3))


def inverse(symbols: Ints, worth: Float, height: int, width: int) -> Float:
    """Return the difference (H, W, C) of symbols (C, 8, 8, h, w), worth (C, 8, 8, 1, 1) levels."""
    channels, _, _, h, w = symbols.shape
    if kernel:
        pixels = np.empty((h * SIDE, w * SIDE, channels))
        colours = _colours() if channels == 3 else np.ones((1, 1))
        shape = channels, h, w
        kernel.inverse(symbols.astype(np.int32), worth, _cosines(), colours, shape, pixels)
        return pixels[:height, :width]
    half = np.tensordot(_cosines().T, symbols * worth, (1, 1))  # (y, C, v, h, w)
    blocks = np.tensordot(_cosines().T, half, (1, 2))  # (x, y, C, h, w)
    samples = blocks.transpose(3, 1, 4, 0, 2).reshape(h * SIDE, w * SIDE, channels)
    return (samples @ _colours() if channels == 3 else samples)[:height, :width]


def add(levels: Levels, residual: Residual) -> Float:
    """Return levels (H, W, C) of the networks with a residual added, not rounded.

    Of one that is alone, the levels say the size.
    """
    height, width, _ = levels.shape
    difference = inverse(residual.symbols, residual.worth, height, width)
    return difference + (GREY if residual.alone else levels)


# --- payload ---


def pack(residual: Residual) -> bytes:
    """Return the payload of a residual."""
    symbols = coded_symbols(residual)
    extents = [_extent(plane) for plane in symbols]
    groups = grouped(symbols)
    shifts = best_shifts(groups, len(symbols))
    slopes = residual.slopes or (0,) * len(extents)
    shapes = [extent | slope << 4 for extent, slope in zip(extents, slopes, strict=True)]
    head = bytes(n for pair in zip(residual.steps, shapes, strict=True) for n in pair)
    coded = [_coded_shifts(shifts, extents)]
    for (plane, u, v, _, index), found in groups:
        shifted = (index + shifts[plane, u[0] + v[0]]).clip(0, TABLES - 1)
        coded.append((found.ravel(), shifted.ravel()))
    return head + entropy.encode(
        coded, tables(), fewest=fewest_lanes(extents, symbols[0, 0, 0].size)
    )


def unpack(payload: bytes, height: int, width: int, planes: int, alone: bool = False) -> Residual:
    """Return the residual of a tile of so many pixels and planes.

    Args:
        payload: of its section.
        height, width: of the tile, in pixels.
        planes: C, 1 or 3.
        alone: whether the networks have no say.

    Raises:
        FormatError: the payload holds none.
    """
    steps, slopes, extents = _read_head(payload, planes)
    decoder = entropy.Decoder(payload[2 * planes :], tables())
    h, w = -(-height // SIDE), -(-width // SIDE)
    if decoder.lanes < fewest_lanes(extents, h * w):
        raise FormatError(f"residual of {width}x{height} pixels has {decoder.lanes} lanes")
    shifts = np.zeros((planes, DIAGONALS), np.int64)
    places = [(c, d) for c in range(planes) for d in range(extents[c])]
    found = decoder.decode(np.full(len(places), SHIFT_TABLE))
    if np.abs(found).max(initial=0) > MOST_SHIFT:
        raise FormatError(f"residual shifts tables by {np.abs(found).max()}, at most {MOST_SHIFT}")
    shifts[tuple(np.array(places).T)] = found
    left = iter(range(2 * len(places) - 1, -1, -1))  # groups behind each
    order = Order(planes, (h, w), extents)
    symbols = order.run(shifts, lambda group: decoder.decode(group[4], last=not next(left)))
    if alone:
        symbols[:, 0, 0] = np.cumsum(symbols[:, 0, 0], axis=2)
    return Residual(symbols, steps, alone, slopes)


def _read_head(payload: bytes, planes: int) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Return the step codes, the slopes and the extents of the planes."""
    if len(payload) < 2 * planes:
        raise FormatError(f"residual has {len(payload)} bytes, its head alone {2 * planes}")
    steps, shapes = tuple(payload[: 2 * planes : 2]), payload[1 : 2 * planes : 2]
    slopes, extents = tuple(shape >> 4 for shape in shapes), [shape & 15 for shape in shapes]
    if max(steps) >= STEP_CODES or not any(extents):
        raise FormatError(f"residual has steps {steps} and extents {tuple(extents)}")
    return steps, slopes, extents


def fewest_lanes(extents: list[int], blocks: int) -> int:
    """Return how many lanes a payload must have at least: they bound the time of decoding."""
    bands = sum(min(d + 1, DIAGONALS - d) for extent in extents for d in range(extent))
    return 1 << (-(-bands * blocks // entropy.MAX_STEPS) - 1).bit_length()


def coded_symbols(residual: Residual) -> Ints:
    """Return the symbols as they are coded: without networks, means as differences to the left."""
    if not residual.alone:
        return residual.symbols
    symbols = residual.symbols.copy()
    symbols[:, 0, 0] = np.diff(symbols[:, 0, 0], axis=2, prepend=0)
    return symbols


def _extent(plane: Ints) -> int:
    """Return up to which diagonal a plane (8, 8, h, w) has symbols."""
    u, v = np.nonzero(plane.any(axis=(2, 3)))
    return int((u + v).max(initial=-1)) + 1


def grouped(symbols: Ints) -> list[tuple[Group, Ints]]:
    """Return the groups of symbols (C, 8, 8, h, w) in their order.

    Their tables, 0..79, are before any shift, and before they are clipped to those there are.
    """
    groups, flat = [], symbols.reshape(*symbols.shape[:3], -1)

    def visit(group: Group) -> Ints:
        plane, u, v, blocks, _ = group
        found = flat[plane, u, v][:, blocks]
        groups.append((group, found))
        return found

    h, w = symbols.shape[3:]
    order = Order(len(symbols), (h, w), [_extent(plane) for plane in symbols], most=BINS - 1)
    order.run(np.zeros((len(symbols), DIAGONALS), np.int64), visit)
    return groups


def best_shifts(groups: list[tuple[Group, Ints]], planes: int) -> Ints:
    """Return by how many tables each plane's diagonal is coded best, (C, 15)."""
    counts = np.zeros((planes, DIAGONALS, BINS * entropy.TOKENS))
    for (plane, u, v, _, index), found in groups:
        entries = index * entropy.TOKENS + entropy.TOKEN_OF_MAGNITUDE[np.abs(found)]
        counts[plane, u[0] + v[0]] += np.bincount(entries.ravel(), minlength=counts.shape[2])
    flat, bits = counts.reshape(-1, BINS, entropy.TOKENS), tables().token_bits
    shifts = np.arange(-MOST_SHIFT, MOST_SHIFT + 1)
    rows = (np.arange(BINS) + shifts[:, None]).clip(0, TABLES - 1)
    costs = np.einsum("gtk,stk->gs", flat, bits[rows]) + np.abs(shifts)
    return shifts[costs.argmin(axis=1)].reshape(planes, DIAGONALS)


def _coded_shifts(shifts: Ints, extents: list[int]) -> tuple[Ints, Ints]:
    """Return the shifts that are coded, and their tables."""
    coded = np.concatenate([row[:extent] for row, extent in zip(shifts, extents, strict=True)])
    return coded, np.full(len(coded), SHIFT_TABLE)
