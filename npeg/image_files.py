"""Image files and pixels, by Pillow: what can go wrong becomes one line.

Does not know: .npeg files, jobs, command lines.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import limits
from .errors import InputError, LimitError, warn
from .files import STREAM

if TYPE_CHECKING:
    from PIL.Image import Image

    from .arrays import Pixels
    from .metadata_sections import Metadata

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

_LIMIT_LOCK = threading.RLock()  # a .npeg file that Pillow opens comes by here again
WITHOUT_ALPHA = ("JPEG", "PPM", "PCX", "EPS", "PDF", "BMP", "DIB", "MPO", "XBM", "MSP")


def open_image(file: io.BufferedReader | io.BytesIO) -> Image:
    """Open an image with Pillow, which reads no pixels yet."""
    import PIL.Image

    head = file.getvalue() if isinstance(file, io.BytesIO) else file.peek(4)
    start = head[:4].hex() or "nothing"
    try:
        with _pillow_limit():
            image = PIL.Image.open(file)
    except PIL.UnidentifiedImageError:
        raise InputError(f"found no image: starts with {start}, expected JPEG, PNG, ...") from None
    except PIL.Image.DecompressionBombError as error:
        raise LimitError(f"found a far too large image: {error}") from error
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything
        raise InputError(f"found a damaged image: {error}") from error
    limits.check(image.width, image.height)
    return image


@contextmanager
def _pillow_limit() -> Iterator[None]:
    """Leave sizes to npeg's own limit, unless somebody has set Pillow's lower.

    Pillow's limit is one for all threads, so one thread at a time moves it and puts it back.
    """
    import PIL.Image

    with _LIMIT_LOCK:
        before = PIL.Image.MAX_IMAGE_PIXELS
        if before is not None and before >= limits.DEFAULT // 2:
            PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


def frames(image: Image) -> int:
    """Return how many frames or pages an opened image has."""
    return int(getattr(image, "n_frames", 1))


def seek(image: Image, number: int) -> None:
    """Turn an opened image to one of its frames or pages, from 1 on.

    Raises:
        InputError: there is no such frame, or it is damaged.
    """
    count = frames(image)
    if number > count:
        raise InputError(
            f"found {count} frame{'s' if count > 1 else ''}, expected {number} or more"
        )
    try:
        image.seek(number - 1)
    except Exception as error:  # Pillow's plugins raise almost anything
        raise InputError(f"found a damaged image, frame {number}: {error}") from error


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


def image_file(pixels: Pixels, image_format: str, metadata: Metadata | None = None) -> bytes:
    """Return the bytes of an image file with these pixels and what it can hold of the metadata.

    Args:
        pixels: (H, W, 3), in the space of the metadata's ICC profile, or grey (H, W), or with alpha
            (H, W, 4) or (H, W, 2).
        image_format: Pillow's name of it.
        metadata: of the .npeg file that the pixels are from.

    Raises:
        InputError: the format cannot hold such an image.

    Warns:
        UserWarning: the format cannot hold some of the metadata; without a place for a colour
            profile the pixels are converted to sRGB.
    """
    import PIL.Image

    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and image_format in WITHOUT_ALPHA:
        hint = "add --background white, or another colour"
        raise InputError(f"found transparency, which {image_format} does not hold: {hint}")
    options: dict[str, Any] = dict(SAVE_OPTIONS.get(image_format, {}))
    if metadata is not None:
        pixels, more = _with_metadata(pixels, image_format, metadata)
        options |= more
    buffer = io.BytesIO()
    try:
        PIL.Image.fromarray(pixels).save(buffer, format=image_format, **options)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise InputError(f"found an image that {image_format} cannot hold: {error}") from error
    return buffer.getvalue()


def _with_metadata(
    pixels: Pixels, image_format: str, metadata: Metadata
) -> tuple[Pixels, dict[str, Any]]:
    """Return the pixels and the options of `Image.save`; warn of what is lost."""
    from . import transparency
    from .colour import to_srgb
    from .pillow_metadata import save_options

    options, lost = save_options(metadata, image_format)
    if lost.icc_profile:
        warn(f"colours are converted to sRGB: {image_format} holds no ICC profile")
        colours, alpha = transparency.split(pixels)
        pixels = transparency.join(to_srgb(colours, lost.icc_profile), alpha)
        lost = lost.without("icc_profile")
    if names := lost.names():
        warn(f"{image_format} does not hold {' and '.join(names)}, which the file has")
    return pixels, options
