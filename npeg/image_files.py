"""Image files and pixels, by Pillow: what can go wrong becomes one line.

Does not know: .npeg files, jobs, command lines.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from .errors import InputError, LimitError
from .files import STREAM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

PICTURES = (  # files that count in a folder
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".avifs"),
    *(".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
    *(".jpx", ".qoi", ".tga", ".pcx", ".sgi", ".dds", ".ico", ".psd"),
)
SAVE_OPTIONS: dict[str, dict[str, int]] = {  # of Pillow, per image format that decode writes
    "PNG": {"compress_level": 3},  # 7 % larger than Pillow's 6, in a third of the time
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
}


def open_image(file: io.BufferedReader) -> Image:
    """Open an image with Pillow, which reads no pixels yet."""
    import PIL.Image

    start = file.peek(4)[:4].hex() or "nothing"
    try:
        return PIL.Image.open(file)
    except PIL.UnidentifiedImageError:
        raise InputError(f"found no image: starts with {start}, expected JPEG, PNG, ...") from None
    except PIL.Image.DecompressionBombError as error:
        raise LimitError(f"found a far too large image: {error}") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything
        raise InputError(f"found a damaged image: {error}") from error


def image_format(output: str) -> str:
    """Return Pillow's name of the image format that an output's extension asks for."""
    import PIL.Image

    extension = os.path.splitext(output)[1].lower()
    if output in (STREAM, os.devnull) or extension == ".png":
        return "PNG"
    PIL.Image.init()
    image_format = PIL.Image.EXTENSION.get(extension, "")
    if image_format not in PIL.Image.SAVE:
        raise InputError(f"found the output {output}, expected .png, .jpg, .webp or another image")
    return image_format


def image_file(pixels: NDArray[np.uint8], image_format: str) -> bytes:
    """Return the bytes of an image file with these pixels."""
    import PIL.Image

    buffer = io.BytesIO()
    try:
        PIL.Image.fromarray(pixels).save(
            buffer, format=image_format, **SAVE_OPTIONS.get(image_format, {})
        )
    except (OSError, ValueError) as error:
        raise InputError(f"found an image that {image_format} cannot hold: {error}") from error
    return buffer.getvalue()
