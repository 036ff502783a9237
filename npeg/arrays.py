"""The types of pixels: one name for what enters an encoder and leaves a decoder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""An image, uint8: (H, W, 3) sRGB or (H, W) grey, with alpha (H, W, 4) or (H, W, 2)."""
Samples = NDArray[Any]
"""The same of any depth: uint8, or uint16 if it has more than 8 bits, 65535 for full."""
Levels = NDArray[Any]
"""The same in the levels that networks compute with: uint8, or float32, 0 to 255."""
