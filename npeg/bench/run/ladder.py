"""Files of two codecs at equal size: whichever quality settings of both come nearest.

Enters: an image and two codecs. Leaves: two files, the first codec's never the larger one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.bench.run.matching import Coded
from npeg.bench.run.measure import verify

TOLERANCE = 0.02  # how much smaller than the rival's file the first codec's may be
RATE_TOLERANCE = 0.2  # how far the rival's file may be from the rate that was asked for
NEIGHBOURS = 4  # rival settings tried on each side of the one nearest the rate


@dataclass(frozen=True)
class Pair:
    """An image in the first codec and in a rival, at equal size."""

    first: Coded
    rival: Coded


class Ladder:
    """A codec's files of one image, by steps of its quality; each is made once, when asked for."""

    def __init__(self, codec: Codec, image: Pixels) -> None:
        self.codec = codec
        self.image = image
        low, high = codec.quality_range
        self.steps = round((high - low) / codec.quality_step) + 1
        self._files: dict[int, bytes] = {}

    def quality(self, step: int) -> float:
        """Return the codec's quality at a step, from 0."""
        return self.codec.quality_range[0] + step * self.codec.quality_step

    def size_bytes(self, step: int) -> int:
        """Return the size of the file at a step."""
        return len(self._file(step))

    def highest_within(self, limit_bytes: int) -> int | None:
        """Return the highest step whose file is not above a limit, or None if all are.

        Sizes are taken to grow with quality; the file at the step returned is within for certain.
        """
        fits, above = -1, self.steps
        while above - fits > 1:
            middle = (fits + above) // 2
            if self.size_bytes(middle) <= limit_bytes:
                fits = middle
            else:
                above = middle
        return None if fits < 0 else fits

    def nearest(self, size_bytes: float) -> list[int]:
        """Return the steps around a size, those first whose files are nearest to it."""
        middle = self.highest_within(int(size_bytes)) or 0
        steps = range(max(0, middle - NEIGHBOURS + 1), min(self.steps, middle + NEIGHBOURS + 1))
        return sorted(steps, key=lambda step: abs(self.size_bytes(step) - size_bytes))

    def coded(self, step: int) -> Coded:
        """Decode the file at a step, and verify what comes back."""
        data = self._file(step)
        pixels = self.codec.decode(data)
        verify(self.codec, self.image, pixels)
        return Coded(self.codec, self.quality(step), len(data), pixels)

    def _file(self, step: int) -> bytes:
        if step not in self._files:
            self._files[step] = self.codec.encode(self.image, self.quality(step))
        return self._files[step]


def equal_pair(first: Ladder, rival: Ladder, rate_bpp: float) -> Pair | None:
    """Return files of two codecs that are of equal size near a rate, or None.

    The rival's settings are taken in the order of their distance from the rate; the first codec
    gets its largest file that is not above the rival's. Files count as equal if that is at most
    2 % smaller.
    """
    height, width = rival.image.shape[:2]
    for rival_step in _settings(rival, rate_bpp * height * width / 8):
        limit = rival.size_bytes(rival_step)
        step = first.highest_within(limit)
        if step is not None and first.size_bytes(step) >= (1 - TOLERANCE) * limit:
            return Pair(first.coded(step), rival.coded(rival_step))
    return None


def _settings(rival: Ladder, size_bytes: float) -> Iterator[int]:
    for step in rival.nearest(size_bytes):
        if abs(rival.size_bytes(step) - size_bytes) <= RATE_TOLERANCE * size_bytes:
            yield step
