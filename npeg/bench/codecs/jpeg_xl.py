"""JPEG XL (libjxl), lossy and lossless, through imagecodecs."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

import numpy as np

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec


@dataclass(frozen=True, kw_only=True)
class JpegXl(Codec):
    """Lossy JPEG XL; quality is that of the program `cjxl`."""

    name = "jxl"
    title = "JPEG XL effort {effort}"
    qualities: ClassVar[Sequence[float]] = (10, 20, 30, 45, 60, 75, 85, 92)
    quality_range = (1, 99)

    effort: int = 7

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        import imagecodecs

        return bytes(
            imagecodecs.jpegxl_encode(
                image,
                distance=distance_of_quality(quality),
                effort=self.effort,
                lossless=self.lossless,
                numthreads=self.threads,
            )
        )

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        import imagecodecs

        return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=self.threads), np.uint8)

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        import imagecodecs

        return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        return None if find_spec("imagecodecs") else "pip install imagecodecs"


@dataclass(frozen=True, kw_only=True)
class JpegXlLossless(JpegXl):
    """Lossless JPEG XL."""

    name = "jxl-lossless"
    title = "JPEG XL lossless"
    lossless = True
    qualities = (100,)
    quality_range = (100, 100)


def distance_of_quality(quality: float) -> float:
    """Return libjxl's butteraugli distance of a quality, 0..100.

    Source: libjxl, `JxlEncoderDistanceFromQuality`.
    """
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25
