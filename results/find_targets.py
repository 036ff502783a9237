"""How near targets come to the best file there is, and in how many encodings.

    python results/find_targets.py FOLDER > results/find-targets.tsv

Four photographs of a folder, scaled to 256x256, and four made pictures whose bytes or errors jump
from one quality to the next. Every whole quality is encoded first. Targets are what the files of
three of these qualities have (their sizes and 3 % more; their PSNR and SSIMULACRA2 and a little
less). Best is, of all those files, the one within the size that has the highest SSIMULACRA2, or the
smallest that is as good as asked for; distance is by how many points of SSIMULACRA2 the file found
is worse, or how many more bytes it takes, in per cent; below 0 where a half quality does better.
Encodings are those of the picture, not of its sketch.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from made import clouds, flat, text_on_photograph
from PIL import Image

from npeg import codec, targets
from npeg.arrays import Pixels
from npeg.bench.metrics.ssimulacra2 import score
from npeg.encoder_rule import DEFAULT, EncoderOptions
from npeg.errors import InputError

PHOTOGRAPHS = 4
SIDE, SMALL_SIDE = 256, 128
ASKED = (30, 55, 80)  # qualities whose values are asked for
QUALITIES = range(0, 101)


def sky(side: int) -> Pixels:
    """A clear sky: a gradient with a little noise."""
    y, x = np.mgrid[:side, :side] / side
    blue = np.stack([90 + 80 * y, 140 + 60 * y, 215 + 20 * y + 5 * x], axis=2)
    noise = np.random.default_rng(5).normal(0, 0.8, blue.shape)
    return np.rint(blue + noise).clip(0, 255).astype(np.uint8)


def half_noise(side: int) -> Pixels:
    """On the left what has a photograph's spectrum, on the right noise."""
    image = clouds(side).copy()
    right = image[:, side // 2 :]
    right[:] = np.random.default_rng(6).integers(0, 256, right.shape)
    return image


def pictures(folder: Path) -> Iterator[tuple[str, Pixels]]:
    """Yield the name and the pixels of each picture."""
    paths = sorted(folder.iterdir())
    for path in paths[:: max(len(paths) // PHOTOGRAPHS, 1)][:PHOTOGRAPHS]:
        image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        yield path.stem, np.asarray(image)
    yield "flat", flat(SIDE)
    yield "small_sky", sky(SMALL_SIDE)
    yield "text_on_photograph", text_on_photograph(SIDE)
    yield "half_noise", half_noise(SIDE)


@contextmanager
def remembered() -> Iterator[Callable[[Pixels, int], tuple[bytes, Pixels]]]:
    """Let no file be made twice; yield what makes them."""
    real, known = codec.encode_with_reconstruction, codec.encode_pixels

    @cache
    def made(raw: bytes, shape: tuple[int, ...], level: int, options: EncoderOptions):
        return real(np.frombuffer(raw, np.uint8).reshape(shape), level, options)

    def both(pixels: Pixels, level: int, options: EncoderOptions = DEFAULT):
        return made(pixels.tobytes(), pixels.shape, level, options)

    codec.encode_with_reconstruction = both
    codec.encode_pixels = lambda *arguments: both(*arguments)[0]
    try:
        yield both
    finally:
        codec.encode_with_reconstruction, codec.encode_pixels = real, known


def found_by(name: str, image: Pixels, value: float) -> tuple[bytes | None, int]:
    """Return the file that a target finds, None where it says out of reach, and its encodings."""
    count = 0

    def one_more() -> None:
        nonlocal count
        count += 1

    token = targets.watcher.set(one_more)
    try:
        return targets.encode(image, targets.Target(**{name: value})), count
    except InputError:
        return None, count
    finally:
        targets.watcher.reset(token)


def rows_of(image: Pixels, encode: Callable[..., Any]) -> Iterator[tuple[Any, ...]]:
    """Yield target, value, encodings, bytes found, bytes of the best, distance."""
    files = [encode(image, 2 * quality) for quality in QUALITIES]
    sizes = np.array([len(data) for data, _ in files])
    psnr = np.array([min(targets.psnr_db(image, found), 999) for _, found in files])
    seen = np.array([score(image, found) for _, found in files])
    for quality in ASKED:
        size = int(1.03 * sizes[quality])
        bpp = 8 * size / image[..., 0].size
        asked = (("size", size), ("bpp", bpp), ("psnr", psnr[quality] - 0.05))
        for name, value in (*asked, ("ssimulacra2", seen[quality] - 0.2)):
            data, count = found_by(name, image, float(value))
            if name in ("size", "bpp"):
                best = max(range(len(files)), key=lambda i: seen[i] if sizes[i] <= size else -999)
                distance = seen[best] - (score(image, codec.decode_pixels(data)) if data else -999)
            else:
                good = (psnr if name == "psnr" else seen) >= value
                best = min(np.flatnonzero(good).tolist(), key=lambda i: sizes[i])
                distance = 100 * (len(data) / sizes[best] - 1) if data else np.inf
            yield name, f"{value:.4g}", count, len(data or b""), sizes[best], f"{distance:.2f}"


def main(folder: Path) -> None:
    """Print a row for each picture and target."""
    print("image", "target", "value", "encodings", "found_bytes", "best_bytes", end="\t", sep="\t")
    print("distance")
    for name, image in pictures(folder):
        with remembered() as encode:
            for row in rows_of(image, encode):
                print(name, *row, sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
