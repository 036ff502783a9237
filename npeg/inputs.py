"""What people hand in: paths, file objects and buffers become bytes, images and arrays pixels.

The one set of inputs of `npeg.encode`, `decode`, `info`, `metadata` and `npeg.enhance.enhance`.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import container, dither, limits
from .errors import InputError, LimitError, NpegError
from .sections import MOST_METADATA, PIECE

if TYPE_CHECKING:
    from PIL import Image

    from .arrays import Pixels
    from .dither.container import Header as DitherHeader


class _Named(io.BytesIO):
    """The bytes of a file, and the name that it had: a raw file may be told by it alone."""

    name: object = ""


def npeg_file(source: object) -> bytes:
    """Return the bytes of a .npeg file.

    Args:
        source: a path (str or Path), a file object opened in binary mode, which is read from its
            beginning as Pillow does where it can be rewound, or any buffer of bytes: bytes,
            bytearray, memoryview, mmap, uint8.

    Raises:
        InputError: none of these, or not readable.
        LimitError: far longer than its header allows; no more of it is read.
    """
    if isinstance(source, (str, os.PathLike)):
        with _opened(source) as file:
            return read(file)
    if hasattr(source, "read") and not isinstance(source, mmap.mmap):
        return read(_rewound(source))
    data = _buffer(source)
    if data is None:
        expected = "expected a .npeg file: a path, a file object, or its bytes"
        raise InputError(f"found {type(source).__name__}, {expected}")
    return data


@contextmanager
def opened(source: object) -> Iterator[Any]:
    """Give a .npeg file as a file object at its beginning that can be read from any place.

    Args:
        source: as for `npeg_file`; what cannot be rewound is read.

    Raises:
        InputError: none of these, or not readable.
    """
    if isinstance(source, (str, os.PathLike)):
        with _opened(source, buffering=0) as file:  # no byte is read that is not asked for
            yield file
    elif hasattr(source, "read") and not isinstance(source, mmap.mmap) and _can_seek(source):
        yield source
    else:
        yield io.BytesIO(npeg_file(source))


def _can_seek(file: Any) -> bool:
    """Tell whether a file object could be rewound, which is done."""
    try:
        file.seek(0)
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return False
    return True


@contextmanager
def image_or_array(source: object) -> Iterator[Image.Image | Pixels]:
    """Give the Pillow image or the array that is handed in, or that of an image file.

    The pixels of an image that is opened here are given back in the end.

    Args:
        source: a Pillow image, an array, or an image file: a path, a file object opened in binary
            mode, or a buffer of bytes.

    Raises:
        InputError: none of these, or not an image.
    """
    import numpy as np
    from PIL import Image

    from .image_files import open_image

    if isinstance(source, Image.Image):
        yield source
        return
    if isinstance(source, (str, os.PathLike)):
        with _opened(source) as file, closing(open_image(file)) as image:
            yield image
        return
    if isinstance(source, memoryview) and source.ndim > 1:
        source = np.asarray(source)
    if isinstance(source, np.ndarray):
        yield np.asarray(source)
        return
    if hasattr(source, "read") and not isinstance(source, mmap.mmap):
        copy = _Named(_all_of(_rewound(source)))
        copy.name = getattr(source, "name", "")
        with closing(open_image(copy)) as image:
            yield image
        return
    data = _buffer(source)
    if data is None:
        expected = "expected a Pillow image, a uint8 NumPy array, or an image file"
        raise InputError(f"found {type(source).__name__}, {expected}")
    with closing(open_image(io.BytesIO(data))) as image:
        yield image


def pixels_of(source: object) -> Pixels:
    """Return sRGB pixels (H, W, 3), or grey ones (H, W), C-contiguous, of what is handed in."""
    from .pixels import to_pixels

    with image_or_array(source) as image:
        return to_pixels(image)


def rgb_file(path: Path) -> Pixels:
    """Return an image file as sRGB pixels (H, W, 3), grey three times.

    Raises:
        NpegError: missing, no image, damaged, not opaque, ...; the path comes first.
    """
    import numpy as np

    try:
        pixels = pixels_of(path)
    except NpegError as error:
        raise type(error)(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: found no image that Pillow can read ({error})") from None
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def read_header(data: bytes) -> container.Header | DitherHeader:
    """Read the header of a .npeg file, npeg's own or that of a dither codec."""
    if dither.is_file(data):
        return dither.read_header(data)
    return container.read_header(data)


def _opened(path: str | os.PathLike[str], buffering: int = -1) -> Any:
    try:
        return open(path, "rb", buffering)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise InputError(f"found {reason}, expected a readable file: {os.fspath(path)}") from error


def read(file: Any) -> bytes:
    """Read a .npeg file, no further than a file with such a header can be long."""
    head = piece(file, container.HEADER_SIZE)  # a dither file's header has no more bytes
    header = read_header(head)
    limits.check(header.width, header.height)
    return head + rest(file, header)


def rest(file: Any, header: container.Header | DitherHeader) -> bytes:
    """Read what is behind the header of a .npeg file.

    Raises:
        LimitError: it is far longer than the header allows; no more of it is read.
    """
    parts, left = [], header.most_bytes + MOST_METADATA
    while part := piece(file, PIECE):
        parts.append(part)
        left -= len(part)
        if left < 0:
            size = f"{header.width}x{header.height}"
            raise LimitError(f"found a far longer file than {size} pixels need")
    return b"".join(parts)


def _rewound(file: Any) -> Any:
    """Return a file object at its beginning; a pipe has none, and goes on."""
    _can_seek(file)
    return file


def _all_of(file: Any) -> bytes:
    return b"".join(iter(lambda: piece(file, PIECE), b""))


def piece(file: Any, size: int) -> bytes:
    """Read up to `size` bytes; fewer only at the end of the file."""
    piece = b""
    while len(piece) < size:
        try:
            part = file.read(size - len(piece))
        except (OSError, ValueError) as error:
            raise InputError(f"found a file that cannot be read: {error}") from error
        if not part:
            break
        if not isinstance(part, (bytes, bytearray, memoryview)):
            found = type(part).__name__
            raise InputError(f"found a file that gives {found}, expected one opened as binary")
        piece += part
    return piece


def _buffer(source: object) -> bytes | None:
    """Return the bytes of a buffer, in C order; None when it is none."""
    try:
        view = memoryview(cast("bytes", source))
    except (TypeError, ValueError):
        return None
    with view:
        if view.itemsize != 1:
            raise InputError(f"found a buffer of {view.itemsize}-byte items, expected bytes")
        return view.tobytes()
