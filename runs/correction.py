"""Compare steps of the encoder's correction: BD-rate in RGB PSNR against one pass, whole files.

    python runs/correction.py FOLDER_OF_VALIDATION_IMAGES > runs/correction.tsv

Writes one row a step: the share of the latents' projected error that is corrected, and the mean
over the images of the BD-rate in percent.
"""

import sys
from pathlib import Path

import numpy as np
from dead_zone import curve
from PIL import Image
from tqdm import tqdm

from npeg import codec
from npeg.bench.bdrate import bd_rate

STEPS = (0.9, 1.0, 1.05, 1.1)


def main(folder: Path) -> None:
    """Write the table to standard output."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".avif", ".webp"))
    images = [np.array(Image.open(path).convert("RGB")) for path in paths]
    plain = [curve(pixels) for pixels in tqdm(images, desc="one pass")]
    print("step", "bd_rate_percent", sep="\t")
    for codec.STEP in STEPS:
        corrected = [curve(pixels, effort=1) for pixels in tqdm(images, desc=f"step {codec.STEP}")]
        rates = [bd_rate(a, b) for a, b in zip(plain, corrected, strict=True)]
        print(codec.STEP, f"{np.mean([r for r in rates if r is not None]):.2f}", sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
