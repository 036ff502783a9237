"""Time npeg and AVIF at one megapixel, files and weights in memory, two threads.

    NPEG_THREADS=2 python runs/megapixel.py FOLDER_OF_KODAK > runs/megapixel.tsv

Four photographs, scaled to 1200x840, in turns; npeg at quality 50, AVIF at quality 50 and speed 6.
Writes one row a photograph and their mean: milliseconds, the best of the repeats.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import npeg

PHOTOS = ("kodim05.png", "kodim11.png", "kodim17.png", "kodim23.png")
SIZE = (1200, 840)
REPEATS = 8
COLUMNS = ("npeg_encode_ms", "npeg_decode_ms", "avif_encode_ms", "avif_decode_ms")


def best_ms(action: Callable[[], object]) -> float:
    """Return how long an action takes, the best of a few times."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - started)
    return 1000 * best


def as_avif(picture: Image.Image) -> bytes:
    """Return the bytes of an AVIF file."""
    file = io.BytesIO()
    picture.save(file, "AVIF", quality=50, speed=6, subsampling="4:4:4", max_threads=2)
    return file.getvalue()


def times_of(path: Path) -> list[float]:
    """Return the four times of a photograph."""
    photo = Image.open(path).convert("RGB")
    size = SIZE if photo.width > photo.height else SIZE[::-1]
    picture = photo.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(picture)
    ours, theirs = npeg.encode(pixels, quality=50), as_avif(picture)
    npeg.decode(ours)
    return [
        best_ms(lambda: npeg.encode(pixels, quality=50)),
        best_ms(lambda: npeg.decode(ours)),
        best_ms(lambda: as_avif(picture)),
        best_ms(lambda: Image.open(io.BytesIO(theirs)).load()),
    ]


def main(folder: Path) -> None:
    """Write the table to standard output."""
    print("image", *COLUMNS, sep="\t")
    rows = []
    for name in PHOTOS:
        rows.append(times_of(folder / name))
        print(name, *(f"{value:.1f}" for value in rows[-1]), sep="\t", flush=True)
    print("mean", *(f"{value:.1f}" for value in np.mean(rows, axis=0)), sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
