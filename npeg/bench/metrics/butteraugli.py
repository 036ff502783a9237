"""Butteraugli: how far apart two images look, by libjxl's program `butteraugli_main`."""

import shutil
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from npeg.arrays import Pixels
from npeg.bench.metrics.programs import read_number, run_program

PROGRAM = "butteraugli_main"
NITS = 80  # brightness of white; the program's default, on which libjxl's distances are defined


def distance(original: Pixels, decoded: Pixels) -> float:
    """Return 0 for no difference, about 1 where it begins to be seen, more as it grows.

    It is the "3-norm" of libjxl, the mean of the 3-, 6- and 12-norms of the map of differences:
    the largest single difference says little of a whole image.

    Raises:
        NpegError: the program fails.
    """
    with TemporaryDirectory(prefix="npeg-") as folder:
        paths = [str(Path(folder, name)) for name in ("original.ppm", "decoded.ppm")]
        for path, image in zip(paths, (original, decoded), strict=True):
            Image.fromarray(image).save(path)
        text = run_program([PROGRAM, *paths, "--intensity_target", str(NITS)])
    return read_number(r"3-norm: ([\d.]+)", text)


def missing() -> str | None:
    """Return the command that installs the program, or None if it is here."""
    if shutil.which(PROGRAM):
        return None
    return "brew install jpeg-xl" if sys.platform == "darwin" else "apt install libjxl-devtools"


@cache
def version() -> str:
    """Return the program's name and fingerprint, as it does not tell its version."""
    path = shutil.which(PROGRAM)
    return f"{PROGRAM} {sha256(Path(path).read_bytes()).hexdigest()[:8] if path else 'missing'}"
