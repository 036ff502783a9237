"""A small picture of a .npeg file, from its first bytes and without the synthesis.

Enters: a file object at the beginning of a file. Leaves: uint8 pixels as `codec` returns them, a
quarter, an eighth or a sixteenth of the size. Latents become such pixels by a matrix alone; what
is exact is averaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import container, decoder, depth, dither, inputs, limits, networks, residual
from .arrays import Pixels, Samples
from .container import HEADER_SIZE, Header
from .errors import FormatError, InputError
from .sections import (
    ALPHA,
    EXACT,
    HYPER,
    LOW,
    MIDDLE,
    MOST_METADATA,
    PARTS,
    RESIDUAL,
    TILE,
    Parts,
    add_part,
    check_parts,
    read_head,
    read_payload,
)
from .tiles import Tile, tiles_of

QUARTER = 4  # pixels of an image to one of what the networks' matrix makes
FACTORS = (4, 8, 16)
LOW_IS_ENOUGH = 16  # from which on the layer of the lowest frequencies is


def factor_of(scale: object) -> int:
    """Return how many pixels become one at a scale such as 1/8.

    Raises:
        InputError: there is no such scale.
    """
    for factor in (1, *FACTORS):
        if not isinstance(scale, bool) and scale == 1 / factor:
            return factor
    raise InputError(f"found the scale {scale!r}, expected 1, 1/4, 1/8 or 1/16")


def factor_for(width: int, height: int, wanted: tuple[int, int]) -> int:
    """Return the largest factor at which an image still covers a box (width, height)."""
    most = max(min(width // max(wanted[0], 1), height // max(wanted[1], 1)), 1)
    return max(factor for factor in (1, *FACTORS) if factor <= most)


def size_at(header: Any, factor: int) -> tuple[int, int]:
    """Return the width and the height of an image at a factor."""
    return -(-header.width // factor), -(-header.height // factor)


def decode(file: Any, factor: int) -> Pixels:
    """Decode a small picture of an image; no more of the file is read than that needs.

    Args:
        file: a file object at the beginning of a .npeg file, which may be cut behind that.
        factor: 4, 8 or 16.

    Raises:
        FormatError: what is read is not valid.
        LimitError: the small picture has more pixels than it may have.
    """
    head = inputs.piece(file, HEADER_SIZE)
    header = inputs.read_header(head)
    width, height = size_at(header, factor)
    limits.check(width, height)
    if not isinstance(header, Header):
        pixels = dither.decode(head + inputs.rest(file, header))
        return _averaged(pixels.reshape(*pixels.shape[:2], -1), factor).squeeze()
    header = container.with_name(header, file)
    parts = _read(file, header, factor)
    channels = header.channels + header.alpha
    found = np.empty((height, width, channels), np.uint8)
    for number, place in enumerate(tiles_of(header)):
        colours, alpha = _small(parts[number], place, header, factor)
        top, left = place.top // factor, place.left // factor
        area = found[top : top + len(colours), left : left + colours.shape[1]]
        area[..., : header.channels] = colours
        if alpha is not None:
            area[..., -1:] = alpha
    return found[..., 0] if channels == 1 else found


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Reduce an image until it fits into a box (width, height); it is never enlarged."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=None)
    return np.asarray(image)


def box(size: object) -> tuple[int, int]:
    """Return a size, or a pair of them, as a box (width, height).

    Raises:
        InputError: no such size.
    """
    sides = size if isinstance(size, (tuple, list)) else (size, size)
    whole = [isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides]
    if whole != [True, True]:
        raise InputError(f"found the size {size!r}, expected a number of pixels, or two")
    return sides[0], sides[1]


def _read(file: Any, header: Header, factor: int) -> dict[int, Parts]:
    """Read of each tile what a small picture needs, in the order of the file, and stop there.

    Raises:
        FormatError: a section that is read is damaged, or one is missing.
    """
    found: dict[int, Parts] = {}
    done: set[int] = set()
    left, last = header.most_bytes + MOST_METADATA, False
    while len(done) < header.tiles and not last:
        head = read_head(file, header.tiles > 1)
        last = head.last
        if head.kind not in PARTS or head.tile in done:
            file.seek(head.length, 1)
            continue
        parts = found.setdefault(head.tile, {})
        add_part(parts, head, read_payload(file, head, left), header.tiles)
        check_parts(parts)
        left -= head.length
        if _is_enough(parts, header, factor):
            done.add(head.tile)
    if len(done) < header.tiles:
        raise FormatError(f"truncated: {len(done)} of {header.tiles} tiles are there")
    return found


def _is_enough(parts: Parts, header: Header, factor: int) -> bool:
    if header.alpha and ALPHA not in parts:
        return False
    if HYPER in parts:
        return MIDDLE in parts or TILE in parts or (LOW in parts and factor >= LOW_IS_ENOUGH)
    return EXACT in parts or RESIDUAL in parts or bool(parts.get(TILE))


def _small(parts: Parts, place: Tile, header: Header, factor: int) -> tuple[Pixels, Pixels | None]:
    """Return the colours (h, w, C), C = 1 or 3, and the alpha (h, w, 1) of a tile."""
    sides = place.bottom - place.top, place.right - place.left
    tile = decoder.read_arrived(parts, place, header)
    alpha = None if tile.alpha is None else _averaged(_in_eight_bits(tile.alpha[..., None]), factor)
    if tile.planes is not None:
        return _averaged(_in_eight_bits(tile.planes), factor), alpha
    if tile.y_hat is None:
        planes = np.empty((*sides, header.planes), np.uint8)
        if tile.residual is not None:
            planes = depth.rounded(residual.add(planes, tile.residual))
        return _averaged(planes, factor), alpha
    model = networks.load(header.model)
    quarter = model.preview(tile.y_hat, header.networks_level)
    height, width = (-(-side // QUARTER) for side in sides)
    planes = decoder.from_networks(quarter[:height, :width], header)
    return _averaged(planes, factor // QUARTER), alpha


def _in_eight_bits(samples: Samples) -> Pixels:
    return depth.as_type(samples, np.uint8)


def _averaged(planes: Pixels, factor: int) -> Pixels:
    """Average (H, W, C) over squares of factor x factor pixels; the last ones may be smaller."""
    height, width, channels = planes.shape
    edges = (0, -height % factor), (0, -width % factor), (0, 0)
    full = np.pad(planes, edges, mode="edge").reshape(-1, factor, width + edges[1][1], channels)
    rows = full.sum(1, dtype=np.uint32).reshape(len(full), -1, factor, channels).sum(2)
    return ((rows + factor * factor // 2) // (factor * factor)).astype(np.uint8)
