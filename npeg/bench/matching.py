"""Codecs at equal size: the largest file of a codec that is not above a number of bytes."""

from dataclasses import dataclass

from npeg.bench.codecs.contract import Codec, Pixels
from npeg.bench.measure import verify


@dataclass(frozen=True)
class Coded:
    """An image in one codec at one quality."""

    codec: Codec
    quality: float
    size_bytes: int
    pixels: Pixels


def coded(codec: Codec, image: Pixels, quality: float) -> Coded:
    """Encode and decode an image, and verify what comes back."""
    data = codec.encode(image, quality)
    pixels = codec.decode(data)
    verify(codec, image, pixels)
    return Coded(codec, quality, len(data), pixels)


def largest_within(codec: Codec, image: Pixels, limit_bytes: int) -> Coded:
    """Return the largest file of at most `limit_bytes`, or the codec's smallest if all are above.

    Sizes are taken to grow with quality, as they do but for single steps.
    """
    low, high = codec.quality_range
    steps = round((high - low) / codec.quality_step)
    sizes: dict[int, int] = {}

    def size_of(step: int) -> int:
        if step not in sizes:
            sizes[step] = len(codec.encode(image, low + step * codec.quality_step))
        return sizes[step]

    fits, above = 0, steps + 1  # a lower bound that fits or is the last resort, one that does not
    while above - fits > 1:
        middle = (fits + above) // 2
        if size_of(middle) <= limit_bytes:
            fits = middle
        else:
            above = middle
    within = [step for step in sizes if sizes[step] <= limit_bytes]
    best = max(within, key=lambda step: (sizes[step], step), default=0)
    return coded(codec, image, low + best * codec.quality_step)
