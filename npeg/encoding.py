"""What is behind npeg.encode, decode, info and metadata: inputs to pixels, pixels to files.

Enters: whatever `inputs` takes. Leaves: the bytes of a file, C-contiguous pixels, descriptions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, dither, inputs, metadata_sections
from .dither.container import Info as DitherInfo
from .errors import InputError
from .metadata_sections import Metadata

Pixels = NDArray[np.uint8]


def encode(
    image: object,
    quality: float,
    choices: dict[str, Any],
    codec: str,
    metadata: Metadata | None,
    strip: bool,
    turn: int = 0,
) -> bytes:
    """Encode an image; see `npeg.encode`, whose targets, effort and tune are the choices.

    `turn` is the image's EXIF orientation where metadata is given that does not say it any more.
    """
    from .pixels import to_picture, to_pixels

    if metadata is not None and not isinstance(metadata, Metadata):
        found = type(metadata).__name__
        raise InputError(f"found {found} as metadata, expected what npeg.metadata returns")
    with inputs.image_or_array(image) as opened:
        if codec != "npeg":
            if metadata is not None:
                raise InputError(f"found metadata for {codec}, which carries none")
            targets = tuple(choices[name] for name in ("bpp", "size", "psnr"))
            return dither.encode(to_pixels(opened), codec, quality, targets)
        pixels, found_metadata = to_picture(opened, metadata, strip, turn)
    return _encode(pixels, quality, choices, metadata_sections.pack(found_metadata))


def decode(source: object) -> Pixels:
    """Decode a file; see `npeg.decode`."""
    from . import codec
    from .sessions import give_memory_back

    data = inputs.npeg_file(source)
    pixels = dither.decode(data) if dither.is_file(data) else codec.decode_pixels(data)
    give_memory_back(pixels.shape[0] * pixels.shape[1])
    return np.ascontiguousarray(pixels)


def info(source: object) -> container.Info | DitherInfo:
    """Verify and describe a file; see `npeg.info`."""
    data = inputs.npeg_file(source)
    if dither.is_file(data):
        return dither.info(data)
    names = metadata_sections.read(data).names()
    return replace(container.info(data), metadata=names)


def metadata(source: object) -> Metadata:
    """Return the metadata of a file; see `npeg.metadata`."""
    data = inputs.npeg_file(source)
    if dither.is_file(data):
        dither.info(data)
        return Metadata()
    return metadata_sections.read(data)


def _encode(pixels: Pixels, quality: float, choices: dict[str, Any], sections: bytes) -> bytes:
    """Encode pixels and put sections before them; targets count the whole file."""
    from . import targets
    from .sessions import give_memory_back

    try:
        reduced = _without(choices, len(sections), pixels.shape[0] * pixels.shape[1])
        data = targets.encode(pixels, quality, **reduced)
    except InputError as error:
        if sections and "out of reach" in str(error):
            text = f"{error}, beside {len(sections)} bytes of metadata"
            raise InputError(text) from error
        raise
    give_memory_back(pixels.shape[0] * pixels.shape[1])
    return metadata_sections.insert(data, sections, container.HEADER_SIZE)


def _without(choices: dict[str, Any], spent: int, count: int) -> dict[str, Any]:
    """Return the choices with targets that leave room for so many bytes, of an image of count."""
    size, bpp = choices["size"], choices["bpp"]
    if not spent or choices["psnr"] is not None or (size is None) == (bpp is None):
        return choices
    try:
        left = (size if bpp is None else bpp * count / 8) - spent
    except TypeError:
        return choices  # refused where targets are checked
    if left <= 0 < left + spent:
        raise InputError(f"found {spent} bytes of metadata, more than the target: strip it")
    return choices | {"bpp": None, "size": left}
