"""A SSIMULACRA2 score in place of a quality, for `npeg encode --ssimulacra2`.

Enters: an image. Leaves: a quality. Needs the packages that measure.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from . import targets
from .errors import InputError
from .pixels import to_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

    from .encoder_rule import EncoderOptions


def quality_of(image: Image | BinaryIO, score: float, options: EncoderOptions) -> float:
    """Return the quality of the smallest file of at least this SSIMULACRA2 score.

    Raises:
        InputError: no quality reaches it, or the packages that measure it are missing.
    """
    if any(importlib.util.find_spec(name) is None for name in ("scipy", "ssimulacra2")):
        raise InputError('--ssimulacra2 needs scipy and ssimulacra2: pip install "npeg[bench]"')
    from .bench.metrics import ssimulacra2

    def measure(*images: Any) -> float:
        rgb = [np.stack([i] * 3, axis=2) if i.ndim == 2 else i for i in images]
        return ssimulacra2.score(rgb[0], rgb[1])

    scale = targets.Scale(measure, "ssimulacra2", "", start=-10, slope=0.5, hope=20)
    with warnings.catch_warnings():  # it is measured in 8 bits; what is coded keeps all
        warnings.filterwarnings("ignore", message=".*bits a sample are cut to 8")
        pixels = to_pixels(image)
    return targets.level_for(pixels, score, scale, options) / 2
