"""npeg beside AVIF at matched size: sheets to look at, and what can be measured of what they show.

python results/side_by_side.py KODAK OUT [--photos kodim05.png ...] [--rates 0.15 0.3 0.7]

OUT/<photo>-<rate>.png shows three places, enlarged three times: original, npeg, npeg by `--tune
psnr`, AVIF. They are those where npeg errs most, where it errs most beyond AVIF, and where AVIF
errs most beyond npeg.
OUT/side-by-side.tsv has, by photograph and rate, for all three:

- seams, by 8 and 16 pixels: steps between neighbours of the error, on the grid's lines over
  elsewhere. 1 is none; a block transform's own grid shows as more.
- colour shift: the largest mean error of a colour over 64x64 pixels, in levels of 255.
- small colours: root of the mean squared error of colour over 8x8 pixels, in levels, in the
  hundredth of the photograph where it is largest.
- ringing: root of the mean squared error, in levels, in the flattest quarter of the photograph that
  is within 8 pixels of its strongest edges.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import psnr_db
from npeg.bench.run.matching import Coded, largest_within
from npeg.bench.run.photos import read_pixels

Floats = NDArray[np.float64]

PHOTOS = [f"kodim{n:02d}.png" for n in (4, 5, 8, 13, 19, 23)]
RATES = [0.15, 0.3, 0.7]  # bits a pixel
CODECS = ("npeg", "npeg/tune=psnr", "avif")
SIDE, ENLARGE, GAP = 128, 3, 6  # pixels
SHIFT_SIDE, COLOUR_SIDE, REACH = 64, 8, 8  # pixels
WORST = 0.01  # share of the photograph that small colours are judged by
COLUMNS = (
    "photo",
    "rate",
    "codec",
    "rate_bpp",
    "psnr_db",
    "seams_8",
    "seams_16",
    "shift",
    "small_colours",
    "ringing",
)


def error_of(image: Pixels, coded: Pixels) -> Floats:
    """Return coded - image in levels, (H, W, 3)."""
    return coded.astype(np.float64) - image


def seams(error: Floats, size: int) -> float:
    """Return how much larger the steps of an error are across the lines of a grid."""
    found = []
    for axis in (0, 1):
        steps = np.moveaxis(np.abs(np.diff(error, axis=axis)), axis, 0).mean((1, 2))
        on = np.arange(1, len(steps) + 1) % size == 0
        found.append(steps[on].mean() / steps[~on].mean())
    return float(np.mean(found))


def colour_shift(error: Floats) -> float:
    """Return the largest mean error of a colour over a square."""
    h, w = (n // SHIFT_SIDE for n in error.shape[:2])
    squares = error[: h * SHIFT_SIDE, : w * SHIFT_SIDE].reshape(h, SHIFT_SIDE, w, SHIFT_SIDE, 3)
    return float(np.abs(squares.mean((1, 3))).max())


def small_colours(error: Floats) -> float:
    """Return the error of colour over small squares, where it is largest."""
    red, green, blue = np.moveaxis(error, 2, 0)
    axes = np.stack([(red - blue) / np.sqrt(2), (red - 2 * green + blue) / np.sqrt(6)])
    h, w = (n // COLOUR_SIDE for n in error.shape[:2])
    axes = axes[:, : h * COLOUR_SIDE, : w * COLOUR_SIDE]
    squares = axes.reshape(2, h, COLOUR_SIDE, w, COLOUR_SIDE).mean((2, 4))
    worst = np.sort(np.square(squares).sum(0), axis=None)[-max(1, int(WORST * h * w)) :]
    return float(np.sqrt(worst.mean()))


def ringing(image: Pixels, error: Floats) -> float:
    """Return the error in flat places beside strong edges."""
    grey = image.mean(2)
    slope = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    beside = ndimage.maximum_filter(slope, 2 * REACH + 1) >= np.quantile(slope, 0.98)
    activity = ndimage.maximum_filter(slope, 3)
    flat = activity <= np.quantile(activity[beside], 0.25)
    return float(np.sqrt(np.square(error[beside & flat]).mean()))


def places(one: Floats, other: Floats) -> Iterator[tuple[int, int]]:
    """Yield corners of squares: where `one` errs most, most beyond `other`, and least beyond it."""
    squared = [
        ndimage.uniform_filter(np.square(e).mean(2), SIDE)[SIDE // 2 :, SIDE // 2 :]
        for e in (one, other)
    ]
    squared = [e[: e.shape[0] - SIDE // 2 + 1, : e.shape[1] - SIDE // 2 + 1] for e in squared]
    for wanted in (squared[0], squared[0] - squared[1], squared[1] - squared[0]):
        y, x = np.unravel_index(int(wanted.argmax()), wanted.shape)
        yield int(y), int(x)


def sheet(image: Pixels, decoded: list[Pixels], corners: list[tuple[int, int]]) -> Image.Image:
    """Return enlarged squares: a row for each corner, the original first."""
    step = SIDE * ENLARGE + GAP
    canvas = Image.new("RGB", (step * (1 + len(decoded)), step * len(corners)), "white")
    for row, (y, x) in enumerate(corners):
        for column, pixels in enumerate([image, *decoded]):
            crop = Image.fromarray(pixels[y : y + SIDE, x : x + SIDE])
            crop = crop.resize((SIDE * ENLARGE,) * 2, Image.Resampling.NEAREST)
            canvas.paste(crop, (column * step, row * step))
    return canvas


def row_of(photo: str, rate: float, image: Pixels, name: str, coded: Coded) -> str:
    """Return what is measured, as a row of the table."""
    error = error_of(image, coded.pixels)
    bpp = coded.size_bytes * 8 / (image.shape[0] * image.shape[1])
    figures = [bpp, psnr_db(image, coded.pixels), seams(error, 8), seams(error, 16)]
    figures += [colour_shift(error), small_colours(error), ringing(image, error)]
    return "\t".join([photo, f"{rate:g}", name, *(f"{v:.4f}" for v in figures)])


def main() -> None:
    """Write the sheets and the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", nargs="+", default=PHOTOS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    npeg, clean, avif = (find_codec(name, 2) for name in CODECS)
    with (args.out / "side-by-side.tsv").open("w") as table:
        print(*COLUMNS, sep="\t", file=table)
        for photo in args.photos:
            image = read_pixels(args.images / photo)
            for rate in args.rates:
                limit_bytes = int(rate * image.shape[0] * image.shape[1] / 8)
                theirs = largest_within(avif, image, limit_bytes)  # its steps are the coarser
                ours = [largest_within(codec, image, theirs.size_bytes) for codec in (npeg, clean)]
                found = [*ours, theirs]
                errors = [error_of(image, coded.pixels) for coded in found]
                corners = list(places(errors[0], errors[2]))
                name = f"{Path(photo).stem}-{rate:g}.png"
                sheet(image, [coded.pixels for coded in found], corners).save(args.out / name)
                for codec, coded in zip(CODECS, found, strict=True):
                    print(row_of(photo, rate, image, codec, coded), file=table, flush=True)
                print(args.out / name, flush=True)


if __name__ == "__main__":
    main()
