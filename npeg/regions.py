"""A rectangle of a .npeg file's image, from the tiles that have a say in it and no others.

Enters: a file object that can be read from any place. Leaves: pixels as `codec` returns them.
What is skipped is not verified: the lengths of sections lead from tile to tile.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import container, decoder, dither, inputs, limits, tiles
from .arrays import Samples
from .container import HEADER_SIZE, Header
from .errors import InputError
from .sections import (
    HYPER,
    LOW,
    MIDDLE,
    MOST_METADATA,
    PARTS,
    TILE,
    Parts,
    add_part,
    check_parts,
    read_head,
    read_payload,
)
from .tiles import Tile

LATENTS = {HYPER, LOW, MIDDLE, TILE}  # sections that say something of a tile's latents

Region = tuple[int, int, int, int]


def decode(file: Any, region: Region, deep: bool = False) -> Samples:
    """Decode a rectangle of an image; it equals that of the whole image.

    Args:
        file: a file object at the beginning of a .npeg file.
        region: left, top, width and height in pixels, inside the image.
        deep: whether uint16 samples are wanted; those of dither files are uint8 all the same.

    Raises:
        FormatError: what is read is not valid.
        LimitError: the rectangle has more pixels than it may have.
        InputError: it is not inside the image.
    """
    head = inputs.piece(file, HEADER_SIZE)
    header = inputs.read_header(head)
    window = inside(region, header.width, header.height)
    limits.check(window.right - window.left, window.bottom - window.top)
    if isinstance(header, Header):
        return _decode(file, window, container.with_name(header, file), deep)
    whole = dither.decode(head + inputs.rest(file, header))
    return np.ascontiguousarray(whole[window.pixels])


def inside(region: object, width: int, height: int) -> Tile:
    """Return a region (left, top, width, height) of an image as a rectangle.

    Raises:
        InputError: it is not such a region, or not inside the image.
    """
    try:
        left, top, across, down = (int(side) for side in region)  # type: ignore[attr-defined]
        whole = [left, top, across, down] == list(region)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"found the region {region!r}, expected left, top, width and height")
    if min(left, top, across - 1, down - 1) < 0 or left + across > width or top + down > height:
        found = f"found the region {left},{top},{across},{down}"
        raise InputError(f"{found}, expected one inside of {width}x{height} pixels")
    return Tile(top, top + down, left, left + across)


def _decode(file: Any, window: Tile, header: Header, deep: bool) -> Samples:
    """Return the pixels of a window; `file` is behind the header and the model's name."""
    wanted = tiles.meeting(window, header)
    near = tiles.reaching(wanted, header)
    kinds = {number: set(PARTS) if number in wanted else LATENTS for number in near}
    parts = _read(file, header, kinds)
    places = tiles.tiles_of(header)
    place = {number: tile for number, tile in enumerate(places) if number in near}
    decoded = {number: decoder.read(parts[number], place[number], header) for number in wanted}
    synthesis = tiles.Synthesis(header, fine=deep or header.deep)
    needed = {number for number in wanted if decoded[number].y_hat is not None}
    for number in tiles.reaching(needed, header) if needed else ():
        known = decoded.get(number)
        part = parts[number]
        y_hat = known.y_hat if known else decoder.read_latents(part, place[number], header)
        synthesis.known[number] = y_hat
    found = decoder.empty(window, header, deep)
    for number, tile in decoded.items():
        known_pixels = partial(synthesis.pixels, number)
        decoder.paste(found, window, place[number], tile, known_pixels, header)
    return found


def _read(file: Any, header: Header, kinds: dict[int, set[bytes]]) -> dict[int, Parts]:
    """Read sections of these kinds of some tiles, by their numbers, and skip the others.

    Raises:
        FormatError: a section that is read is damaged, or one is missing.
    """
    found: dict[int, Parts] = {number: {} for number in kinds}
    left, last = header.most_bytes + MOST_METADATA, False
    while not last:
        head = read_head(file, header.tiles > 1)
        last = head.last
        if head.kind in kinds.get(head.tile, ()) and head.kind in PARTS:
            add_part(found[head.tile], head, read_payload(file, head, left), header.tiles)
            left -= head.length
        else:
            file.seek(head.length, 1)
    for number, wanted in kinds.items():
        if len(wanted) == len(PARTS):
            container.check_tile(header, found[number])
        else:
            check_parts(found[number])
    return found
