"""Luma of an image: the weighted sum of R, G and B that the eye takes for brightness."""

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels

WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Of R, G, B. Source: ITU-R BT.601."""


def luma(image: Pixels) -> NDArray[np.float64]:
    """Return luma of pixels (H, W, 3), full range 0..255 and not rounded, (H, W)."""
    return image @ WEIGHTS


STUDIO_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255
"""Of R, G, B, for luma of 16..235. Source: ITU-R BT.601, with the digits of MATLAB's rgb2ycbcr."""


def studio_luma(image: Pixels) -> Pixels:
    """Return luma of pixels (H, W, 3) in 16..235, rounded, (H, W) uint8: MATLAB's rgb2ycbcr.

    Work on the restoration of JPEG images measures on this plane.
    """
    return np.asarray(16 + image @ STUDIO_WEIGHTS + 0.5, dtype=np.uint8)
