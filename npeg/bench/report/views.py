"""Pictures for the viewer of a page: what it shows and says of each."""

from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image

from npeg.arrays import Pixels
from npeg.bench.metrics import psnr_db
from npeg.bench.run.matching import Coded

WEBP_SIDE = 16383  # the longest that WebP can say


def original_view(image: Pixels, shown: tuple[slice, slice] = (slice(None),) * 2) -> dict[str, Any]:
    """Describe an original; `shown` are its rows and columns that are to be seen."""
    return {"label": "Original", "source": data_url(image[shown]), "size_bytes": image.size}


def coded_view(
    original: Pixels,
    result: Coded,
    limit_bytes: int,
    shown: tuple[slice, slice] = (slice(None),) * 2,
) -> dict[str, Any]:
    """Describe a codec's picture, measured whole, of which only `shown` is to be seen."""
    psnr = psnr_db(original, result.pixels)
    return {
        "label": result.codec.label,
        "quality": result.quality,
        "size_bytes": result.size_bytes,
        "rate_bpp": 8 * result.size_bytes / (original.shape[0] * original.shape[1]),
        "psnr_rgb_db": psnr if psnr != float("inf") else None,
        "above": result.size_bytes > limit_bytes,
        "source": data_url(result.pixels[shown]),
    }


def data_url(pixels: Pixels) -> str:
    """Return pixels as a lossless picture that every browser shows alike."""
    file = BytesIO()
    kind = "webp" if max(pixels.shape) <= WEBP_SIDE else "png"
    options = {"lossless": True, "method": 2} if kind == "webp" else {}
    Image.fromarray(pixels).save(file, kind, **options)
    return f"data:image/{kind};base64," + b64encode(file.getvalue()).decode()
