"""Encode images at every quality from 0 to 100 and check that files grow with it.

    python results/monotonic.py FOLDER > results/monotonic.tsv

Writes one row an image: bits per pixel at quality 0 and 100, and the smallest growth from one
quality to the next, in bytes and in percent.  Exits with 1 if a file ever shrank.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

import npeg

QUALITIES = range(101)


def main(folder: Path) -> int:
    """Write the table of a folder to standard output."""
    print("image", "bpp_at_0", "bpp_at_100", "least_growth_bytes", "least_growth_percent", sep="\t")
    shrank = False
    for path in tqdm(sorted(folder.glob("*.png"))):
        pixels = np.array(Image.open(path).convert("RGB"))
        sizes = np.array([len(npeg.encode(pixels, quality=q)) for q in QUALITIES])
        growth = np.diff(sizes)
        bpp = 8 * sizes / (pixels.shape[0] * pixels.shape[1])
        percent = (100 * growth / sizes[:-1]).min()
        print(
            path.stem, f"{bpp[0]:.4f}", f"{bpp[-1]:.4f}", growth.min(), f"{percent:.2f}", sep="\t"
        )
        shrank |= bool(growth.min() < 0)
    return int(shrank)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
