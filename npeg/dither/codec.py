"""Pixels to a dither file and back: encode and decode, facing each other.

The networks run on windows with a halo, which changes nothing but the memory they need.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Pixels
from ..errors import InputError
from . import container, networks
from .container import TILE, VARIANTS, Header
from .context import decode_planes, encode_planes
from .networks import Model

HALO = 4  # positions of the code: each network has four 3x3 convolutions at that resolution
WINDOW_POSITIONS = {1: 256, 8: 128}  # stride -> positions a side: some 50 MB of activations
IDS = {variant.name: number for number, variant in VARIANTS.items()}


@dataclass(frozen=True)
class Window:
    """A rectangle of code positions, and the larger one of it with its halo."""

    rows: slice
    columns: slice
    wide_rows: slice
    wide_columns: slice

    def inner(self, scale: int = 1) -> tuple[slice, slice]:
        """Return where the rectangle is in the larger one, in units of 1/scale positions."""
        return (
            _moved(self.rows, self.wide_rows.start, scale),
            _moved(self.columns, self.wide_columns.start, scale),
        )


def encode_pixels(pixels: Pixels, name: str, quality: float) -> bytes:
    """Encode an image.

    Args:
        pixels: uint8, (H, W, 3) sRGB or (H, W) grey.
        name: of the variant: dither or dither8.
        quality: 0..100, how many planes are kept; dither keeps all whatever it is.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the quality is out of range.
    """
    header = _header_for(pixels, name, quality)
    model = networks.load(header.variant_id)
    planes = _binarise(model, pixels, header)
    payloads = [
        encode_planes(
            np.unpackbits(planes[:, rows, columns], axis=0)[: header.planes], model.context
        )
        for rows, columns in _tiles(header)
    ]
    return container.write(header, payloads)


def decode_pixels(data: bytes) -> Pixels:
    """Decode a file to uint8 pixels, (H, W, 3) sRGB or (H, W) grey.

    Raises:
        FormatError: the bytes are not a valid file.
        LimitError: larger than a decoder may allocate.
    """
    header, planes = read_planes(data)
    rgb = _synthesise(networks.load(header.variant_id), planes, header)
    if header.channels == 3:
        return rgb
    return ((rgb.astype(np.uint16).sum(axis=2) + 1) // 3).astype(np.uint8)  # rounded mean


def read_planes(data: bytes) -> tuple[Header, Pixels]:
    """Decode a file's bits: exact, whatever the machine.

    Returns:
        The header, and the planes packed in bytes, (ceil(planes/8), h, w), first plane highest.

    Raises:
        FormatError: the bytes are not a valid file.
        LimitError: larger than a decoder may allocate.
    """
    header, payloads = container.read_tiles(data)
    model = networks.load(header.variant_id)
    tiles = []
    for payload, (rows, columns) in zip(payloads, _tiles(header), strict=True):
        shape = (header.planes, rows.stop - rows.start, columns.stop - columns.start)
        tiles.append(np.packbits(decode_planes(payload, shape, model.context), axis=0))
    planes = np.empty((-(-header.planes // 8), *header.code_shape), np.uint8)
    for tile, (rows, columns) in zip(tiles, _tiles(header), strict=True):
        planes[:, rows, columns] = tile
    return header, planes


def _header_for(pixels: Pixels, name: str, quality: float) -> Header:
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or not pixels.size:
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 (H, W[, 3])")
    if not 0 <= quality <= 100:
        raise InputError(f"quality is {quality:g}, expected 0 to 100")
    height, width = pixels.shape[:2]
    variant = VARIANTS[IDS[name]]
    container.check_size(variant, width, height)
    channels = 1 if pixels.ndim == 2 else 3
    return Header(IDS[name], variant.planes_of(quality), width, height, channels)


def _binarise(model: Model, pixels: Pixels, header: Header) -> Pixels:
    """Return the code planes of an image, packed in bytes (planes/8, h, w)."""
    s, (h, w) = header.variant.stride, header.code_shape
    planes = np.empty((model.variant.planes // 8, h, w), np.uint8)
    for window in _windows(header):
        part = pixels[_moved(window.wide_rows, 0, s), _moved(window.wide_columns, 0, s)]
        padding = [(0, -side % s) for side in part.shape[:2]]
        if part.ndim == 2:
            part = np.repeat(part[..., None], 3, axis=2)
        bits = model.encode(np.pad(part, (*padding, (0, 0)), mode="edge"))
        packed = np.packbits(bits[:, *window.inner()], axis=0)
        planes[:, window.rows, window.columns] = packed
    return planes


def _synthesise(model: Model, planes: Pixels, header: Header) -> Pixels:
    """Return the image (H, W, 3) of packed planes (ceil(planes/8), h, w)."""
    s, variant = header.variant.stride, model.variant
    rgb = np.empty((header.height, header.width, 3), np.uint8)
    for window in _windows(header):
        bits = np.unpackbits(planes[:, window.wide_rows, window.wide_columns], axis=0)
        halves = np.ones((variant.planes, *bits.shape[1:]), np.uint8)  # 1/2: not known
        halves[: header.planes] = 2 * bits[: header.planes]
        part = model.decode(halves)[window.inner(s)]
        target = rgb[_moved(window.rows, 0, s), _moved(window.columns, 0, s)]
        target[...] = part[: target.shape[0], : target.shape[1]]
    return rgb


def _tiles(header: Header) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each tile of the planes, in raster order."""
    h, w = header.code_shape
    for top in range(0, h, TILE):
        for left in range(0, w, TILE):
            yield slice(top, min(top + TILE, h)), slice(left, min(left + TILE, w))


def _windows(header: Header) -> Iterator[Window]:
    """Yield the windows that the networks run on: they cover every position once."""
    h, w = header.code_shape
    step = WINDOW_POSITIONS[header.variant.stride]
    for top in range(0, h, step):
        for left in range(0, w, step):
            rows, columns = slice(top, min(top + step, h)), slice(left, min(left + step, w))
            yield Window(rows, columns, _widened(rows, h), _widened(columns, w))


def _widened(part: slice, end: int) -> slice:
    return slice(max(part.start - HALO, 0), min(part.stop + HALO, end))


def _moved(part: slice, origin: int, scale: int) -> slice:
    return slice((part.start - origin) * scale, (part.stop - origin) * scale)
