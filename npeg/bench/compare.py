"""One photograph in several codecs at equal size, as a page to look at.

Enters: an image file. Leaves: a self-contained HTML page with a divider between any two codecs.
"""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from npeg.bench.codecs import find_codec
from npeg.bench.codecs.contract import Pixels
from npeg.bench.matching import Coded, coded, largest_within
from npeg.bench.metrics import METRICS, psnr_db
from npeg.bench.pages import page
from npeg.bench.photos import read_pixels
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
        "views": [_original(image), *(_view(image, c, reference) for c in (reference, *rivals))],
    }
    title = f"{image_path.name}: {', '.join(view['label'] for view in data['views'][1:])}"
    html = page(title, "compare.html", ["viewer.js", "compare.js"], data)
    out_html.parent.mkdir(parents=True, exist_ok=True)
    out_html.write_text(html, encoding="utf-8")
    return out_html


def _original(image: Pixels) -> dict[str, Any]:
    return {"label": "Original", "source": _data_url(image), "size_bytes": image.size}


def _view(original: Pixels, result: Coded, reference: Coded) -> dict[str, Any]:
    """Describe one codec's picture to the page."""
    scores = {}
    for name in ("ms-ssim", "ssimulacra2"):
        metric = METRICS[name]
        if metric.missing() is None and min(original.shape[:2]) > 160:
            scores[metric.column] = metric.measure(original, result.pixels)
    psnr = psnr_db(original, result.pixels)
    return {
        "label": result.codec.label,
        "version": result.codec.version(),
        "quality": result.quality,
        "size_bytes": result.size_bytes,
        "rate_bpp": 8 * result.size_bytes / (original.shape[0] * original.shape[1]),
        "psnr_rgb_db": psnr if psnr != float("inf") else None,
        **scores,
        "above": result.size_bytes > reference.size_bytes,
        "source": _data_url(result.pixels),
    }


def _data_url(pixels: Pixels) -> str:
    """Return pixels as a lossless picture that every browser shows alike."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()
