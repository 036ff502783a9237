"""How the encoder chooses symbols: the one home of what no decoder knows.

Enters: residuals of latents in symbols, their table indexes, what a tune lets errors weigh.
Leaves: symbols. A first pass rounds with a dead zone; a second one, after the first has been
decoded, takes for each latent the symbol that costs least in bits and distortion (RDOQ).
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import entropy
from .errors import InputError
from .networks import Model

FREE_BITS = 2.0  # that a symbol may cost beyond a 0 before the dead zone widens
EFFORTS = (0, 1)  # 0: one pass; 1: then symbols are corrected by what the decoder makes of them

Float = NDArray[np.float32]


def is_number(value: object) -> bool:
    """Tell numbers, NumPy's too, from all else; truth is no number."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Tune:
    """What the encoder minimises: the model that has learned it, and what errors weigh.

    Chosen on validation images: studies/2026-11-correction and studies/2026-11-visual-rule.
    """

    model_id: int
    dead_zone: float  # a 1 stays from 1/2 + dead_zone * (bits that a 0 saves - FREE_BITS) on
    shares: tuple[float, float]  # of the projected error that luma and chroma are corrected by
    chroma: float  # how often the error of chroma counts, that of its means chroma^3 times
    masking: float  # a pixel's error counts (slope + 16)^-masking, by the slopes around it
    weight: float = 1.0  # how often all errors count
    by_symbol: bool = False  # whether errors count in symbols: finer where steps are finer


TUNES = {
    "visual": Tune(8, 0.01, (0.5, 1.0), chroma=1.3, masking=0.25, weight=1.5, by_symbol=True),
    "psnr": Tune(7, 0.03, (1.05, 1.2), chroma=1.3, masking=0.0),
}


@dataclass(frozen=True)
class EncoderOptions:
    """How hard the encoder tries, and for what.

    Attributes:
        effort: 0, or 1 for a smaller file at equal quality in over twice the time.
        tune: visual for the smallest file that looks the same, psnr for the least squared error.
        tile_size: side of the independently coded tiles in pixels, a multiple of 64; None takes
            one tile where the synthesis runs at once, else 1024.
        lossless: every pixel comes back as it was, whatever the quality.
        alpha_quality: 100 keeps alpha as it is; less takes fewer levels, down to 16 at 0.
        model: folder of a model of one's own, in place of the tune's.
        bit_depth: bits a sample, 9 to 16, of the source of uint16 pixels.

    Raises:
        InputError: there is no such effort, tune or quality of alpha.
    """

    effort: int = 1
    tune: str = "visual"
    tile_size: int | None = None
    lossless: bool = False
    alpha_quality: float = 100.0
    model: str | os.PathLike[str] | None = None
    bit_depth: int = 16

    def __post_init__(self) -> None:
        if not is_number(self.alpha_quality) or not 0 <= self.alpha_quality <= 100:
            raise InputError(f"alpha quality is {self.alpha_quality!r}, expected 0 to 100")
        if self.tune not in TUNES:
            raise InputError(f"tune is {self.tune!r}, expected {' or '.join(TUNES)}")
        if self.effort not in EFFORTS:
            expected = f"expected {EFFORTS[0]} to {EFFORTS[-1]}"
            raise InputError(f"effort is {self.effort!r}, {expected}")

    @property
    def rule(self) -> Tune:
        """What the encoder minimises."""
        return TUNES[self.tune]


DEFAULT = EncoderOptions()


def thresholds(model: Model, tune: Tune) -> Float:
    """Return how far from its mean a latent of each table must be for a symbol, (tables,)."""
    bits = model.token_bits
    saved = bits[:, 1] - bits[:, 0] - FREE_BITS
    found = 0.5 + tune.dead_zone * saved.clip(0)
    found[: model.first_coded] = np.inf
    return found.astype(np.float32)


def round_to_symbols(residual: Float, limits: Float) -> Float:
    """Return whole numbers, but 0 for residuals (M, h, w) up to their limits (M, h, w)."""
    symbols = np.rint(residual) * (np.abs(residual) > limits)
    return np.clip(symbols, -entropy.MAX_MAGNITUDE, entropy.MAX_MAGNITUDE)


def weigh(tune: Tune, weight: Any, steps: Any) -> Any:
    """Return what the squared error of a symbol is worth in bits, (M, h, w), arrays or tensors.

    Args:
        tune: what is minimised.
        weight: the same of a latent whose step is 1, (M, h, w); see `Model.latent_error`.
        steps: what a symbol is worth, (M, h, w) or (1, 1, 1).
    """
    weight = tune.weight * weight
    return weight if tune.by_symbol else weight * steps * steps


def cheapest(model: Model, residual: Float, indexes: NDArray[np.uint8], weight: Float) -> Float:
    """Return the symbols (M, h, w) of residuals: rounded, or one nearer to 0 where that costs less.

    A symbol costs its bits + weight * (symbol - residual)^2.
    """
    chosen = np.zeros_like(residual)
    places = np.flatnonzero((indexes >= model.first_coded) & (np.abs(residual) > 0.5))
    r, row = residual.ravel()[places], indexes.ravel()[places]
    magnitude = np.minimum(np.rint(np.abs(r)), entropy.MAX_MAGNITUDE).astype(np.int64)
    w = weight.ravel()[places]

    def cost(magnitude: NDArray[np.int64]) -> NDArray[Any]:
        bits: Float = model.token_bits[row, entropy.TOKEN_OF_MAGNITUDE[magnitude]]
        return bits + w * np.square(magnitude - np.abs(r))

    smaller = np.maximum(magnitude - 1, 0)
    best = np.where(cost(smaller) < cost(magnitude), smaller, magnitude)
    chosen.ravel()[places] = np.copysign(best, r)
    return chosen
