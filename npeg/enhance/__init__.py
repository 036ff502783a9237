"""Enhancement of images: restoration, look and upscaling, each method a pure function.

    from npeg.enhance import enhance
    better = enhance(image, "deblock", strength=0.5)

Restoration is judged by its fidelity to the original; a look changes the picture on purpose.
"""

from ..arrays import Pixels
from .enhancement import LOOK, RESTORATION, UPSCALING, Method
from .methods import METHODS, enhance, find_method

__all__ = [
    "LOOK",
    "METHODS",
    "RESTORATION",
    "UPSCALING",
    "Method",
    "Pixels",
    "enhance",
    "find_method",
]
