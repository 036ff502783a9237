"""The type of pixels: one name for what enters an encoder and leaves a decoder."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""An image, uint8: (H, W, 3) sRGB or (H, W) grey, with alpha (H, W, 4) or (H, W, 2)."""
