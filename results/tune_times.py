"""Time both tunes in turns: what the visual tune's networks cost beside those of the other.

    NPEG_THREADS=2 python results/tune_times.py FOLDER_OF_KODAK > results/tune-times.tsv

Four photographs as they are and at 1200x840, qualities at which both tunes write about as many
bytes. Times are means over the photographs of the best of eight, in milliseconds, nothing else
running.
"""

import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from npeg import codec
from npeg.encoder_rule import EncoderOptions

PHOTOS = ("05", "11", "17", "23")
QUALITIES = {"visual": 78, "psnr": 68}
REPEATS = 8


def seconds(work, *arguments, **options):
    """Return how long a call takes, and what it returns."""
    start = time.perf_counter()
    result = work(*arguments, **options)
    return time.perf_counter() - start, result


def main(folder: Path) -> None:
    """Write the table to standard output."""
    images = [Image.open(folder / f"kodim{n}.png").convert("RGB") for n in PHOTOS]
    print("size", "tune", "rate_bpp", "decode_ms", "encode_ms", "encode_one_pass_ms", sep="\t")
    for size in ((768, 512), (1200, 840)):
        photos = [np.array(i if i.size == size else i.resize(size)) for i in images]
        times, rates = defaultdict(list), defaultdict(list)
        for _ in range(REPEATS):
            for tune, quality in QUALITIES.items():
                for k, pixels in enumerate(photos):
                    level, usual = 2 * quality, EncoderOptions(tune=tune)
                    fast = EncoderOptions(effort=0, tune=tune)
                    taken, data = seconds(codec.encode_pixels, pixels, level, usual)
                    one_pass, _ = seconds(codec.encode_pixels, pixels, level, fast)
                    decoded, _ = seconds(codec.decode_pixels, data)
                    times[tune, k].append((decoded, taken, one_pass))
                    rates[tune].append(8 * len(data) / pixels[..., 0].size)
        for tune in QUALITIES:
            best = np.mean([np.min(times[tune, k], axis=0) for k in range(len(photos))], axis=0)
            cells = [f"{value:.1f}" for value in 1000 * best]
            print(f"{size[0]}x{size[1]}", tune, f"{np.mean(rates[tune]):.3f}", *cells, sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
