"""Codecs at equal size: the largest file of a codec that is not above a number of bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.bench.run.measure import verify


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


def largest_within(
    codec: Codec, image: Pixels, limit_bytes: int, known: Mapping[float, int] | None = None
) -> Coded:
    """Return the largest file of at most `limit_bytes`, or the codec's smallest if all are above.

    Sizes are taken to grow with quality, as they do but for single steps.
    known: sizes in bytes by quality, which spare the search some of its steps.
    """
    low, high = codec.quality_range
    steps = round((high - low) / codec.quality_step)
    at_step = {(quality - low) / codec.quality_step: n for quality, n in (known or {}).items()}
    sizes = {round(step): n for step, n in at_step.items() if abs(step - round(step)) < 1e-6}

    def size_of(step: int) -> int:
        if step not in sizes:
            sizes[step] = len(codec.encode(image, low + step * codec.quality_step))
        return sizes[step]

    # a lower bound that fits or is the last resort, and one that does not fit
    fits = max((step for step in sizes if sizes[step] <= limit_bytes), default=0)
    above = min((step for step in sizes if step > fits), default=steps + 1)
    while above - fits > 1:
        middle = (fits + above) // 2
        if size_of(middle) <= limit_bytes:
            fits = middle
        else:
            above = middle
    within = [step for step in sizes if sizes[step] <= limit_bytes]
    best = max(within, key=lambda step: (sizes[step], step), default=0)
    return coded(codec, image, low + best * codec.quality_step)
