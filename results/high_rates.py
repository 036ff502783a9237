"""Photographs above 1.5 bpp: npeg's files beside those of JPEG XL, and what quality 100 reaches.

    python results/high_rates.py FOLDER_OF_KODAK > results/high-rates.tsv
    python results/high_rates.py FOLDER 011.webp city.png   # some pictures of a folder alone

A row a photograph. Of each file of the psnr tune from 1.5 bpp on to where JPEG XL at effort 7 has
44 dB: its share of the bytes of JPEG XL at equal PSNR, interpolated over PSNR by the logarithm of
bytes; the mean and the largest of these. Then whether PSNR rises from each quality to the next, and
at quality 100 the PSNR of the psnr tune and the SSIMULACRA2 of the visual one.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from npeg import codec
from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.metrics.ssimulacra2 import score
from npeg.encoder_rule import EncoderOptions
from npeg.targets import psnr_db

QUALITIES = (65, 72, 79, 80, 83, 86, 89, 92, 96, 100)
RIVAL_QUALITIES = (75, 85, 90, 93, 95.5, 97.5, 99)
LEAST_BPP, MOST_DB = 1.5, 44.0
COLUMNS = (
    *("image", "files_compared", "mean_share_of_jxl", "largest_share_of_jxl", "least_step_db"),
    *("bpp_at_100", "psnr_db_at_100", "visual_bpp_at_100", "visual_ssimulacra2_at_100"),
)


def points(image: Pixels) -> list[tuple[float, float]]:
    """Return bits a pixel and PSNR in dB of npeg's files at each quality, tune psnr."""
    rows = []
    for quality in QUALITIES:
        options = EncoderOptions(tune="psnr")
        data, found = codec.encode_with_reconstruction(image, 2 * quality, options)
        rows.append((8 * len(data) / image[..., 0].size, psnr_db(image, found)))
    return rows


def rival_points(image: Pixels) -> list[tuple[float, float]]:
    """Return the same of JPEG XL's files."""
    jxl = find_codec("jxl")
    files = [jxl.encode(image, quality) for quality in RIVAL_QUALITIES]
    return [(8 * len(f) / image[..., 0].size, psnr_db(image, jxl.decode(f))) for f in files]


def shares(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> list[float]:
    """Return our bytes as shares of theirs at equal PSNR, of each file that is compared."""
    rates, known = np.array(sorted(theirs)).T
    least, most = known[0], min(known[-1], MOST_DB)
    return [
        rate / float(np.exp(np.interp(psnr, known, np.log(rates))))
        for rate, psnr in ours
        if rate >= LEAST_BPP and least <= psnr <= most
    ]


def main(folder: Path, names: list[str]) -> None:
    """Print the rows of all pictures of a folder, or of some."""
    print(*COLUMNS, sep="\t", flush=True)
    paths = [folder / name for name in names] or sorted(folder.iterdir())
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        ours = points(image)
        found = shares(ours, rival_points(image))
        data, seen = codec.encode_with_reconstruction(image, 200, EncoderOptions(tune="visual"))
        steps = np.diff([psnr for _, psnr in ours])
        compared = (f"{np.mean(found):.3f}", f"{max(found):.3f}") if found else ("-", "-")
        ends = (*ours[-1], 8 * len(data) / image[..., 0].size, score(image, seen))
        cells = [f"{value:.2f}" for value in (min(steps), *ends)]
        print(path.stem, len(found), *compared, *cells, sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
