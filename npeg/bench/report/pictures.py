"""Some photographs of a run in all its lossy codecs at one rate, for the report's viewer.

Enters: an outcome. Leaves: what the page needs to show them, bounded in bytes.
"""

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from npeg.bench.codecs.contract import Codec
from npeg.bench.report.views import coded_view, original_view
from npeg.bench.run.matching import largest_within
from npeg.bench.run.photos import Photo
from npeg.bench.run.runner import Outcome

LARGEST_SIDE = 768  # of what is shown of a photograph: its middle
LARGEST_BYTES = 22_000_000  # of all pictures, as text in the page


def pictures(outcome: Outcome, count: int, rate_bpp: float) -> list[dict[str, Any]]:
    """Encode some photographs, evenly spread over the run, at a rate.

    Args:
        outcome: says which photographs and codecs, and which sizes are known already.
        count: of the photographs; fewer are taken if the page would become too large.
        rate_bpp: the most that a file may have, in bits per pixel.
    """
    codecs = [codec for codec in outcome.plan.codecs if not codec.lossless]
    taken: list[dict[str, Any]] = []
    room = LARGEST_BYTES
    photos = spread(outcome.plan.photos, count if codecs else 0)
    for photo in tqdm(photos, "pictures", unit="photo", disable=None):
        picture = _picture(outcome, photo, codecs, rate_bpp)
        size = sum(len(view["source"]) for view in picture["views"])
        if taken and size > room:
            break
        room -= size
        taken.append(picture)
    return taken


def _picture(
    outcome: Outcome, photo: Photo, codecs: Sequence[Codec], rate_bpp: float
) -> dict[str, Any]:
    """Describe one photograph to the page; codecs that fail are left out."""
    image = photo.pixels()
    shown = _middle(photo.height), _middle(photo.width)
    limit = int(rate_bpp * photo.width * photo.height / 8)
    views = [original_view(image, shown)]
    for codec in codecs:
        known = {p.quality: r.size_bytes for p, r in outcome.of(codec, photo).items()}
        try:
            result = largest_within(codec, image, limit, known)
        except Exception as error:  # a codec is someone else's code: the report must go on
            reason = " ".join(str(error).split()) or type(error).__name__
            print(
                f"left out of the pictures: {codec.label}, {photo.name}: {reason}", file=sys.stderr
            )
            continue
        views.append(coded_view(image, result, limit, shown))
    height, width = (rows.stop - rows.start for rows in shown)
    cut = (height, width) != (photo.height, photo.width)
    return {"name": photo.name, "width": width, "height": height, "cut": cut, "views": views}


def _middle(length: int) -> slice:
    """Return the middle of a side, or all of it if it is short."""
    start = max(0, (length - LARGEST_SIDE) // 2)
    return slice(start, start + min(length, LARGEST_SIDE))


def spread(photos: Sequence[Photo], count: int) -> list[Photo]:
    """Return `count` photographs, from the first to the last at equal distances."""
    if count >= len(photos):
        return list(photos)
    step = (len(photos) - 1) / max(1, count - 1)
    return [photos[round(i * step)] for i in range(count)]
