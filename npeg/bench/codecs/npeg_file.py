"""npeg itself, as one codec among others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import npeg
from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec


@dataclass(frozen=True, kw_only=True)
class Npeg(Codec):
    """npeg, as its command line writes files."""

    name = "npeg"
    title = "npeg"
    qualities = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    quality_range = (0, 100)
    quality_step = 0.5

    effort: int = 1
    tune: str = "visual"
    model: str = ""  # a name where NPEG_MODELS leads; empty: the tune's

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        from npeg.codec import encode_pixels
        from npeg.encoder_rule import EncoderOptions

        with threads(self.threads):
            options = EncoderOptions(self.effort, self.tune, model=self.model or None)
            return encode_pixels(image, round(2 * quality), options)

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        from npeg.codec import decode_pixels

        with threads(self.threads):
            return decode_pixels(data)

    @classmethod
    def version(cls) -> str:
        """Return the version and a fingerprint of the weights, which change the files too."""
        from npeg import own_models
        from npeg.networks import FOLDER, MODELS, fingerprint

        folders = [FOLDER / name for name in (*MODELS.values(), "residual")]
        folders += own_models.everywhere()
        return f"npeg {npeg.__version__}, weights {fingerprint(folders)}"


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let npeg's networks use this many threads, for a while."""
    before = os.environ.get("NPEG_THREADS")
    os.environ["NPEG_THREADS"] = str(number)
    try:
        yield
    finally:
        os.environ.pop("NPEG_THREADS")
        if before is not None:
            os.environ["NPEG_THREADS"] = before
