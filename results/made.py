"""Content made in code, where codecs for photographs fail: npeg against its rivals at equal size.

    python results/made.py --sides 64,256 --tune visual > results/made.tsv
    python results/made.py --sides 64,256 --tune psnr | tail -n +2 >> results/made.tsv

A gain is npeg's value less the rival's, the latter interpolated over the logarithm of its sizes;
beyond the rival's smallest or largest file its value there counts. The least gain over JPEG comes
first in each run. A PSNR of 99 stands for equal pixels.
"""

import argparse
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFile, ImageFont

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.codecs.contract import Codec
from npeg.bench.metrics.ssimulacra2 import score
from npeg.targets import psnr_db


def text(side: int) -> Pixels:
    """Black letters with soft edges on white."""
    image = Image.new("RGB", (side, side), "white")
    _write(ImageDraw.Draw(image), side, "black", 13)
    return np.asarray(image)


def coloured_text(side: int) -> Pixels:
    """Coloured letters on a gradient."""
    image = Image.fromarray(gradient(side))
    _write(ImageDraw.Draw(image), side, (255, 240, 40), 15)
    return np.asarray(image)


def text_on_photograph(side: int) -> Pixels:
    """Letters on what has the spectrum of a photograph."""
    image = Image.fromarray(clouds(side))
    _write(ImageDraw.Draw(image), side, "white", 16)
    return np.asarray(image)


def chart(side: int) -> Pixels:
    """Bars, lines and axes, drawn four times as large and shrunk."""
    large = Image.new("RGB", (4 * side, 4 * side), "white")
    draw, rng, unit = ImageDraw.Draw(large), np.random.default_rng(1), side / 16
    colours = [(31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)]
    for i in range(12):
        x, y = 4 * unit * (2 + i), 4 * unit * rng.uniform(3, 13)
        draw.rectangle((x, y, x + 2.5 * unit, 4 * 14 * unit), fill=colours[i % 4])
    points = [(4 * unit * (1 + i), 4 * unit * rng.uniform(2, 14)) for i in range(14)]
    draw.line(points, fill=(148, 103, 189), width=7)
    draw.line((4 * unit, 4 * unit, 4 * unit, 56 * unit, 60 * unit, 56 * unit), fill=0, width=4)
    return np.asarray(large.resize((side, side), Image.Resampling.BOX))


def flat(side: int) -> Pixels:
    """Four flat colours."""
    image = np.empty((side, side, 3), np.uint8)
    half = side // 2
    image[:half, :half], image[:half, half:] = (255, 255, 255), (10, 20, 90)
    image[half:, :half], image[half:, half:] = (200, 30, 30), (0, 0, 0)
    return image


def saturated_edges(side: int) -> Pixels:
    """Discs of pure colours with soft edges."""
    rng, image = np.random.default_rng(2), np.zeros((side, side, 3))
    y, x = np.mgrid[:side, :side]
    pure = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)])
    for _ in range(40):
        centre, radius = rng.uniform(0, side, 2), rng.uniform(side / 20, side / 5)
        cover = (radius - np.hypot(y - centre[0], x - centre[1]) + 0.5).clip(0, 1)[..., None]
        image = image * (1 - cover) + pure[rng.integers(8)] * cover
    return np.rint(image).astype(np.uint8)


def gradient(side: int) -> Pixels:
    """A gradient of two directions and three channels."""
    y, x = np.mgrid[:side, :side] / max(side - 1, 1)
    return np.rint(255 * np.stack([x, y, 1 - (x + y) / 2], -1)).astype(np.uint8)


def checkerboard(side: int) -> Pixels:
    """Squares of three pixels, red and cyan."""
    y, x = np.mgrid[:side, :side] // 3
    odd = ((x + y) % 2)[..., None]
    return np.where(odd, [230, 20, 20], [20, 210, 220]).astype(np.uint8)


def pixel_art(side: int) -> Pixels:
    """Sprites of sixteen colours, each pixel four times as large."""
    rng = np.random.default_rng(3)
    palette = rng.integers(0, 256, (16, 3))
    half = rng.integers(0, 16, (-(-side // 4), -(-side // 8))) * (
        rng.random((-(-side // 4), -(-side // 8))) < 0.6
    )
    sprite = np.concatenate([half, half[:, ::-1]], axis=1)
    return palette[np.kron(sprite, np.ones((4, 4), int))][:side, :side].astype(np.uint8)


def screenshot(side: int) -> Pixels:
    """Windows, text, a gradient bar, and a picture."""
    image = Image.new("RGB", (side, side), (236, 239, 244))
    draw = ImageDraw.Draw(image)
    bar = max(side // 12, 8)
    image.paste(Image.fromarray(gradient(side)[:bar]), (0, 0))
    draw.rectangle((0, bar, side // 4, side), fill=(46, 52, 64))
    image.paste(Image.fromarray(clouds(side // 2)), (side // 3, side // 3))
    draw.rectangle(
        (side // 3, side // 6, side - bar, side // 4), outline=(94, 129, 172), fill="white"
    )
    _write(draw, side, (59, 66, 82), 11)
    return np.asarray(image)


def clouds(side: int) -> Pixels:
    """Noise with the spectrum of photographs."""
    rng = np.random.default_rng(4)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 1 / side
    noise = np.fft.rfft2(rng.standard_normal((3, side, side))) / f**1.2
    grey = np.fft.irfft2(noise, s=(side, side))
    mixed = np.einsum("ij,jyx->yxi", [[1, 0.3, 0], [1, 0, 0.2], [1, -0.3, 0]], grey)
    return np.rint((mixed / mixed.std() * 45 + 120).clip(0, 255)).astype(np.uint8)


def _write(draw: ImageDraw.ImageDraw, side: int, fill: str | tuple[int, ...], size: int) -> None:
    font = ImageFont.load_default(size)
    words = "The quick brown fox jumps over 13 lazy dogs; sphinx of black quartz, judge my vow. "
    for i, y in enumerate(range(2, side, size + 4)):
        draw.text((4, y), (words * 20)[7 * i :][: side // 4], fill=fill, font=font)


CONTENTS: dict[str, Callable[[int], Pixels]] = {
    made.__name__: made
    for made in (
        *(text, coloured_text, text_on_photograph, chart, flat, saturated_edges),
        *(gradient, checkerboard, pixel_art, screenshot, clouds),
    )
}


# --- measured ---

QUALITIES = (75, 80, 85, 90, 95, 100)
RIVALS = {
    "jpeg/subsampling=4:4:4": (1, 5, 10, 20, 35, 50, 65, 75, 80, 85, 90, 93, 95, 97, 98, 99, 100),
    "webp": (40, 60, 75, 85, 90, 95, 98, 100),
    "avif": (40, 60, 75, 85, 90, 95, 99),
    "jxl": (40, 60, 75, 85, 90, 95, 98, 99),
}


def points(codec: Codec, image: Pixels, qualities: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Return quality, bytes, PSNR in dB, SSIMULACRA2 and the largest error of each file."""
    rows: list[tuple[float, ...]] = []
    for quality in qualities:
        data = codec.encode(image, quality)
        found = codec.decode(data)
        worst = int(np.abs(image.astype(int) - found).max())
        psnr = min(psnr_db(image, found), 99.0)
        rows.append((quality, len(data), psnr, score(image, found), worst))
    return rows


def at_size(rows: list[tuple[float, ...]], size: float, column: int) -> float:
    """Return a column of a rival's rows at a size in bytes, by the logarithm of its sizes."""
    known = np.array(sorted(rows, key=lambda row: row[1]))
    return float(np.interp(np.log(size), np.log(known[:, 1]), known[:, column]))


def main() -> None:
    """Measure and print all rows, the worst contents against JPEG first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", default="64,256")
    parser.add_argument("--tune", default="visual")
    parser.add_argument("--contents", default=",".join(CONTENTS))
    parser.add_argument("--rivals", default=",".join(RIVALS))
    arguments, found = parser.parse_args(), []
    rivals = {spec: find_codec(spec) for spec in arguments.rivals.split(",")}
    for side in map(int, arguments.sides.split(",")):
        for name in arguments.contents.split(","):
            image = CONTENTS[name](side)
            curves = {s: points(c, image, RIVALS[s]) for s, c in rivals.items() if not c.missing()}
            for row in points(find_codec(f"npeg/tune={arguments.tune}"), image, QUALITIES):
                gains = [
                    row[i] - at_size(curve, row[1], i) for curve in curves.values() for i in (2, 3)
                ]
                found.append((min(gains[:2]), name, side, arguments.tune, *row, *gains))
    gained = [f"{spec.split('/')[0]}_{m}" for spec in curves for m in ("psnr_db", "ssimulacra2")]
    print(
        "content",
        "side",
        "tune",
        "quality",
        "size_bytes",
        "psnr_db",
        "ssimulacra2",
        "worst_level",
        end="\t",
        sep="\t",
    )
    print(*(f"gain_{name}" for name in gained), sep="\t")
    for _, *cells in sorted(found):
        print(*(f"{v:.2f}" if isinstance(v, float) else v for v in cells), sep="\t")


if __name__ == "__main__":
    ImageFile.MAXBLOCK = 1 << 24  # else Pillow fails on large optimised JPEG files
    main()
