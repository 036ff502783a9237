"""Changes of files that know their structure, so that they get past checksums and lengths.

Enters: the bytes of a file, of npeg's own codec or of a dither codec, and a source of chance.
Leaves: other bytes, most of them a file whose checksums and lengths agree.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

from npeg import container, sections
from npeg.dither import container as dither_container
from npeg.errors import FormatError

FIELDS = 16  # bytes of both headers before their checksum
KINDS = b"HLAMTERiexpdckqQ"  # sections that there are, and two that there are not
SIDES = (1, 2, 63, 64, 65, 100, 128, 129, 180)

Section = tuple[bytes, int, bytes]  # type, number of its tile, payload
Change = Callable[[bytes], bytes]


def mutate(data: bytes, rng: random.Random, change: Change) -> bytes:
    """Return a file with something changed.

    Args:
        data: of a file, or any bytes: these are changed as they are.
        rng: where chance comes from.
        change: what changes plain bytes: a payload's, mostly.
    """
    if len(data) < container.HEADER_SIZE or rng.random() < 0.1:
        return change(data)
    own = data[:4] != dither_container.MAGIC
    head, found = data[:FIELDS], (_sections if own else _tiles)(data)
    if rng.random() < 0.25:
        head = _other_head(head, rng, own)
    elif rng.random() < 0.1:
        head = change(head)[:FIELDS].ljust(FIELDS, b"\0")
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        found = _other_sections(found, rng, change)
    return join(head, found, own)


def join(head: bytes, found: list[Section], own: bool = True) -> bytes:
    """Return a file with right lengths and checksums, whatever is in it."""
    parts = [head, struct.pack("<I", zlib.crc32(head))]
    numbered = _has_tiles(head)
    for place, (kind, tile, payload) in enumerate(found, 1):
        if own:
            number = tile if numbered and kind in sections.PARTS else None
            parts.append(sections.pack_section(kind, payload, number, place == len(found)))
        else:
            length = struct.pack("<I", len(payload))
            parts += [length, struct.pack("<I", zlib.crc32(payload, zlib.crc32(length))), payload]
    return b"".join(parts)


def _has_tiles(head: bytes) -> bool:
    """Return whether a header is of a file of several tiles, whose sections are numbered."""
    sides = (int.from_bytes(head[at : at + 3], "little") for at in (8, 11))
    return max(sides) > container.TILE_UNIT * head[14]


def _sections(data: bytes) -> list[Section]:
    """Return the sections of a file as far as their lengths lead, unchecked."""
    file, found = io.BytesIO(data), []
    file.seek(container.HEADER_SIZE)
    with suppress(FormatError):
        while True:
            head = sections.read_head(file, _has_tiles(data))
            found.append((head.kind, head.tile, file.read(head.length)))
    return found


def _tiles(data: bytes) -> list[Section]:
    """Return the payloads of a dither file as far as their lengths lead, unchecked."""
    found, at = [], dither_container.HEADER_SIZE
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append((b"T", 0, data[at + 8 : at + 8 + length]))
        at += 8 + length
    return found


def _other_head(head: bytes, rng: random.Random, own: bool) -> bytes:
    """Return a header with one field of another legal or illegal value."""
    changed = bytearray(head)
    side = rng.choice((*SIDES, rng.randrange(1, 1 << 24)))
    field = rng.choice(("width", "height", "byte", "byte", "units"))
    if field == "width":
        changed[8:11] = side.to_bytes(3, "little")
    elif field == "height":
        changed[11:14] = side.to_bytes(3, "little")
    elif field == "units" and own:
        changed[14] = rng.choice((1, 2, 3, 16, 32))
    else:
        changed[rng.choice((5, 6, 7, 15))] = rng.choice((0, 1, 2, 7, 8, rng.randrange(256)))
    return bytes(changed)


def _other_sections(found: list[Section], rng: random.Random, change: Change) -> list[Section]:
    """Return sections of which one is changed, twice there, gone, elsewhere or of another type."""
    if not found:
        return [(b"T", 0, rng.randbytes(20))]
    changed, at = list(found), rng.randrange(len(found))
    kind, tile, payload = changed[at]
    what = rng.random()
    if what < 0.66:
        changed[at] = kind, tile, change(payload)
    elif what < 0.7:
        changed[at] = kind, rng.choice((0, 1, tile + 1, rng.randrange(1 << 28))), payload
    elif what < 0.78:
        changed.insert(at, (kind, tile, payload))
    elif what < 0.84:
        del changed[at]
    elif what < 0.9:
        changed.insert(rng.randrange(len(changed)), changed.pop(at))
    elif what < 0.97:
        changed[at] = KINDS[(place := rng.randrange(len(KINDS))) : place + 1], tile, payload
    else:
        changed[at] = kind, tile, b""
    return changed


def plain(rng: random.Random) -> Change:
    """Return what changes plain bytes at random: flips, cuts, repeats or replaces."""

    def change(data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(rng.choice((0, 1, 1, 2, 5, 30))):
            if damaged:
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        kind = rng.random()
        if kind < 0.15:
            return bytes(damaged[: rng.randint(0, len(damaged))])
        if kind < 0.25:
            return bytes(damaged + damaged)
        if kind < 0.35:
            return rng.randbytes(rng.randint(0, 400))
        return bytes(damaged)

    return change
