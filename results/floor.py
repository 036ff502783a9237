"""BD-rates of npeg between two rates only, from the mean rows of a results table.

    python results/floor.py results/kodak.tsv 0.1 1.5

npeg's points outside the rates are left out; anchors keep all of theirs, but BD-rate is taken where
the curves overlap.  Writes one row an anchor: RGB PSNR, percent.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from npeg.bench.metrics.bdrate import bd_rate


def main(table: Path, low: float, high: float) -> None:
    """Write the BD-rates to standard output."""
    lines = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in csv.DictReader(lines, delimiter="\t"):
        if row["image"] == "mean":
            curves[row["codec"]].append((float(row["rate_bpp"]), float(row["psnr_rgb_db"])))
    npeg = [(rate, psnr) for rate, psnr in curves.pop("npeg") if low <= rate <= high]
    print("anchor", "npeg_points", "bd_rate_percent", sep="\t")
    for name, curve in curves.items():
        if len(curve) < 4:  # lossless
            continue
        rate = bd_rate(curve, npeg)
        print(name, len(npeg), "-" if rate is None else f"{rate:.2f}", sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
