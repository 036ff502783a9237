"""Still frames of video codecs: HEVC by x265 and VVC by VVenC, through ffmpeg.

Whole files are raw bitstreams with their parameter sets, which every player of the codec reads,
behind two bytes that say how much padding to cut off.
"""

import re
import subprocess
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import ClassVar

import numpy as np
from PIL import Image

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.errors import FormatError, InputError, NpegError

FROM_PPM = ("-f", "ppm_pipe", "-i", "-")
TO_PPM = ("-c:v", "ppm", "-f", "image2pipe", "-")
TO_RGB = (
    "zscale=matrixin=170m:rangein=full:matrix=gbr:range=full:filter=lanczos,"
    "format=gbrp,format=rgb24"
)


@dataclass(frozen=True, kw_only=True)
class VideoCodec(Codec):
    """A video encoder of ffmpeg's that is given one frame, in BT.601 YCbCr of full range."""

    encoder: ClassVar[str]  # ffmpeg's name of the encoder
    format: ClassVar[str]  # ffmpeg's name of the raw bitstream
    pixel_format: ClassVar[str]
    granularity: ClassVar[int]  # sides that the pixel format can have: multiples of this
    smallest_side: ClassVar[int]  # that the encoder takes

    preset: str
    tune: str = "psnr"

    @abstractmethod
    def _encoder_options(self, quality: float) -> list[str]:
        """Return ffmpeg's arguments for the encoder."""

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file: rows and columns of padding, a byte each, and the bitstream."""
        rows, columns = (self._padding(side) for side in image.shape[:2])
        padded = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
        coding = ["-frames:v", "1", *self._encoder_options(quality), "-f", self.format, "-"]
        stream = run_ffmpeg([*FROM_PPM, "-vf", self._to_ycbcr(), *coding], _ppm(padded))
        return bytes([rows, columns]) + stream

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""
        if len(data) < 2:
            raise FormatError(f"file has {len(data)} bytes, expected a header of 2")
        rows, columns = data[:2]
        source = ["-threads", str(self.threads), "-f", self.format, "-i", "-"]
        padded = _pixels(run_ffmpeg([*source, "-vf", TO_RGB, *TO_PPM], data[2:]))
        height, width = padded.shape[:2]
        return padded[: height - rows, : width - columns]

    def convert(self, image: Pixels) -> Pixels:
        """Return what the change of colours and back makes of an image with even sides.

        No coded file can be better than this.
        """
        both_ways = f"{self._to_ycbcr()},{TO_RGB}"
        return _pixels(run_ffmpeg([*FROM_PPM, "-vf", both_ways, *TO_PPM], _ppm(image)))

    def _to_ycbcr(self) -> str:
        return f"zscale=matrix=170m:range=full:filter=lanczos,format={self.pixel_format}"

    def _padding(self, side: int) -> int:
        """Return how much to add to a side of the image."""
        longer = max(side, self.smallest_side)
        return longer + -longer % self.granularity - side

    @classmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""
        from imageio_ffmpeg import __version__ as package_version

        return f"imageio-ffmpeg {package_version}, {ffmpeg_version()}, {cls._encoder_version()}"

    @classmethod
    @abstractmethod
    def _encoder_version(cls) -> str:
        """Return the encoder's name and version."""

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        if not find_spec("imageio_ffmpeg"):
            return "pip install imageio-ffmpeg"
        here = ffmpeg_has("encoders", cls.encoder) and ffmpeg_has("filters", "zscale")
        return None if here else "pip install --upgrade imageio-ffmpeg"


@dataclass(frozen=True, kw_only=True)
class Hevc(VideoCodec):
    """HEVC intra in 10-bit 4:4:4, by x265; quality is 51 less its constant rate factor.

    From ten bits of YCbCr, the pixels come back exactly: the change of colours costs nothing.
    """

    name = "hevc"
    title = "HEVC 4:4:4 10-bit (x265 {preset}, tune {tune})"
    qualities = (3, 7, 11, 15, 19, 23, 27, 31)
    quality_range = (0, 51)
    encoder = "libx265"
    format = "hevc"
    pixel_format = "yuv444p10le"
    granularity = 1
    smallest_side = 16

    preset: str = "slow"

    def _encoder_options(self, quality: float) -> list[str]:
        parameters = {
            "crf": f"{51 - quality:g}",
            "keyint": 1,
            "info": 0,  # no line of options in the file
            "pools": self.threads,
            "wpp": int(self.threads > 1),  # rows in parallel cost bytes
            "log-level": "error",
        }
        tune = [] if self.tune == "default" else ["-tune", self.tune]
        text = ":".join(f"{key}={value}" for key, value in parameters.items())
        return ["-c:v", self.encoder, "-preset", self.preset, *tune, "-x265-params", text]

    @classmethod
    def _encoder_version(cls) -> str:
        return "x265 " + encoder_log(cls.encoder, r"encoder version (\S+)")


@dataclass(frozen=True, kw_only=True)
class Vvc(VideoCodec):
    """VVC intra by VVenC; quality is 63 less its quantisation parameter.

    VVenC codes 4:2:0 only, in 10 bits. The change of colours alone leaves an RGB PSNR of 42.1 dB
    on scikit-image's astronaut, 41.6 on coffee, 48.1 on cat and 35.9 on rocket (see `convert`):
    a bound to every file, which weighs on the upper half of its curve.
    """

    name = "vvc"
    title = "VVC 4:2:0 10-bit (VVenC {preset}, tune {tune})"
    qualities = (11, 16, 21, 26, 31, 36)
    quality_range = (0, 63)
    encoder = "libvvenc"
    format = "vvc"
    pixel_format = "yuv420p10le"
    granularity = 2
    smallest_side = 16

    preset: str = "medium"

    def _encoder_options(self, quality: float) -> list[str]:
        perceptual = {"psnr": "0", "default": "1"}
        if self.tune not in perceptual:
            raise InputError(f"vvc/tune is {self.tune!r}, expected psnr or default")
        qp = str(round(63 - quality))
        tune = ["-qpa", perceptual[self.tune], "-threads", str(self.threads)]
        return ["-c:v", self.encoder, "-preset", self.preset, "-qp", qp, *tune]

    @classmethod
    def _encoder_version(cls) -> str:
        return "VVenC " + encoder_log(cls.encoder, r"libvvenc version: (\S+)")


def _ppm(image: Pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PPM")
    return file.getvalue()


def _pixels(ppm: bytes) -> Pixels:
    with Image.open(BytesIO(ppm), formats=["PPM"]) as image:
        return np.array(image)


def run_ffmpeg(arguments: Sequence[str], data: bytes = b"", log: str = "error") -> bytes:
    """Return what ffmpeg writes to its standard output when it is given data.

    Raises NpegError with ffmpeg's last line if it fails.
    """
    done = _ffmpeg(arguments, data, log)
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NpegError(f"ffmpeg: {lines[-1] if lines else 'wrote nothing'}")
    return done.stdout


def _ffmpeg(
    arguments: Sequence[str], data: bytes = b"", log: str = "error"
) -> subprocess.CompletedProcess[bytes]:
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-hide_banner", "-loglevel", log, "-filter_threads", "1"]
    return subprocess.run([*command, *arguments], input=data, capture_output=True, check=False)


@cache
def ffmpeg_has(kind: str, name: str) -> bool:
    """Return whether ffmpeg is here and has one of its `encoders` or `filters`."""
    try:
        listed = _ffmpeg([f"-{kind}"]).stdout.decode()
    except (OSError, RuntimeError):  # no program for this system
        return False
    return re.search(rf"^\s*\S+\s+{name}\s", listed, re.M) is not None


@cache
def ffmpeg_version() -> str:
    """Return ffmpeg's name and version."""
    return " ".join(_ffmpeg(["-version"]).stdout.decode().split()[:3:2])


@cache
def encoder_log(encoder: str, pattern: str) -> str:
    """Return what a pattern finds in what an encoder says of itself, or "unknown"."""
    source = ["-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", "-pix_fmt", "yuv420p10le"]
    said = _ffmpeg([*source, "-c:v", encoder, "-f", "null", "-"], log="verbose").stderr.decode()
    found = re.search(pattern, said)
    return found[1] if found else "unknown"
