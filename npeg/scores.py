"""A SSIMULACRA2 score in place of a quality: what `targets` measures by.

Enters: an image as it was and as it decodes. Leaves: a score. Needs the packages that measure.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from . import depth
from .arrays import Pixels, Samples
from .errors import InputError
from .targets import Scale


def scale() -> Scale:
    """Return how images are scored; samples beyond 8 bits and other primaries count as sRGB's.

    Raises:
        InputError: the packages that score are missing.
    """
    if any(importlib.util.find_spec(name) is None for name in ("scipy", "ssimulacra2")):
        raise InputError('a score needs scipy and ssimulacra2: pip install "npeg[bench]"')
    from .bench.metrics import ssimulacra2

    def score(original: Samples, decoded: Samples) -> float:
        return ssimulacra2.score(_rgb(original), _rgb(decoded))

    return Scale(score, "ssimulacra2", "", start=-10, slope=0.5, hope=20)


def _rgb(samples: Samples) -> Pixels:
    pixels: Pixels = depth.as_type(samples, np.uint8)
    return np.stack([pixels] * 3, axis=2) if pixels.ndim == 2 else pixels
