"""The README's table, from results/kodak-bd-rates.tsv and results/kodak-judges-bd-rates.tsv.

    python results/readme_table.py

A row a codec: npeg's BD-rate against it, first by the measures that it was trained on, then by
those that nothing here was trained on, then by PSNR; `-` where the bench has not measured it.
"""

import csv
from pathlib import Path

from npeg.bench.codecs import find_codec

HERE = Path(__file__).parent
TABLES = ("kodak-bd-rates.tsv", "kodak-judges-bd-rates.tsv")  # a later one adds to an earlier one
METRICS = {
    "ssimulacra2": "SSIMULACRA2",
    "ms-ssim": "MS-SSIM",
    "iw-ssim": "IW-SSIM",
    "vmaf-neg": "VMAF NEG",
    "butteraugli": "Butteraugli",
    "psnr": "RGB PSNR",
}
RIVALS = (
    *("jpeg", "mozjpeg", "jpegli", "webp", "jpeg2000", "jxl", "avif/speed=8", "avif"),
    *("avif/speed=4", "avif/tune=psnr", "hevc", "vvc", "npeg/effort=0", "npeg/tune=psnr"),
)


def rows_of(path):
    """Return the rows of a table, without its comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def main():
    """Write the table to standard output."""
    rates = {
        (row["metric"], row["anchor"]): row["bd_rate_percent"]
        for name in TABLES
        for row in rows_of(HERE / name)
        if row["codec"] == "npeg"
    }
    print("| npeg against |", " | ".join(METRICS.values()), "|")
    print("|---" * (1 + len(METRICS)) + "|")
    for spec in RIVALS:
        label = find_codec(spec).label
        found = [rates.get((metric, label)) for metric in METRICS]
        cells = [f"{float(rate):+.1f} %" if rate else "-" for rate in found]
        print(f"| {label} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
