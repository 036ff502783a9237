"""Draw pictures that no photograph resembles, to be trained on beside photographs.

python recipes/synthetic.py OUT [--count 120] [--seed 0]

Each is 512x512: flat and graded colours, saturated edges, text of many sizes and colours, charts,
checkerboards, one-pixel lines. All is made here; the fonts are Matplotlib's.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

SIDE = 512
Colour = tuple[int, int, int]
WORDS = "light water stone green field 2048 river, paper window (old) new: quick brown fox 37 %"


class Painter:
    """Draws on one picture by chance."""

    def __init__(self, seed: tuple[int, int]) -> None:
        self.rng = np.random.default_rng(seed)
        self.image = Image.new("RGB", (SIDE, SIDE), self.colour())
        self.draw = ImageDraw.Draw(self.image)
        self.fonts = sorted((Path(get_data_path()) / "fonts" / "ttf").glob("DejaVu*.ttf"))

    def colour(self) -> Colour:
        """Return white, black, a saturated colour or any."""
        kind = self.rng.random()
        if kind < 0.3:
            value = 255 if kind < 0.2 else 0
            return value, value, value
        levels = (0, 255) if kind < 0.65 else range(256)
        return tuple(int(v) for v in self.rng.choice(levels, 3))  # type: ignore[return-value]

    def box(self, least: int = 8) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of a rectangle."""
        w, h = np.exp(self.rng.uniform(np.log(least), np.log(SIDE), 2)).astype(int)
        x, y = self.rng.integers(0, SIDE - w + 1), self.rng.integers(0, SIDE - h + 1)
        return int(x), int(y), int(x + w), int(y + h)

    def shape(self) -> None:
        """Draw a rectangle, an ellipse or a polygon."""
        kind = self.rng.integers(3)
        if kind == 0:
            self.draw.rectangle(self.box(), self.colour())
        elif kind == 1:
            self.draw.ellipse(self.box(), self.colour())
        else:
            points = [tuple(point) for point in self.rng.integers(0, SIDE, (4, 2)).tolist()]
            self.draw.polygon(points, self.colour())

    def gradient(self) -> None:
        """Fill a rectangle with a gradient between two colours."""
        left, top, right, bottom = self.box(32)
        ramp = np.linspace(0, 1, right - left)[None, :, None]
        if self.rng.random() < 0.5:
            ramp = np.linspace(0, 1, bottom - top)[:, None, None]
        ends = np.array([self.colour(), self.colour()], float)
        values = ends[0] + (ends[1] - ends[0]) * ramp
        values = np.broadcast_to(values, (bottom - top, right - left, 3))
        self.image.paste(Image.fromarray(np.rint(values).astype(np.uint8)), (left, top))

    def text(self) -> None:
        """Write a few lines."""
        size = int(np.exp(self.rng.uniform(np.log(9), np.log(72))))
        font = ImageFont.truetype(str(self.rng.choice([str(font) for font in self.fonts])), size)
        left, top, _, bottom = self.box(16)
        colour = self.colour()
        for y in range(top, max(bottom, top + 1), int(size * 1.3)):
            words = self.rng.permutation(WORDS.split())
            self.draw.text((left, y), " ".join(words), colour, font)

    def lines(self) -> None:
        """Draw thin lines, straight or a chart's curve."""
        x = np.linspace(0, SIDE, 60)
        for _ in range(self.rng.integers(1, 6)):
            y = np.cumsum(self.rng.normal(0, 12, x.size)) + self.rng.uniform(0, SIDE)
            if self.rng.random() < 0.5:
                y = np.full_like(x, y[0])
            points = list(zip(x.tolist(), y.tolist(), strict=True))
            if self.rng.random() < 0.5:
                points = [(b, a) for a, b in points]
            self.draw.line(points, self.colour(), int(self.rng.integers(1, 4)))

    def checkerboard(self) -> None:
        """Fill a rectangle with squares of 1 to 32 pixels."""
        left, top, right, bottom = self.box(32)
        side = 2 ** self.rng.integers(0, 6)
        i, j = np.mgrid[0 : bottom - top, 0 : right - left] // side
        colours = np.array([self.colour(), self.colour()], np.uint8)
        self.image.paste(Image.fromarray(colours[(i + j) % 2]), (left, top))

    def paint(self) -> Image.Image:
        """Return a picture of a few things."""
        kinds = [self.shape, self.gradient, self.text, self.text, self.lines, self.checkerboard]
        odds = np.array([4, 2, 3, 3, 1, 0.5])
        for _ in range(self.rng.integers(3, 14)):
            kinds[self.rng.choice(len(kinds), p=odds / odds.sum())]()
        return self.image


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.count):
        Painter((args.seed, number)).paint().save(args.out / f"{number:03}.png")


if __name__ == "__main__":
    main()
