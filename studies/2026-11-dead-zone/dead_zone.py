# mypy: ignore-errors
"""Compare dead zones of the encoder: BD-rate in RGB PSNR against plain rounding, whole files.

Ran at commit 67534cc, where it is `runs/dead_zone.py`: the encoder's rule has another home since.

    python dead_zone.py FOLDER_OF_VALIDATION_IMAGES [HOW_MANY]

Writes one row a setting: half-width beyond 1/2 a bit saved, bits that are free, mean over the
images of the BD-rate in percent.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from npeg import codec, networks
from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.bdrate import bd_rate
from npeg.encoder_rule import EncoderOptions

LEVELS = (20, 60, 100, 140, 180)
SETTINGS = ((0.0, 0.0), (0.02, 0.0), (0.02, 2.0), (0.03, 2.0), (0.04, 2.0))


def curve(pixels: codec.Pixels, effort: int = 0) -> list[tuple[float, float]]:
    """Return (bits per pixel, PSNR in dB) at LEVELS, by default of the encoder's first pass."""
    points = []
    for level in LEVELS:
        data, decoded = codec.encode_with_reconstruction(pixels, level, EncoderOptions(effort))
        points.append((8 * len(data) / pixels[..., 0].size, psnr_db(pixels, decoded)))
    return points


def curves(
    setting: tuple[float, float], images: list[codec.Pixels]
) -> list[list[tuple[float, float]]]:
    """Return each image's curve under a setting."""
    networks.DEAD_ZONE_PER_BIT, networks.DEAD_ZONE_FREE_BITS = setting
    networks.load().__dict__.pop("thresholds", None)  # computed anew
    return [curve(pixels) for pixels in tqdm(images, desc=f"dead zone {setting}")]


def main(folder: Path, most: int = 1000) -> None:
    """Write the table to standard output."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".avif", ".webp"))
    images = [np.array(Image.open(path).convert("RGB")) for path in paths[:most]]
    plain = curves(SETTINGS[0], images)
    print("per_bit", "free_bits", "bd_rate_percent", sep="\t")
    for setting in SETTINGS[1:]:
        rates = [bd_rate(a, b) for a, b in zip(plain, curves(setting, images), strict=True)]
        print(*setting, f"{np.mean([rate for rate in rates if rate is not None]):.2f}", sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
