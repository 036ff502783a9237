"""Luma of an image: the weighted sum of R, G and B that the eye takes for brightness."""

import numpy as np
from numpy.typing import NDArray

from npeg.bench.codecs.contract import Pixels

WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Of R, G, B. Source: ITU-R BT.601."""


def luma(image: Pixels) -> NDArray[np.float64]:
    """Return luma of pixels (H, W, 3), full range 0..255 and not rounded, (H, W)."""
    return image @ WEIGHTS
