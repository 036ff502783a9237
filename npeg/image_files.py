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

from . import limits, more_formats
from .errors import InputError, LimitError, warn
from .files import STREAM

if TYPE_CHECKING:
    from PIL.Image import Image

    from .arrays import Samples
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

OWN = (b"NPEG", b"NPGD")  # first bytes of npeg's own files
_LIMIT_LOCK = threading.RLock()  # a .npeg file that Pillow opens comes by here again
TIFF = ("49492a00", "4d4d002a")  # what such files start with
WITHOUT_ALPHA = ("JPEG", "PPM", "PCX", "EPS", "PDF", "BMP", "DIB", "MPO", "XBM", "MSP")


def open_image(file: io.BufferedReader | io.BytesIO) -> Image:
    """Open an image with Pillow, which reads no pixels yet."""
    import PIL.Image

    head = file.read(more_formats.HEAD)
    file.seek(-len(head), os.SEEK_CUR)
    start = head[:4].hex() or "nothing"
    if head[:4] in OWN:  # which Pillow opens where npeg's plugin is registered
        raise InputError(f"found no image: starts with {start}, expected JPEG, PNG, ...")
    if kind := more_formats.kind_of(file, head):
        return more_formats.open_image(file, kind)
    try:
        with _pillow_limit():
            image = PIL.Image.open(file)
    except PIL.UnidentifiedImageError:
        if start in TIFF:
            expected = "expected grey or RGB of 8 or 16 bits, or grey of floats"
            raise InputError(f"found a TIFF image that Pillow does not read, {expected}") from None
        raise InputError(f"found no image: starts with {start}, expected JPEG, PNG, ...") from None
    except PIL.Image.DecompressionBombError as error:
        raise LimitError(f"found a far too large image: {error}") from error
    except Exception as error:  # Pillow's plugins raise almost anything
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file, not of what is in it
        raise InputError(f"found a damaged image: {error}") from error
    limits.check(image.width, image.height)
    return image


def extensions() -> tuple[str, ...]:
    """Return the names of files that count in a folder, as things are installed here."""
    return (*PICTURES, *more_formats.extensions())


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
    """Return how many frames or pages an opened image has.

    Raises:
        InputError: one of them is damaged.
    """
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # Pillow's plugins raise almost anything
        raise InputError(f"found a damaged frame: {error}") from error


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


def dtype(image_format: str, bits: int, asked: bool) -> str:
    """Return the type of pixels for an image format: with 16 bits where these are wanted and held.

    Args:
        image_format: Pillow's name of it.
        bits: 8 or 16 a sample.
        asked: whether the user has said so: 16 bits must be held.

    Raises:
        InputError: they are not.
    """
    from . import deep_files

    held = image_format in deep_files.FORMATS
    if bits == 16 and asked and not held:
        expected = f"expected {', '.join(deep_files.FORMATS)}"
        raise InputError(f"found {image_format} for 16 bits a sample, {expected}")
    return "uint16" if bits == 16 and held else "uint8"


def image_file(pixels: Samples, image_format: str, metadata: Metadata | None = None) -> bytes:
    """Return the bytes of an image file with these pixels and what it can hold of the metadata.

    Args:
        pixels: uint8, or uint16 where `dtype` says so, (H, W, 3), in the space of the metadata's
            ICC profile, or grey (H, W), or with alpha (H, W, 4) or (H, W, 2).
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
        if pixels.dtype != "uint8":
            from . import deep_files

            return deep_files.write(pixels, image_format, options)
        PIL.Image.fromarray(pixels).save(buffer, format=image_format, **options)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise InputError(f"found an image that {image_format} cannot hold: {error}") from error
    return buffer.getvalue()


def _with_metadata(
    pixels: Samples, image_format: str, metadata: Metadata
) -> tuple[Samples, dict[str, Any]]:
    """Return the pixels and the options of `Image.save`; warn of what is lost."""
    from . import depth, transparency
    from .colour import to_srgb
    from .pillow_metadata import save_options

    options, lost = save_options(metadata, image_format)
    if lost.icc_profile:
        warn(f"colours are converted to sRGB: {image_format} holds no ICC profile")
        if pixels.dtype != "uint8":
            warn("16 bits a sample are cut to 8, as their colours are converted")
        colours, alpha = transparency.split(depth.as_type(pixels, "uint8"))
        pixels = transparency.join(to_srgb(colours, lost.icc_profile), alpha)
        lost = lost.without("icc_profile")
    if names := lost.names():
        warn(f"{image_format} does not hold {' and '.join(names)}, which the file has")
    return pixels, options
