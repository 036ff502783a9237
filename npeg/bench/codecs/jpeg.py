"""JPEG files from better encoders than libjpeg-turbo's own; any JPEG decoder reads them."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO

import numpy as np
from PIL import Image

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.errors import InputError


class JpegFile(Codec):
    """A codec whose files are JPEG's, decoded by libjpeg-turbo as browsers do."""

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        with Image.open(BytesIO(data), formats=["JPEG"]) as image:
            return np.array(image.convert("RGB"))


@dataclass(frozen=True, kw_only=True)
class Mozjpeg(JpegFile):
    """mozjpeg with the settings of its program `cjpeg`: trellis, optimised scans, its own tables.

    The encoder is the one inside libvips. It has no threads.
    """

    name = "mozjpeg"
    title = "mozjpeg {subsampling}"
    qualities = (5, 10, 20, 35, 50, 65, 80, 90, 95)
    quality_range = (1, 100)

    subsampling: str = "4:2:0"

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        import pyvips

        modes = {"4:2:0": "on", "4:4:4": "off"}
        if self.subsampling not in modes:
            raise InputError(
                f"mozjpeg/subsampling is {self.subsampling!r}, expected 4:2:0 or 4:4:4"
            )
        return bytes(
            _vips_image(image).jpegsave_buffer(
                Q=int(quality),
                subsample_mode=modes[self.subsampling],
                interlace=True,
                optimize_coding=True,
                optimize_scans=True,
                trellis_quant=True,
                overshoot_deringing=True,
                quant_table=_MOZJPEG_TABLE,
                keep=pyvips.enums.ForeignKeep.NONE,
            )
        )

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        import pyvips

        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        return f"pyvips {pyvips.__version__}, libvips {libvips} with mozjpeg"

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        here = find_spec("pyvips") and _libvips_has_mozjpeg()
        return None if here else 'pip install "pyvips[binary]"'


@dataclass(frozen=True, kw_only=True)
class Jpegli(JpegFile):
    """jpegli's quantisation, its symbols then coded as a progressive file by mozjpeg.

    The one jpegli on PyPI, pyjpegli, writes sequential files in 4:2:0; the program `cjpegli`
    writes progressive ones, in 4:4:4. Coding the same coefficients progressively costs no quality
    and takes off 5 to 29 % (kodim05 and kodim23, qualities 1 to 85): without it this rival would
    be weaker than it is. It has no threads.
    """

    name = "jpegli"
    title = "jpegli 4:2:0, progressive"
    qualities = (1, 10, 20, 35, 50, 65, 80, 90, 95)
    quality_range = (1, 100)

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        from mozjpeg_lossless_optimization import optimize
        from pyjpegli import encode

        height, width = image.shape[:2]
        sequential = encode(np.ascontiguousarray(image), width, height, quality=int(quality))
        return bytes(optimize(sequential))

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        return ", ".join(f"{package} {version(package)}" for package in _JPEGLI_PACKAGES)

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        here = all(find_spec(package.replace("-", "_")) for package in _JPEGLI_PACKAGES)
        return None if here else f"pip install {' '.join(_JPEGLI_PACKAGES)}"


_MOZJPEG_TABLE = 3  # of `cjpeg -quant-table`: mozjpeg's default, by N. Robidoux
_JPEGLI_PACKAGES = ("pyjpegli", "mozjpeg-lossless-optimization")


def _vips_image(image: Pixels) -> "pyvips.Image":  # type: ignore[name-defined]  # noqa: F821
    """Return libvips' view of an image."""
    import pyvips

    height, width = image.shape[:2]
    memory = np.ascontiguousarray(image).tobytes()
    vips = pyvips.Image.new_from_memory(memory, width, height, 3, "uchar")
    return vips.copy(interpretation="srgb")


@cache
def _libvips_has_mozjpeg() -> bool:
    """Return whether libvips is here and writes JPEG with mozjpeg, which alone has a trellis."""
    try:
        ramp = _vips_image(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    except (ImportError, OSError):  # the module without its library
        return False
    plain, trellis = (ramp.jpegsave_buffer(trellis_quant=on) for on in (False, True))
    return bool(plain != trellis)
