"""Decode and encode small pictures in one process for a while: does its memory grow?

    python results/soak.py --minutes 10 > results/soak.tsv     # Linux; draws soak.png

Each round encodes a picture of another size, decodes it, decodes a damaged copy, which is refused,
and asks for its description. A row every second of processor time or so: images, resident MiB.
"""

import argparse
import gc
import os
import sys
import time
from pathlib import Path

import numpy as np

import npeg
from npeg.errors import NpegError

PICTURE = Path(__file__).with_name("soak.png")
SIDES = range(16, 113, 8)


def resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def round_of(number: int, pixels: np.ndarray) -> None:
    """Take one picture there and back, and a damaged file of it."""
    side = SIDES[number % len(SIDES)]
    part = np.ascontiguousarray(pixels[:side, : SIDES[number * 7 % len(SIDES)]])
    data = npeg.encode(part, number % 101, effort=0, lossless=number % 10 == 0)
    assert npeg.decode(data).shape == part.shape
    npeg.info(data)
    try:
        npeg.decode(data[: len(data) // 2])
    except NpegError:
        return
    raise AssertionError("half a file was decoded")


def main() -> None:
    """Write the rows, then the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    pixels = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    pixels = (pixels // 8 + np.linspace(0, 200, 112)[:, None].astype(np.uint8)).astype(np.uint8)
    rows, number, deadline = [], 0, time.monotonic() + 60 * args.minutes
    print(f"# npeg {npeg.__version__}, Python {sys.version.split()[0]}, {args.minutes:g} minutes")
    print("images", "cpu_s", "resident_mib", sep="\t")
    while time.monotonic() < deadline:
        round_of(number, pixels[..., 0] if number % 3 == 0 else pixels)
        number += 1
        if number % 20 == 0:
            gc.collect()
            rows.append((number, resident_mib()))
            print(number, f"{time.process_time():.1f}", f"{rows[-1][1]:.2f}", sep="\t", flush=True)
    draw(rows)


def draw(rows: list[tuple[int, float]]) -> None:
    """Draw the curve of memory."""
    from matplotlib import pyplot

    images, memory = zip(*rows, strict=True)
    figure, axes = pyplot.subplots(figsize=(7, 3), layout="constrained")
    axes.plot(images, memory, color="#1f5fa8", linewidth=1)
    axes.set(xlabel="pictures encoded and decoded in one process", ylabel="resident memory, MiB")
    axes.set_ylim(0, 1.15 * max(memory))
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
