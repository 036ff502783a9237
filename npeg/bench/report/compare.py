"""One photograph in several codecs at equal size, as a page to look at.

Enters: an image file. Leaves: a self-contained HTML page with a divider between any two codecs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.pages import page
from npeg.bench.report.views import coded_view, original_view
from npeg.bench.run.matching import Coded, coded, largest_within
from npeg.bench.run.photos import read_pixels
from npeg.errors import InputError

CODECS = ("npeg", "avif", "webp", "jpeg")


def compare(
    image_path: Path,
    out_html: Path,
    quality: float,
    codecs: Sequence[str] = CODECS,
    threads: int = 1,
) -> Path:
    """Write a page that puts codecs beside each other at equal size; return its path.

    Args:
        image_path: the photograph.
        out_html: the file to write.
        quality: of the first codec; each other gets the largest file that is not above its size.
        codecs: specs of the codecs, as `npeg bench --codecs` takes them.
        threads: number of threads a codec may use.

    Raises:
        NpegError: the image or an argument is not usable.
    """
    image = read_pixels(image_path)
    first, *others = [find_codec(spec, threads) for spec in codecs]
    low, high = first.quality_range
    if not low <= quality <= high:
        raise InputError(f"quality is {quality:g}, expected {low:g} to {high:g} of {first.name}")
    reference = coded(first, image, quality)
    rivals = [largest_within(codec, image, reference.size_bytes) for codec in others]
    data = {
        "image": image_path.name,
        "width": image.shape[1],
        "height": image.shape[0],
        "reference": first.label,
        "views": [
            original_view(image),
            *(_view(image, c, reference) for c in (reference, *rivals)),
        ],
    }
    title = f"{image_path.name}: {', '.join(view['label'] for view in data['views'][1:])}"
    html = page(title, "compare.html", ["viewer.js", "compare.js"], data)
    out_html.parent.mkdir(parents=True, exist_ok=True)
    out_html.write_text(html, encoding="utf-8")
    return out_html


def _view(original: Pixels, result: Coded, reference: Coded) -> dict[str, Any]:
    """Describe one codec's picture to the page, with all its scores."""
    scores = {}
    for name in ("ms-ssim", "ssimulacra2"):
        metric = METRICS[name]
        if metric.missing() is None and min(original.shape[:2]) > 160:
            scores[metric.column] = metric.measure(original, result.pixels)
    view = coded_view(original, result, reference.size_bytes)
    return {**view, **scores, "version": result.codec.version()}
