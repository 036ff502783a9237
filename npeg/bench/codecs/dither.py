"""The binary autoencoders of the teaching program, as files."""

from dataclasses import dataclass

import npeg
from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.bench.codecs.npeg_file import threads


@dataclass(frozen=True, kw_only=True)
class Dither(Codec):
    """The original network: 128 planes at full resolution, one rate."""

    name = "dither"
    title = "dither, 128 planes at full resolution"

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        with threads(self.threads):
            return npeg.encode(image, quality, codec=self.name)

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        with threads(self.threads):
            return npeg.decode(data)

    @classmethod
    def version(cls) -> str:
        """Return the version and a fingerprint of the weights, which change the files too."""
        from npeg.networks import FOLDER, fingerprint

        return f"npeg {npeg.__version__}, {cls.name} {fingerprint([FOLDER / cls.name])}"


@dataclass(frozen=True, kw_only=True)
class Dither8(Dither):
    """The strided network: the first planes of 96 at 1/8 of the resolution."""

    name = "dither8"
    title = "dither8, planes at 1/8"
    qualities = (0, 20, 40, 60, 80, 100)
    quality_range = (0, 100)
