"""The field's table of JPEG restoration: luma of LIVE1 and Classic5 at quality 10, 20, 30 and 40.

    python runs/restoration.py tune VAL               # runs/restoration-strengths.tsv
    python runs/restoration.py table LIVE1 CLASSIC5   # runs/restoration.tsv

`tune` finds each method's best strength at each quality on photographs kept for choosing; `table`
measures with these. Methods that are not installed are left out, and named. Luma is MATLAB's
rgb2ycbcr (16..235, rounded), coded by Pillow as a grey JPEG; scores are means over the images.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from npeg.bench.luma import studio_luma
from npeg.bench.metrics import psnr_db
from npeg.bench.psnr_b import psnr_b_db
from npeg.bench.ssim import ssim
from npeg.enhance import METHODS, RESTORATION, enhance

HERE = Path(__file__).parent
STRENGTHS, TABLE = HERE / "restoration-strengths.tsv", HERE / "restoration.tsv"
QUALITIES = (10, 20, 30, 40)
CANDIDATES = (0.03, 0.05, 0.08, 0.12, 0.17, 0.23, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
LEVELS = {"waifu2x": (0, 0.33, 0.67, 1)}  # of methods whose strength has steps
TUNED_ON = 8  # images


def luma_images(folder, most=None):
    """Return the planes of a folder's images, (H, W) uint8; grey ones as they are."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".bmp", ".png", ".tif"})
    if most:
        paths = [paths[i * len(paths) // most] for i in range(min(most, len(paths)))]
    images = [np.asarray(Image.open(path)) for path in paths]
    return [i if i.ndim == 2 else studio_luma(i[..., :3]) for i in images]


def as_jpeg(plane, quality):
    """Return what comes back of a plane from a grey JPEG."""
    file = io.BytesIO()
    Image.fromarray(plane).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def colour(plane):
    """Return a plane as three equal ones, which the bench's metrics take."""
    return np.repeat(plane[..., None], 3, axis=2)


def methods():
    """Yield the restorations that are here; name the others."""
    for method in METHODS.values():
        if method.kind == RESTORATION:
            if command := method.missing():
                print(f"left out {method.name}: it needs {command}", file=sys.stderr)
            else:
                yield method


def tune(folder):
    """Write each method's best strength at each quality."""
    planes = luma_images(folder, TUNED_ON)
    lines = ["method\tquality\tstrength\tgain_db"]
    for method in tqdm(list(methods()), unit="method", disable=None):
        for quality in QUALITIES:
            coded = [as_jpeg(plane, quality) for plane in planes]
            before = np.mean([psnr_db(*pair) for pair in zip(planes, coded, strict=True)])
            best = (0.0, 0.0)
            for strength in LEVELS.get(method.name, CANDIDATES):
                found = [enhance(plane, method.name, strength) for plane in coded]
                after = np.mean([psnr_db(*pair) for pair in zip(planes, found, strict=True)])
                best = max(best, (after - before, strength))
            lines.append(f"{method.name}\t{quality}\t{best[1]:g}\t{best[0]:.4f}")
    STRENGTHS.write_text("\n".join(lines) + "\n")


def table(folders):
    """Write PSNR, SSIM and PSNR-B of JPEG and of every method."""
    with STRENGTHS.open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        strengths = {(r["method"], int(r["quality"])): float(r["strength"]) for r in rows}
    lines = ["dataset\tquality\tmethod\tstrength\tpsnr_db\tssim\tpsnr_b_db"]
    for name, folder in folders.items():
        planes = luma_images(folder)
        for quality in QUALITIES:
            coded = [as_jpeg(plane, quality) for plane in planes]
            for method in [None, *methods()]:
                strength = strengths[method.name, quality] if method else 0
                scores = []
                for plane, jpeg in zip(planes, coded, strict=True):
                    found = enhance(jpeg, method.name, strength) if method else jpeg
                    pair = colour(plane), colour(found)
                    scores.append((psnr_db(*pair), ssim(*pair), psnr_b_db(*pair)))
                psnr, similarity, psnr_b = np.mean(scores, axis=0)
                label = method.name if method else "JPEG"
                lines.append(
                    f"{name}\t{quality}\t{label}\t{strength:g}\t"
                    f"{psnr:.3f}\t{similarity:.4f}\t{psnr_b:.3f}"
                )
                print(lines[-1])
    TABLE.write_text("\n".join(lines) + "\n")


def main():
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    tuning = commands.add_parser("tune")
    tuning.add_argument("val", type=Path)
    measuring = commands.add_parser("table")
    measuring.add_argument("live1", type=Path)
    measuring.add_argument("classic5", type=Path)
    args = parser.parse_args()
    if args.command == "tune":
        tune(args.val)
    else:
        table({"LIVE1": args.live1, "Classic5": args.classic5})


if __name__ == "__main__":
    main()
