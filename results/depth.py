"""The loss of 16-bit pictures at each quality, and by way of 8 bits: rows of depth.tsv.

    python results/depth.py > results/depth.tsv

The photographs are scikit-image's at half their size, so that each sample is a mean of four and has
10 bits of which it is sure; the ramp is made here. Loss is PSNR in dB to the 16-bit original, of
the 16-bit pixels that a file gives. Each file's decoded pixels are what is measured.
"""

import numpy as np
from skimage import data

import npeg
from npeg import depth
from npeg.targets import psnr_db

QUALITIES = (10, 25, 50, 75, 85, 90, 95, 100)
PHOTOGRAPHS = {"astronaut": data.astronaut, "chelsea": data.chelsea, "coffee": data.coffee}


def halved(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels (H, W, 3) at half their size, uint16."""
    height, width = (side // 2 for side in pixels.shape[:2])
    blocks = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return np.rint(blocks.astype(float).mean((1, 3)) * 257).astype(np.uint16)


def ramp() -> np.ndarray:
    """Return a grey ramp of 192 x 320 pixels, uint16."""
    y, x = np.mgrid[:192, :320]
    return np.rint(2000 + 60000 * (0.7 * x / 320 + 0.3 * y / 192)).astype(np.uint16)


def row(name: str, pixels: np.ndarray, quality: float) -> list[object]:
    """Return what one picture loses at a quality."""
    eight = depth.as_type(pixels, np.uint8)
    files = npeg.encode(pixels, quality), npeg.encode(eight, quality)
    found = npeg.decode(files[0], dtype="uint16"), depth.as_type(npeg.decode(files[1]), np.uint16)
    count = pixels.shape[0] * pixels.shape[1]
    rates = [f"{8 * len(file) / count:.3f}" for file in files]
    losses = [f"{psnr_db(pixels, image):.2f}" for image in found]
    values = [len(np.unique(image[..., 0] if image.ndim == 3 else image)) for image in found]
    return [name, quality, rates[0], losses[0], values[0], rates[1], losses[1], values[1]]


def main() -> None:
    """Print the rows."""
    names = "rate_bpp", "psnr_db", "values", "rate_by_8_bpp", "psnr_by_8_db", "values_by_8"
    print("picture", "quality", *names, sep="\t")
    pictures = {name: halved(read()) for name, read in PHOTOGRAPHS.items()} | {"ramp": ramp()}
    for name, pixels in pictures.items():
        for quality in QUALITIES:
            print(*row(name, pixels, quality), sep="\t", flush=True)


if __name__ == "__main__":
    main()
