"""How the encoder chooses what is behind the networks: whether, how fine, and which symbols.

Enters: a tile's pixels, what the networks decode, the level. Leaves: a residual, or none. The one
home of what no decoder knows of residuals; chosen in studies/2026-11-residual.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import entropy
from .arrays import Levels
from .residual import (
    GREY,
    Residual,
    best_shifts,
    coded_symbols,
    forward,
    grouped,
    pack,
    step_of,
    worth_of,
)
from .residual import tables as residual_tables
from .residual_order import TABLES

BIT = 0.14  # squared steps that a bit is worth: 0.12 by theory, as D = step^2 / 12
ROUND_UP = 0.67  # from which a first guess is the larger number
ODD_STEPS = 1.5  # steps from which an error of a sample is more than what networks leave of photos
ODD_SHARE = 1 / 2000  # of such samples
EDGE = 96  # levels between neighbours that photographs hardly have
EDGE_SHARE = 1 / 250
LETTERS_SHARE = 1 / 20  # more than in any photograph of the validation sets that was looked at
FLAT_SHARE = 0.6  # of neighbours that are equal
PAYS = 0.82  # share of the cost that is left, below which a residual is not on a photograph


@dataclass(frozen=True)
class Steps:
    """The code of all planes' steps, and by how much they grow; see `Residual.slopes`."""

    code: int
    slopes: tuple[int, int, int] = (0, 0, 0)

    def of(self, planes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the codes and the slopes of so many planes, 1 or 3."""
        return (self.code,) * planes, self.slopes[:planes]


@dataclass(frozen=True)
class Schedule:
    """Which level of the networks and which step belong to each level of the file.

    Between the levels given both are interpolated, the step by its code. From `first` on a residual
    is tried of every image, from `letters` on of text and drawings; below only where the networks
    err as they do not on photographs. Where it is alone its steps have the codes `alone`, and grow
    with frequency by `slopes` (of luma and two colours): what is no photograph needs finer ones for
    the same look, of long waves.
    """

    levels: tuple[int, ...]
    networks: tuple[int, ...]
    codes: tuple[int, ...]
    first: int
    letters: int
    alone: tuple[int, ...]
    slopes: tuple[int, int, int]

    def networks_level(self, level: int) -> int:
        """Return the level of the networks."""
        if level < self.first:
            return level
        return round(float(np.interp(level, self.levels, self.networks)))

    def step_code(self, level: int) -> int:
        """Return the code of the residual's step."""
        return round(float(np.interp(level, self.levels, self.codes)))

    def steps_behind(self, level: int) -> Steps:
        """Return the steps of a residual behind the networks, of what is no photograph."""
        return Steps(max(self.step_code(level) - self.slopes[0], 0), self.slopes)

    def steps_alone(self, level: int) -> Steps:
        """Return the steps of a residual that is all there is."""
        return Steps(round(float(np.interp(level, self.levels, self.alone))), self.slopes)


SCHEDULES = {
    "psnr": Schedule(
        *((0, 160, 182, 200), (0, 160, 200, 200), (66, 35, 26, 14)),
        first=160,
        letters=150,  # without it text on a photograph was behind JPEG 4:4:4 by SSIMULACRA2
        alone=(60, 29, 21, 11),
        slopes=(1, 1, 1),
    ),
    "visual": Schedule(
        *((0, 150, 168, 182, 200), (0, 150, 168, 182, 200), (70, 40, 37, 26, 14)),
        first=168,
        letters=168,  # from 150 on it would take twice the bytes there, and is ahead without it
        alone=(60, 31, 27, 19, 6),
        slopes=(2, 3, 3),
    ),
}


def is_odd(wanted: Levels, decoded: Levels, code: int) -> bool:
    """Tell whether networks err on an image as they do not on photographs."""
    limit = ODD_STEPS * step_of(code)
    if limit > 255:
        return False
    error = np.abs(_signed(wanted[::2]) - decoded[::2])
    return bool((error > limit).mean() > ODD_SHARE)


def has_edges(levels: Levels) -> bool:
    """Tell whether neighbours differ, or are equal, more often than in photographs."""
    steps = np.abs(np.diff(_signed(levels[::4]), axis=1))
    flat = (steps == 0).sum() > FLAT_SHARE * steps.size
    return bool(flat or (steps > EDGE).sum() > EDGE_SHARE * steps.size)


def has_letters(levels: Levels) -> bool:
    """Tell whether neighbours differ as often as they do in text and drawings alone."""
    steps = np.abs(np.diff(_signed(levels[::4]), axis=1))
    return bool((steps > EDGE).sum() > LETTERS_SHARE * steps.size)


def choose(wanted: Levels, decoded: Levels | None, steps: Steps) -> tuple[bytes, Residual, float]:
    """Return a payload, what it says, and what it costs: its bits and the error it leaves.

    An error counts in steps, so less where these are larger.

    Args:
        wanted: the tile's pixels in levels, (H, W, C).
        decoded: what the networks make of them; None for a residual that is all there is.
        steps: of all planes.
    """
    alone = decoded is None
    difference = _signed(wanted) - (GREY if decoded is None else decoded)
    coefficients = forward(difference)
    residual = _quantise(coefficients, steps, alone)
    left = coefficients / residual.worth - residual.symbols
    if not residual.symbols.any():
        return b"", residual, float(np.square(left).sum()) / BIT
    payload = pack(residual)
    return payload, residual, float(np.square(left).sum()) / BIT + 8 * len(payload)


def cost_without(wanted: Levels, decoded: Levels, code: int) -> float:
    """Return what the error of the networks costs in bits where there is no residual."""
    error = _signed(wanted) - decoded
    squares = np.square(error, dtype=np.result_type(error, np.int32))
    return float(squares.sum()) / (BIT * step_of(code) ** 2)


def seems_alone(wanted: Levels, decoded: Levels, code: int, payload_bits: float) -> bool:
    """Tell, by some of the blocks, whether a residual alone might be the shorter."""
    rows = [slice(y, y + 8) for y in range(0, len(wanted), 32)]
    some, known = (np.concatenate([image[r] for r in rows]) for image in (wanted, decoded))
    alone = _rough_bits(_signed(some) - GREY, code, alone=True)
    behind = _rough_bits(_signed(some) - known, code)
    return alone < 1.1 * (behind + payload_bits * len(some) / len(wanted))


def _signed(levels: Levels) -> Levels:
    """Return levels of a type whose differences have a sign."""
    return levels.astype(np.int16) if levels.dtype == np.uint8 else levels


def _rough_bits(difference: Levels, code: int, alone: bool = False) -> float:
    """Return about how many bits a difference (H, W, C) takes, alone or behind the networks."""
    steps = forward(difference) / step_of(code)
    if alone:
        steps[:, 0, 0] = np.diff(steps[:, 0, 0], axis=2, prepend=0)
    return float(np.log2(1 + np.square(steps)).sum())


def _quantise(coefficients: NDArray[np.float64], steps: Steps, alone: bool) -> Residual:
    """Choose symbols by rate and distortion: rounded, one less, or 0."""
    codes, slopes = steps.of(len(coefficients))
    x = coefficients / worth_of(codes, slopes)
    size = np.abs(x)
    first = np.copysign(np.floor(size + 1 - ROUND_UP), x).astype(np.int32)
    if alone:
        first[:, 0, 0] = np.rint(x[:, 0, 0])
    places = np.flatnonzero(size > 0.5)
    row = _tables_of(coded_symbols(Residual(first, codes, alone))).ravel()[places]
    symbols = np.zeros(x.shape, np.int32)
    symbols.ravel()[places] = np.copysign(_cheapest(size.ravel()[places], row), x.ravel()[places])
    if alone:
        symbols[:, 0, 0] = first[:, 0, 0]
    return Residual(symbols, codes, alone, slopes)


def _cheapest(size: NDArray[np.float64], row: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the magnitudes of sizes (n,) in steps that cost least under tables (n,)."""
    bits = BIT * residual_tables().token_bits
    near = np.minimum(np.rint(size), entropy.MAX_MAGNITUDE).astype(np.int64)
    best, least = near, np.full(len(near), np.inf)
    for tried in (near, np.maximum(near - 1, 0), np.zeros_like(near)):
        cost = np.square(size - tried) + bits[row, entropy.TOKEN_OF_MAGNITUDE[tried]]
        best, least = np.where(cost < least, tried, best), np.minimum(cost, least)
    return best


def _tables_of(symbols: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the table of each symbol (C, 8, 8, h, w), flat in its last two axes."""
    groups = grouped(symbols)
    shifts = best_shifts(groups, len(symbols))
    rows = np.zeros((*symbols.shape[:3], symbols.shape[3] * symbols.shape[4]), np.uint8)
    for (plane, u, v, blocks, index), _ in groups:
        shifted = (index + shifts[plane, u[0] + v[0]]).clip(0, TABLES - 1)
        rows[plane, u[:, None], v[:, None], blocks] = shifted
    return rows
