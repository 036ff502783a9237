"""What is behind npeg.encode, decode, info and metadata: inputs to pixels, pixels to files.

Enters: whatever `inputs` takes. Leaves: the bytes of a file, C-contiguous pixels, descriptions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from . import container, depth, dither, inputs, limits, metadata_sections, transparency
from .arrays import Samples
from .colour import to_srgb
from .dither.container import Info as DitherInfo
from .errors import InputError
from .metadata_sections import Metadata

if TYPE_CHECKING:
    from .encoder_rule import EncoderOptions
    from .regions import Region
    from .targets import Target


def encode(
    image: object,
    target: Target,
    options: EncoderOptions,
    codec: str,
    metadata: Metadata | None,
    strip: bool,
    turn: int = 0,
    background: str | None = None,
) -> bytes:
    """Encode an image; see `npeg.encode`.

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
            pixels = to_pixels(opened) if background is None else _flat(opened, background)
            return dither.encode(pixels, codec, target.quality, target.others)
        pixels, found_metadata, bits = to_picture(opened, metadata, strip, turn)
    if pixels.dtype == np.uint16:
        options = replace(options, bit_depth=bits)
    if background is not None:
        pixels = transparency.flatten(pixels, background)
    return _encode(pixels, target, options, metadata_sections.pack(found_metadata))


def _flat(image: object, background: str) -> Samples:
    """Return the sRGB pixels of an image in front of a colour."""
    from .pixels import to_picture, to_pixels

    pixels, metadata, _ = to_picture(image)
    pixels = depth.as_type(pixels, np.uint8)
    if transparency.split(pixels)[1] is None:
        return to_pixels(image)
    pixels = transparency.flatten(pixels, background)
    return to_srgb(pixels, metadata.icc_profile) if metadata.icc_profile else pixels


def decode(
    source: object,
    region: Region | None = None,
    scale: float = 1,
    partial: bool = False,
    dtype: object = "uint8",
) -> Samples:
    """Decode a file, a region of it, it small, or what has arrived of it; see `npeg.decode`."""
    from . import codec, regions, thumbnails
    from .sessions import give_memory_back

    wanted = depth.checked_dtype(dtype)
    deep = wanted != np.uint8
    factor = thumbnails.factor_of(scale)
    if (region is not None) + (factor > 1) + bool(partial) > 1:
        raise InputError("found several of region, scale and partial, expected one")
    if factor > 1:
        with inputs.opened(source) as file:
            pixels: Samples = thumbnails.decode(file, factor)
    elif region is not None:
        with inputs.opened(source) as file:
            pixels = regions.decode(file, region, deep)
    else:
        data = inputs.npeg_file(source)
        header = inputs.read_header(data)
        limits.check(header.width, header.height)
        is_dither = dither.is_file(data)
        pixels = dither.decode(data) if is_dither else codec.decode_pixels(data, deep, partial)
    give_memory_back(pixels.shape[0] * pixels.shape[1])
    return np.ascontiguousarray(depth.as_type(pixels, wanted))


def thumbnail(source: object, size: int | tuple[int, int]) -> Samples:
    """Return a small picture of a file; see `npeg.thumbnail`."""
    from . import thumbnails

    wanted = thumbnails.box(size)
    with inputs.opened(source) as file:
        header = inputs.read_header(inputs.piece(file, container.HEADER_SIZE))
        file.seek(0)
        across = min(wanted[0], max(1, wanted[1] * header.width // header.height))
        down = min(wanted[1], max(1, wanted[0] * header.height // header.width))
        factor = thumbnails.factor_for(header.width, header.height, (across, down))
        pixels = decode(file, scale=1 / factor)
    return np.ascontiguousarray(thumbnails.fitted(pixels, wanted))


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


def _encode(pixels: Samples, target: Target, options: EncoderOptions, sections: bytes) -> bytes:
    """Encode pixels and put sections before them; targets count the whole file."""
    from . import targets
    from .sessions import give_memory_back

    try:
        reduced = _without(target, len(sections), pixels.shape[0] * pixels.shape[1])
        data = targets.encode(pixels, reduced, options)
    except InputError as error:
        if sections and "out of reach" in str(error):
            text = f"{error}, beside {len(sections)} bytes of metadata"
            raise InputError(text) from error
        raise
    give_memory_back(pixels.shape[0] * pixels.shape[1])
    at = container.start(container.read_header(data))
    return metadata_sections.insert(data, sections, at)


def _without(target: Target, spent: int, count: int) -> Target:
    """Return a target that leaves room for so many bytes, of an image of count pixels."""
    size, bpp = target.size, target.bpp
    if not spent or (size is None and bpp is None):
        return target
    try:
        left = (size or 0) + (bpp or 0) * count / 8 - spent
    except TypeError:
        return target  # refused where targets are checked
    if left <= 0 < left + spent:
        raise InputError(f"found {spent} bytes of metadata, more than the target: strip it")
    return replace(target, bpp=None, size=left)
