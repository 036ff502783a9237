"""Time the slowest kinds of files against a photograph, a megapixel each, in one process.

    NPEG_THREADS=1 python results/slow_files.py > results/slow-files.tsv

Processor time of decoding, the least of five. The photograph is scikit-image's astronaut.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
from skimage import data

import npeg
from npeg.codec import encode_pixels
from npeg.encoder_rule import EncoderOptions

TRIES = 5


def files() -> Iterator[tuple[str, bytes]]:
    """Yield what each file is, and the file; the photograph at quality 75 first."""
    photo, rng = data.astronaut(), np.random.default_rng(0)
    noise = rng.integers(0, 256, photo.shape, np.uint8)
    yield "photograph, quality 75", npeg.encode(photo, quality=75)
    yield "photograph, quality 90", npeg.encode(photo, quality=90)
    yield "photograph, quality 100", npeg.encode(photo, quality=100)
    yield "noise, quality 100", npeg.encode(noise, quality=100)
    yield "photograph with alpha of noise", npeg.encode(np.dstack([photo, noise[..., :1]]))
    yield "photograph, lossless", npeg.encode(photo, lossless=True)
    yield "noise, lossless", npeg.encode(noise, lossless=True)
    for tile in (64, 128, 256):
        yield (
            f"photograph in tiles of {tile}x{tile}",
            encode_pixels(photo, 150, EncoderOptions(tile_size=tile)),
        )
    yield "one pixel high, 8192 wide", npeg.encode(photo.reshape(-1, 8192, 3)[:1])


def decoding_s(file: bytes) -> float:
    """Return the processor time of decoding a file."""
    started = time.process_time()
    npeg.decode(file)
    return time.process_time() - started


def main() -> None:
    """Time all files in turns; print a row each."""
    made = dict(files())
    best = dict.fromkeys(made, np.inf)
    for _ in range(TRIES):
        for name, file in made.items():
            best[name] = min(best[name], decoding_s(file))
    print("file", "bytes", "s_a_megapixel", "times_the_photograph", sep="\t")
    usual = None
    for name, file in made.items():
        height, width = npeg.decode(file).shape[:2]
        seconds = best[name] / (height * width / 1e6)
        usual = usual or seconds
        print(name, len(file), f"{seconds:.3f}", f"{seconds / usual:.1f}", sep="\t")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
