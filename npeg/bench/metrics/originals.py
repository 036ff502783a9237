"""What metrics compute of an original alone, kept while its codecs and qualities are measured."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from npeg.arrays import Pixels

Kept = TypeVar("Kept")

LARGEST_SAMPLES = 3 * 2**23  # 8 Mpx: of larger images nothing is kept, so that memory is bounded


def remember(compute: Callable[[Pixels], Kept]) -> Callable[[Pixels], Kept]:
    """Keep what a function returned for the last image, as long as that cannot be written.

    Photographs' own pixels cannot (`photos.read_pixels`), and are one array for all codecs.
    """
    last: list[tuple[Pixels, Kept]] = []

    @wraps(compute)
    def computed(image: Pixels) -> Kept:
        if last and last[0][0] is image:
            return last[0][1]
        last.clear()  # first, so that two are never in memory
        result = compute(image)
        if not image.flags.writeable and image.size <= LARGEST_SAMPLES:
            last.append((image, result))
        return result

    return computed
