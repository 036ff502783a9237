"""The README's table, from results/kodak-bd-rates.tsv and results/times.tsv.

    python results/readme_table.py

A row a codec: npeg's BD-rate against it by three metrics, and its times as multiples of AVIF's.
"""

import csv
from pathlib import Path

from npeg.bench.codecs import find_codec

HERE = Path(__file__).parent
METRICS = ("psnr", "ms-ssim", "ssimulacra2")
RATE_BPP = 0.6  # that times are compared at
UNTIMED = ("npeg/tune=clean", "avif/tune=psnr")
TIMES = ("encode_time_s", "decode_time_s")


def rows_of(path):
    """Return the rows of a table, without its comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def main():
    """Write the table to standard output."""
    rates = {
        (row["metric"], row["anchor"]): row["bd_rate_percent"]
        for row in rows_of(HERE / "kodak-bd-rates.tsv")
        if row["codec"] == "npeg"
    }
    nearest: dict = {}
    for row in rows_of(HERE / "times.tsv"):
        off = abs(float(row["rate_bpp"]) - RATE_BPP)
        if row["image"] == "mean" and off < nearest.get(row["codec"], (9,))[0]:
            nearest[row["codec"]] = off, [float(row[time]) for time in TIMES]
    times: dict = {codec: seconds for codec, (_, seconds) in nearest.items()}
    for spec in UNTIMED:
        times.setdefault(spec, None)
    print("| against | RGB PSNR | MS-SSIM | SSIMULACRA2 | its encoding | its decoding |")
    print("|---|---|---|---|---|---|")
    for spec, seconds in times.items():
        label = find_codec(spec).label
        cells = ["-"] * len(METRICS)
        if spec != "npeg":
            found = [rates.get((metric, label)) for metric in METRICS]
            cells = [f"{float(rate):+.1f} %" if rate else "-" for rate in found]
        pairs = zip(seconds or TIMES, times["avif"], strict=True)
        cells += [f"{own / avif:.2g}" if seconds else "-" for own, avif in pairs]
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
