"""The field's table of JPEG restoration: luma of LIVE1 and Classic5 at quality 10, 20, 30 and 40.

    python results/restoration.py tune VAL               # results/restoration-strengths.tsv
    python results/restoration.py best
    python results/restoration.py table LIVE1 CLASSIC5   # results/restoration.tsv
    python results/restoration.py show

`tune` measures every method at several strengths on photographs kept for choosing; `table` takes
the best strength at each quality, so these methods are told the quality, and npeg's own is not.
Methods that are not installed are left out, and named. Luma is MATLAB's rgb2ycbcr (16..235,
rounded), coded by Pillow as a grey JPEG; scores are means over the images.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.luma import studio_luma
from npeg.bench.metrics.psnr_b import psnr_b_db
from npeg.bench.metrics.ssim import ssim
from npeg.enhance import METHODS, RESTORATION, enhance

HERE = Path(__file__).parent
PUBLISHED = HERE / "published-restoration.tsv"
STRENGTHS, TABLE = HERE / "restoration-strengths.tsv", HERE / "restoration.tsv"
QUALITIES = (10, 20, 30, 40)
CANDIDATES = {
    "others": (0.03, 0.05, 0.08, 0.12, 0.17, 0.23, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "ffdnet": (0.03, 0.05, 0.08, 0.12, 0.17, 0.23),
    "waifu2x": (0, 0.33, 0.67, 1),  # its four levels
}
HEAD = "dataset\tquality\tmethod\tstrength\tpsnr_db\tssim\tpsnr_b_db"
OWN = "restorer"  # told nothing of the quality, always at strength 1
TUNED_ON, SIDE = 12, 256  # images, and pixels of their middles


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


def methods(without=()):
    """Yield the restorations that are here; name the others."""
    for method in METHODS.values():
        if method.kind == RESTORATION and method.name not in without:
            if command := method.missing():
                print(f"left out {method.name}: it needs {command}", file=sys.stderr)
            else:
                yield method


def middle(plane):
    """Return the middle of a plane, SIDE pixels in each direction."""
    top, left = ((side - SIDE) // 2 for side in plane.shape)
    return np.ascontiguousarray(plane[top : top + SIDE, left : left + SIDE])


def tune(folder):
    """Write the gain of each method at each strength and quality; methods that are there stay."""
    planes = [middle(plane) for plane in luma_images(folder, TUNED_ON)]
    done = {row["method"] for row in gains()}
    if not done:
        STRENGTHS.write_text("method\tquality\tstrength\tgain_db\n")
    wanted = [m for m in methods() if m.name not in done and m.name != OWN]
    for method in tqdm(wanted, unit="method", disable=None):
        lines = []
        for quality in QUALITIES:
            coded = [as_jpeg(plane, quality) for plane in planes]
            before = np.mean([psnr_db(*pair) for pair in zip(planes, coded, strict=True)])
            for strength in CANDIDATES.get(method.name, CANDIDATES["others"]):
                found = [enhance(plane, method.name, strength) for plane in coded]
                after = np.mean([psnr_db(*pair) for pair in zip(planes, found, strict=True)])
                lines.append(f"{method.name}\t{quality}\t{strength:g}\t{after - before:.4f}\n")
        with STRENGTHS.open("a") as file:
            file.write("".join(lines))


def gains():
    """Return the rows that `tune` has written."""
    if not STRENGTHS.exists():
        return []
    with STRENGTHS.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def best_strengths():
    """Return the best strength by method and quality; 0 as quality: the best at all of them."""
    sums: dict[tuple[str, int], dict[float, float]] = {}
    for row in gains():
        for quality in (0, int(row["quality"])):
            key = row["method"], quality
            found = sums.setdefault(key, {})
            strength = float(row["strength"])
            found[strength] = found.get(strength, 0) + float(row["gain_db"])
    return {key: max(found, key=found.__getitem__) for key, found in sums.items()}


def table(folders, without):
    """Write PSNR, SSIM and PSNR-B of every method; rows that are there stay, but for npeg's."""
    strengths = best_strengths()
    found = {}
    if TABLE.exists():
        rows = [line.split("\t") for line in TABLE.read_text().splitlines()[1:]]
        found = {tuple(row[:4]): row[4:] for row in rows}
    for name, folder in folders.items():
        planes = luma_images(folder)
        for quality in QUALITIES:
            coded = [as_jpeg(plane, quality) for plane in planes]
            for method in [None, *methods(without)]:
                label = method.name if method else "JPEG"
                strength = 1 if label == OWN else strengths[label, quality] if method else 0
                key = name, str(quality), label, f"{strength:g}"
                if key not in found or label == OWN:  # its weights change
                    found[key] = measure(planes, coded, method, strength)
                    lines = ["\t".join([*key, *scores]) for key, scores in found.items()]
                    TABLE.write_text("\n".join([HEAD, *lines]) + "\n")
                    print(*key, *found[key], flush=True)


def measure(planes, coded, method, strength):
    """Return mean PSNR, SSIM and PSNR-B, as text."""
    scores = []
    for plane, jpeg in zip(planes, coded, strict=True):
        found = enhance(jpeg, method.name, strength) if method else jpeg
        pair = colour(plane), colour(found)
        scores.append((psnr_db(*pair), ssim(*pair), psnr_b_db(*pair)))
    psnr, similarity, psnr_b = np.mean(scores, axis=0)
    return f"{psnr:.3f}", f"{similarity:.4f}", f"{psnr_b:.3f}"


def show():
    """Print the PSNR of every method, measured and published, as a table for the README."""
    found: dict[str, dict[tuple[str, int], float]] = {}
    for path, label in ((TABLE, "{}"), (PUBLISHED, "{} (published)")):
        with path.open() as file:
            for row in csv.DictReader(file, delimiter="\t"):
                scores = found.setdefault(label.format(row["method"]), {})
                scores[row["dataset"], int(row["quality"])] = float(row["psnr_db"])
    columns = [(name, quality) for name in ("LIVE1", "Classic5") for quality in QUALITIES]
    print("| method |" + "".join(f" {name} {quality} |" for name, quality in columns))
    print("|---" * (1 + len(columns)) + "|")
    ranked = sorted(found.items(), key=lambda item: -item[1]["LIVE1", QUALITIES[0]])
    for label, scores in ranked:
        cells = [f"{scores[key]:.2f}" if key in scores else "-" for key in columns]
        print(f"| {label} | " + " | ".join(cells) + " |")


def main():
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("best", help="list the best strengths")
    commands.add_parser("show", help="the table for the README")
    tuning = commands.add_parser("tune")
    tuning.add_argument("val", type=Path)
    measuring = commands.add_parser("table")
    measuring.add_argument("live1", type=Path)
    measuring.add_argument("classic5", type=Path)
    measuring.add_argument("--without", default="", metavar="A,B", help="leave these out")
    args = parser.parse_args()
    if args.command == "best":
        for (method, quality), strength in best_strengths().items():
            print(f"{method:14} {quality or 'all':>4} {strength:g}")
    elif args.command == "show":
        show()
    elif args.command == "tune":
        tune(args.val)
    else:
        table({"LIVE1": args.live1, "Classic5": args.classic5}, args.without.split(","))


if __name__ == "__main__":
    main()
