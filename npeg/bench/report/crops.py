"""Enlarged crops of photographs as coded and as each enhancement makes them, for the report.

Enters: an outcome with codecs such as `jpeg` and `jpeg+deblock`. Leaves: what the page shows.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.bench.codecs.enhanced import Enhanced
from npeg.bench.metrics import psnr_db
from npeg.bench.report.pictures import spread
from npeg.bench.report.views import data_url
from npeg.bench.run.photos import Photo
from npeg.bench.run.runner import Outcome

SIDE = 96  # pixels


def crops(outcome: Outcome, count: int) -> list[dict[str, Any]]:
    """Return a row of crops for some photographs and every codec that has enhancements.

    The codec's lowest quality is taken, and the place where it errs most.
    """
    plan = outcome.plan
    rows = []
    pairs = [
        (codec, [one for one in plan.codecs if isinstance(one, Enhanced) and one.inner == codec])
        for codec in plan.codecs
    ]
    wanted = [
        (photo, codec, ones)
        for photo in spread(plan.photos, count)
        for codec, ones in pairs
        if ones
    ]
    for photo, codec, ones in tqdm(wanted, "crops", unit="row", disable=None):
        try:
            rows.append(_row(photo, codec, ones, min(plan.qualities_of(codec))))
        except Exception as error:  # a codec is someone else's code: the report must go on
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"left out of the crops: {codec.label}, {photo.name}: {reason}", file=sys.stderr)
    return rows


def _row(photo: Photo, codec: Codec, ones: Sequence[Enhanced], quality: float) -> dict[str, Any]:
    image = photo.pixels()
    decoded = codec.decode(codec.encode(image, quality))
    place = worst_place(image, decoded)
    pictures = [("Original", image), (codec.label, decoded)]
    pictures += [(one.label.removeprefix(f"{codec.label} + "), one.change(decoded)) for one in ones]
    return {
        "photo": photo.name,
        "codec": codec.label,
        "quality": quality,
        "crops": [
            {
                "label": label,
                "source": data_url(pixels[place]),
                "psnr_rgb_db": None if pixels is image else psnr_db(image, pixels),
            }
            for label, pixels in pictures
        ],
    }


def worst_place(original: Pixels, decoded: Pixels) -> tuple[slice, slice]:
    """Return rows and columns of the square, on a grid of 16, with the largest squared error."""
    height, width = original.shape[:2]
    error = np.square(original.astype(np.float32) - decoded).sum(axis=2)
    tops = range(0, max(1, height - SIDE + 1), 16)
    lefts = range(0, max(1, width - SIDE + 1), 16)
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = error.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    def inside(top: int, left: int) -> float:
        bottom, right = min(height, top + SIDE), min(width, left + SIDE)
        return float(
            total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
        )

    top, left = max(((y, x) for y in tops for x in lefts), key=lambda place: inside(*place))
    return slice(top, top + SIDE), slice(left, left + SIDE)
