"""What is fuzzed: functions that take any bytes and return quietly unless a promise is broken.

Enters: the bytes of an input. Leaves: True where they were understood, False where they were
refused as promised. Anything else that is raised is a finding.
"""

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image

import npeg
from npeg import (
    codec,
    container,
    dither,
    entropy,
    exact,
    image_files,
    limits,
    metadata_sections,
    pixels,
    rans,
    regions,
    thumbnails,
)
from npeg.errors import FormatError, NpegError
from npeg.networks import load

MOST_PIXELS = 1 << 15  # of a file that is decoded: inputs above are refused at once, which is quick
SIDE = 64  # of the part of a picture that is asked for by itself


def read_container(data: bytes) -> bool:
    """Sections, their description and metadata, of a whole file and of its beginning."""
    understood = False
    for read in (
        container.read_tiles,
        container.info,
        metadata_sections.read,
        lambda whole: metadata_sections.unpack(container.read_leading(io.BytesIO(whole))[1]),
    ):
        try:
            read(data)
            understood = True
        except NpegError:
            pass
    return understood


def read_symbols(data: bytes) -> bool:
    """A payload of the entropy decoder in one to three groups, compiled and in NumPy, alike."""
    if len(data) < 4:
        return False
    sizes = [1 + data[0] % 64, data[1] % 16 * 32, data[2] * 4][: 1 + data[3] % 3]
    fast = _symbols(data[4:], sizes)
    kernel = vars(rans)["kernel"]
    vars(rans)["kernel"] = None
    try:
        slow = _symbols(data[4:], sizes)
    finally:
        vars(rans)["kernel"] = kernel
    assert fast == slow, f"compiled: {str(fast)[:200]}, NumPy: {str(slow)[:200]}"
    return not isinstance(fast, str)


def _symbols(payload: bytes, sizes: list[int]) -> list[list[int]] | str:
    """Return the groups of symbols, or what is said of the payload."""
    tables = load().tables
    try:
        decoder, found = entropy.Decoder(payload, tables), []
        for number, size in enumerate(sizes):
            indexes = np.arange(size) * 7 % len(tables)
            found.append(decoder.decode(indexes, last=number == len(sizes) - 1).tolist())
        return found
    except FormatError as error:
        return str(error)


def read_exact(data: bytes) -> bool:
    """A payload of exact pixels, of a size that its first three bytes say."""
    if len(data) < 3:
        return False
    try:
        exact.decode(data[3:], 1 + data[0] % 48, 1 + data[1] % 48, 3 if data[2] & 1 else 1)
    except FormatError:
        return False
    return True


def decode(data: bytes) -> bool:
    """A file of npeg's own codec: the whole image, and a rectangle of it, which must agree."""
    try:
        with limits.at_most(MOST_PIXELS):
            whole = codec.decode_pixels(data)
    except NpegError:
        return False
    height, width = whole.shape[:2]
    across, down = min(SIDE, width), min(SIDE, height)
    part = regions.decode(io.BytesIO(data), (width - across, height - down, across, down))
    assert part.shape == whole[height - down :, width - across :].shape
    assert (part == whole[height - down :, width - across :]).all(), "a region differs"
    assert codec.decode_pixels(data, deep=True).shape == whole.shape
    return True


def decode_parts(data: bytes) -> bool:
    """What has arrived of a file, of half of it, and small pictures of it."""
    understood = False
    factor = thumbnails.FACTORS[len(data) % len(thumbnails.FACTORS)]
    for read in (
        lambda: codec.decode_pixels(data, partial=True),
        lambda: codec.decode_pixels(data[: len(data) // 2], partial=True),
        lambda: thumbnails.decode(io.BytesIO(data), factor),
    ):
        with suppress(NpegError), limits.at_most(MOST_PIXELS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            understood = bool(read().size)
    return understood


def decode_dither(data: bytes) -> bool:
    """A file of the dither codecs."""
    try:
        header = dither.read_header(data)
        if header.width * header.height > MOST_PIXELS >> 3:
            return False
        dither.info(data)
        dither.decode(data)
    except NpegError:
        return False
    return True


def read_image(data: bytes) -> bool:
    """An image file as `encode` takes it, up to its pixels and metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with limits.at_most(MOST_PIXELS), image_files.open_image(io.BytesIO(data)) as image:
                picture = pixels.to_picture(image)
                metadata_sections.pack(picture.metadata)
        except (NpegError, OSError):
            return False
    assert picture.pixels.dtype in (np.uint8, np.uint16)
    assert 0 < picture.pixels.size <= 4 * MOST_PIXELS
    return True


def open_with_pillow(data: bytes) -> bool:
    """A file through the Pillow plugin: verified, cropped, decoded."""
    npeg.register()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=["NPEG"]) as image:
                image.verify()
            with Image.open(io.BytesIO(data), formats=["NPEG"]) as image:
                if image.width * image.height > MOST_PIXELS:
                    return False
                image.crop((0, 0, min(SIDE, image.width), min(SIDE, image.height)))
                image.load()
        except (OSError, Image.DecompressionBombError):
            return False
    return True


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "container": read_container,
    "entropy": read_symbols,
    "exact": read_exact,
    "decoder": decode,
    "parts": decode_parts,
    "dither": decode_dither,
    "image": read_image,
    "plugin": open_with_pillow,
}


@cache
def is_file(name: str) -> bool:
    """Return whether a target takes whole .npeg files, whose checksums are mended."""
    return name in ("container", "decoder", "parts", "dither", "plugin")
