"""The codecs that come with Pillow: JPEG, WebP, AVIF, JPEG 2000, PNG."""

import re
from abc import abstractmethod
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec


@dataclass(frozen=True, kw_only=True)
class PillowCodec(Codec):
    """A codec of Pillow's: its format, and the options that `Image.save` gets."""

    format: ClassVar[str]
    feature: ClassVar[str]  # Pillow's name for the library

    @abstractmethod
    def _options(self, quality: float) -> dict[str, Any]:
        """Return the keyword arguments of `Image.save`."""

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        file = BytesIO()
        Image.fromarray(image).save(file, self.format, **self._options(quality))
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        with Image.open(BytesIO(data), formats=[self.format]) as image:
            return np.array(image.convert("RGB"))

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        return f"Pillow {pillow_version}, {cls.feature} {features.version(cls.feature)}"

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        return None if features.check(cls.feature) else "pip install --upgrade 'pillow>=11.3'"


@dataclass(frozen=True, kw_only=True)
class Jpeg(PillowCodec):
    """JPEG as the web has it: progressive, with optimised tables."""

    name = "jpeg"
    title = "JPEG {subsampling}"
    format = "JPEG"
    feature = "libjpeg_turbo"
    qualities = (5, 10, 20, 35, 50, 65, 80, 90, 95)
    quality_range = (1, 100)

    subsampling: str = "4:2:0"

    def _options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": int(quality),
            "progressive": True,
            "optimize": True,
            "subsampling": self.subsampling,
        }


@dataclass(frozen=True, kw_only=True)
class Webp(PillowCodec):
    """Lossy WebP (VP8 intra), at its slowest method."""

    name = "webp"
    title = "WebP"
    format = "WEBP"
    feature = "webp"
    qualities = (1, 10, 25, 50, 70, 80, 90, 95)
    quality_range = (0, 100)

    method: int = 6

    def _options(self, quality: float) -> dict[str, Any]:
        return {"quality": int(quality), "method": self.method}


@dataclass(frozen=True, kw_only=True)
class Avif(PillowCodec):
    """AVIF (AV1 intra, libaom). Its bytes depend on the threads: they allow tiles."""

    name = "avif"
    title = "AVIF {subsampling} speed {speed}"
    format = "AVIF"
    feature = "avif"
    qualities = (10, 20, 30, 40, 50, 60, 70, 80, 90)
    quality_range = (0, 100)

    subsampling: str = "4:4:4"
    speed: int = 6
    tune: str = "default"  # of libaom: "psnr", "ssim" and others

    def _options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": int(quality),
            "subsampling": self.subsampling,
            "speed": self.speed,
            "max_threads": self.threads,
            "codec": "aom",
            "advanced": {} if self.tune == "default" else {"tune": self.tune},
        }

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        from PIL import _avif  # only here once `missing` said that it is

        encoder = re.search(r"aom \[enc\]:(\S+)", _avif.codec_versions())
        return f"{super().version()}, libaom {encoder[1] if encoder else 'missing'}"


@dataclass(frozen=True, kw_only=True)
class Jpeg2000(PillowCodec):
    """JPEG 2000 with the 9/7 wavelet; quality is the PSNR in dB that the encoder aims at."""

    name = "jpeg2000"
    title = "JPEG 2000"
    format = "JPEG2000"
    feature = "jpg_2000"
    qualities = (26, 28, 30, 32, 34, 36, 38, 41)
    quality_range = (10, 60)

    def _options(self, quality: float) -> dict[str, Any]:
        # mct=1: without the colour transform, Pillow's default, files are far larger
        return {"quality_mode": "dB", "quality_layers": [quality], "irreversible": True, "mct": 1}


@dataclass(frozen=True, kw_only=True)
class Png(PillowCodec):
    """PNG, the lossless file that everyone has."""

    name = "png"
    title = "PNG"
    format = "PNG"
    feature = "zlib"
    lossless = True

    def _options(self, quality: float) -> dict[str, Any]:
        return {"optimize": True}


@dataclass(frozen=True, kw_only=True)
class WebpLossless(PillowCodec):
    """Lossless WebP, at its slowest method short of trying every transform (quality 100)."""

    name = "webp-lossless"
    title = "WebP lossless"
    format = "WEBP"
    feature = "webp"
    lossless = True

    def _options(self, quality: float) -> dict[str, Any]:
        return {"lossless": True, "quality": 99, "method": 6}
