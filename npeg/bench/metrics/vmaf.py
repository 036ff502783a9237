"""VMAF, by libvmaf in the program ffmpeg: that of the system, or of the package imageio-ffmpeg."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

import numpy as np

from npeg.arrays import Pixels
from npeg.bench.metrics.luma import luma
from npeg.bench.metrics.programs import read_number, run_program
from npeg.errors import InputError

MODEL = "vmaf_v0.6.1"  # ffmpeg's default: the luma of a television picture at three heights
NEG_MODEL = "vmaf_v0.6.1neg"
"""The same without reward for contrast that an encoder adds: "no enhancement gain"."""
SMALLEST_SIDE = 16  # below, the coarsest of four wavelet scales has no pixel inside its border


def score(original: Pixels, decoded: Pixels, model: str = MODEL) -> float:
    """Return the score of a film of one frame, 0..100; near 97 where no difference is seen.

    The model has no use for colour: it gets luma (BT.601) in the range 16..235 of films.
    model: one that is built into libvmaf.

    Raises:
        InputError: a side is too small.
        NpegError: the program fails.
    """
    height, width = original.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"VMAF needs 16x16 pixels or more, found {width}x{height}")
    # both in one frame, one above the other, as a program has but one standard input
    y = 16 + (luma(np.concatenate([original, decoded])) * (219 / 255)).round().astype(np.uint8)
    grey = bytes([128]) * (2 * y.size)
    crop = f"crop={width}:{height}:0"
    graph = (
        f"split[a][b];[a]{crop}:0[original];[b]{crop}:{height}[decoded];"
        f"[decoded][original]libvmaf=n_threads=1:model=version={model}"
    )
    frame = f"-f rawvideo -pix_fmt yuv444p -s {width}x{2 * height} -i -"
    command = [_program() or "ffmpeg", "-hide_banner", "-nostats", *frame.split()]
    text = run_program([*command, "-lavfi", graph, "-f", "null", "-"], y.tobytes() + grey)
    return read_number(r"VMAF score: ([-\d.]+)", text)


def missing() -> str | None:
    """Return the command that installs an ffmpeg with libvmaf, or None if one is here."""
    if _program():
        return None
    if find_spec("imageio_ffmpeg"):
        return "an ffmpeg that was built with libvmaf"
    return "pip install imageio-ffmpeg"


@cache
def version() -> str:
    """Return the program's version."""
    found = re.search(r"ffmpeg version (\S+)", run_program([_program() or "ffmpeg", "-version"]))
    return f"ffmpeg {found[1] if found else 'unknown'}"


@cache
def _program() -> str | None:
    """Return the first ffmpeg that knows libvmaf."""
    return next((path for path in _candidates() if _knows_vmaf(path)), None)


def _candidates() -> Iterator[str]:
    if path := shutil.which("ffmpeg"):
        yield path
    if find_spec("imageio_ffmpeg"):
        from imageio_ffmpeg import get_ffmpeg_exe

        try:
            yield get_ffmpeg_exe()
        except RuntimeError:  # a package without the program, and none on the path
            return


def _knows_vmaf(path: str) -> bool:
    command = [path, "-hide_banner", "-h", "filter=libvmaf"]
    done = subprocess.run(command, capture_output=True, check=False)
    return b"libvmaf AVOptions" in done.stdout
