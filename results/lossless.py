"""Compare exact payloads with lossless WebP and PNG: masks, drawn pictures, photographs.

    python results/lossless.py > results/lossless.tsv

The photographs are scikit-image's, the others are drawn here. Each payload is decoded and compared
before its row is written. WebP: Pillow's, lossless, method 6, quality 100; of a mask its ALPH
chunk. PNG: Pillow's, optimised. npeg: an exact payload, without the 29 bytes around it. Times are
of the process's CPU, a million pixels and plane.
"""

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

from npeg import exact

Ink = int | tuple[int, int, int]  # grey or RGB
LICENSE = (Path(__file__).parents[1] / "LICENSE").read_text().split()
WORDS = " ".join(np.random.default_rng(0).choice(LICENSE, 2000))  # in random order


def text(size: tuple[int, int], height: int, smooth: bool, ink: Ink, paper: Ink) -> Image.Image:
    """Return lines of text, anti-aliased or not."""
    image = Image.new("L" if isinstance(ink, int) else "RGB", size, paper)
    draw, font, at = ImageDraw.Draw(image), ImageFont.load_default(size=height), 0
    draw.fontmode = "L" if smooth else "1"
    letters = 19 * size[0] // (10 * height)
    for top in range(4, size[1] - height, height + 4):
        draw.text((4, top), WORDS[at : at + letters], fill=ink, font=font)
        at += letters
    return image


def masks() -> Iterator[tuple[str, Image.Image]]:
    """Yield four kinds of alpha."""
    bright = (data.astronaut().astype(int).sum(axis=2) > 330).astype(np.uint8) * 255
    soft = Image.fromarray(bright).filter(ImageFilter.MedianFilter(9))
    yield "soft portrait mask", soft.filter(ImageFilter.GaussianBlur(3))
    shapes = Image.new("L", (2048, 2048))
    draw = ImageDraw.Draw(shapes)
    draw.ellipse((200, 300, 900, 1500), fill=255)
    draw.rounded_rectangle((1000, 400, 1900, 900), 150, fill=255)
    draw.polygon([(1100, 1900), (1500, 1000), (1900, 1800)], fill=255)
    draw.ellipse((1300, 500, 1600, 800), fill=0)
    yield "anti-aliased shapes", shapes.resize((512, 512), Image.Resampling.LANCZOS)
    yield "text mask", text((512, 512), 22, True, 255, 0)
    ramp = (np.arange(512) * 255 / 511).round().astype(np.uint8)
    yield "linear gradient", Image.fromarray(np.tile(ramp, (512, 1)))
    rows, columns = np.mgrid[-256:256, -256:256]
    disc = 255 - np.hypot(rows, columns) / 362 * 255
    yield "radial gradient", Image.fromarray(disc.clip(0, 255).round().astype(np.uint8))


def drawings() -> Iterator[tuple[str, Image.Image]]:
    """Yield text, a chart, a logo, a screen and flat colours."""
    yield "text, two colours", text((800, 600), 14, False, (0, 0, 0), (255, 255, 255))
    yield "text, anti-aliased", text((800, 600), 14, True, (0, 0, 0), (255, 255, 255))
    yield "red text on black", text((320, 160), 10, True, (255, 0, 0), (0, 0, 0))
    yield "chart", chart()
    logo = Image.new("RGB", (320, 320), "white")
    draw = ImageDraw.Draw(logo)
    draw.ellipse((20, 20, 300, 300), fill=(20, 80, 200))
    draw.text((60, 110), "NPEG", fill=(255, 200, 0), font=ImageFont.load_default(size=80))
    yield "logo", logo.resize((256, 256), Image.Resampling.LANCZOS)
    screen = text((1280, 800), 15, True, (20, 20, 24), (240, 240, 242))
    screen.paste(Image.fromarray(data.astronaut()[:256, 100:356]), (900, 500))
    yield "screen with a photograph", screen
    rows, columns = np.mgrid[:400, :400]
    ramps = [columns * 255 // 399, rows * 255 // 399, (rows + columns) * 255 // 798]
    yield "colour gradient", Image.fromarray(np.stack(ramps, axis=2).astype(np.uint8))
    yield "one colour", Image.new("RGB", (512, 512), (10, 200, 30))


def chart() -> Image.Image:
    """Return bars, lines and labels."""
    colours = np.random.default_rng(1).integers(0, 256, (12, 3))
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    for k, colour in enumerate(colours.tolist()):
        top = 440 - int(380 * abs(np.sin(k * 1.3 + 0.4)))
        draw.rectangle((40 + k * 48, top, 76 + k * 48, 440), fill=tuple(colour))
    for top in range(60, 441, 38):
        draw.line((36, top, 630, top), fill=(200, 200, 200))
        draw.text((4, top - 8), str(440 - top), fill=(0, 0, 0))
    curve = [(40 + k * 5, 250 + int(90 * np.sin(k / 9))) for k in range(118)]
    draw.line(curve, fill=(200, 0, 40), width=3)
    return image


def photographs() -> Iterator[tuple[str, Image.Image]]:
    """Yield scikit-image's."""
    for name in ("astronaut", "chelsea", "coffee", "camera", "rocket"):
        yield name, Image.fromarray(getattr(data, name)())


def webp_bytes(image: Image.Image) -> int:
    """Return the bytes of a lossless WebP, of a mask those of its chunk of alpha."""
    buffer, options = io.BytesIO(), {"method": 6, "quality": 100}
    if image.mode == "RGB":
        image.save(buffer, "WEBP", lossless=True, **options)
        return buffer.tell()
    grey = Image.new("L", image.size)
    Image.merge("RGBA", [grey, grey, grey, image]).save(buffer, "WEBP", **options)
    head, _, rest = buffer.getvalue().partition(b"ALPH")
    assert head
    return int.from_bytes(rest[:4], "little")


def row(name: str, image: Image.Image) -> tuple[object, ...]:
    """Return a picture's bytes and times."""
    pixels, png = np.asarray(image), io.BytesIO()
    image.save(png, "PNG", optimize=True)
    start = time.process_time()
    payload = exact.encode(pixels)
    middle = time.process_time()
    found = exact.decode(payload, len(pixels), pixels.shape[1], 1 if image.mode == "L" else 3)
    end = time.process_time()
    assert (found == pixels).all()
    times = [round(1e9 * seconds / pixels.size) for seconds in (middle - start, end - middle)]
    return (
        name,
        image.width,
        image.height,
        image.mode,
        png.tell(),
        webp_bytes(image),
        len(payload),
        *times,
    )


def main() -> None:
    """Write the table to standard output."""
    names = ("picture", "width", "height", "mode", "png_bytes", "webp_bytes", "npeg_bytes")
    print(*names, "encode_ms_per_mpx_plane", "decode_ms_per_mpx_plane", sep="\t")
    for pictures in (masks(), drawings(), photographs()):
        for name, image in pictures:
            print(*row(name, image), sep="\t", flush=True)


if __name__ == "__main__":
    main()
