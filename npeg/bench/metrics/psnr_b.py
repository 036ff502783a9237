"""PSNR that counts steps at the edges of 8x8 blocks twice: for codecs of blocks and their filters.

Enters: two images of one size, (H, W, 3) uint8. Leaves: a score in dB.
"""

import math

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels
from npeg.bench.metrics.luma import luma

BLOCK = 8


def psnr_b_db(original: Pixels, decoded: Pixels) -> float:
    """Return PSNR-B of luma (BT.601, full range): 10 log10(255^2 / (MSE + BEF)).

    Source: Yim and Bovik, IEEE Transactions on Image Processing 20, 2011, equations 10 to 17.
    """
    x, y = (luma(image).astype(np.float64) for image in (original, decoded))
    error = float(np.mean((x - y) ** 2)) + blocking(y)
    return 10 * math.log10(255**2 / error) if error else math.inf


def blocking(y: NDArray[np.float64]) -> float:
    """Return the blocking effect factor of a plane (H, W): 0 if no edge stands out."""
    if min(y.shape) <= BLOCK:
        return 0.0
    steps = [np.sum(np.diff(plane) ** 2, axis=0) for plane in (y, y.T)]  # between columns, rows
    at_edges = [np.arange(1, len(step) + 1) % BLOCK == 0 for step in steps]
    sides = y.shape  # steps summed over this many pixels
    edges = sum(step[at].sum() for step, at in zip(steps, at_edges, strict=True))
    others = sum(step[~at].sum() for step, at in zip(steps, at_edges, strict=True))
    counts = [side * at.sum() for side, at in zip(sides, at_edges, strict=True)]
    totals = [side * at.size for side, at in zip(sides, at_edges, strict=True)]
    mean_at_edges = edges / sum(counts)
    mean_of_others = others / (sum(totals) - sum(counts))
    if mean_at_edges <= mean_of_others:
        return 0.0
    weight = math.log2(BLOCK) / math.log2(min(y.shape))
    return float(weight * (mean_at_edges - mean_of_others))
