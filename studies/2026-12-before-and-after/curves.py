"""The psnr tune up to 1.5 bpp: bits a pixel and PSNR, by whichever npeg is on the path.

    PYTHONPATH=CHECKOUT python curves.py FOLDER PICTURE... > rows.tsv
    python curves.py before.tsv after.tsv   # BD-rates

Run once with commit 67534cc on the path, the codec of model 7 before residuals, and once with the
one to be judged. The second form prints a row a picture, and the mean.
"""

import sys
from inspect import signature
from pathlib import Path

import numpy as np
from PIL import Image

QUALITIES = (5, 20, 35, 50, 62, 72, 79, 80, 82, 85)
MOST_BPP = 1.5


def measure(folder: Path, names: list[str]) -> None:
    """Print a row for each picture and quality, until a file has more than MOST_BPP."""
    from npeg import codec
    from npeg.targets import psnr_db

    options = {}  # 67534cc has no tune but this one
    if "options" in signature(codec.encode_with_reconstruction).parameters:
        from npeg.encoder_rule import EncoderOptions

        options = {"options": EncoderOptions(tune="psnr")}
    print("image", "quality", "rate_bpp", "psnr_db", sep="\t")
    for name in names:
        image = np.ascontiguousarray(Image.open(folder / name).convert("RGB"))
        for quality in QUALITIES:
            data, found = codec.encode_with_reconstruction(image, 2 * quality, **options)
            rate = 8 * len(data) / image[..., 0].size
            print(
                name, quality, f"{rate:.5f}", f"{psnr_db(image, found):.4f}", sep="\t", flush=True
            )
            if rate > MOST_BPP:
                break


def curves_of(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the points (bpp, PSNR) of each picture."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in path.read_text().splitlines()[1:]:
        name, _, rate, psnr = row.split("\t")
        found.setdefault(name, []).append((float(rate), float(psnr)))
    return found


def compare(before: Path, after: Path) -> None:
    """Print the BD-rate of each picture in per cent, negative where files became smaller."""
    from npeg.bench.metrics.bdrate import bd_rate

    old, new = curves_of(before), curves_of(after)
    print("image", "points", "to_bpp", "bd_rate_percent", sep="\t")
    rates = []
    for name, curve in new.items():
        both = [[p for p in points if p[0] <= MOST_BPP] for points in (old[name], curve)]
        rates.append(bd_rate(*both) or 0.0)
        print(name, len(both[1]), f"{both[1][-1][0]:.2f}", f"{rates[-1]:+.2f}", sep="\t")
    print("mean", "", "", f"{np.mean(rates):+.2f}", sep="\t")


if __name__ == "__main__":
    first, *others = sys.argv[1:]
    if Path(first).is_dir():
        measure(Path(first), others)
    else:
        compare(Path(first), Path(*others))
