"""Changes of files that know their structure, so that they get past checksums and lengths.

Enters: the bytes of a file, of npeg's own codec or of a dither codec, and a source of chance.
Leaves: other bytes, most of them a file whose checksums and lengths agree.
"""

import random
import struct
import zlib
from collections.abc import Callable

from npeg import container
from npeg.dither import container as dither_container

FIELDS = 16  # bytes of both headers before their checksum
KINDS = b"TEARiexpdckqQ"  # sections that there are, and two that there are not
SIDES = (1, 2, 63, 64, 65, 100, 128, 129, 180)

Section = tuple[bytes, bytes]  # type and payload
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
    head, sections = data[:FIELDS], (_sections if own else _tiles)(data)
    if rng.random() < 0.25:
        head = _other_head(head, rng, own)
    elif rng.random() < 0.1:
        head = change(head)[:FIELDS].ljust(FIELDS, b"\0")
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        sections = _other_sections(sections, rng, change)
    return join(head, sections, own)


def join(head: bytes, sections: list[Section], own: bool = True) -> bytes:
    """Return a file with right lengths and checksums, whatever is in it."""
    parts = [head, struct.pack("<I", zlib.crc32(head))]
    for kind, payload in sections:
        if own:
            parts.append(container.pack_section(kind, payload))
        else:
            length = struct.pack("<I", len(payload))
            parts += [length, struct.pack("<I", zlib.crc32(payload, zlib.crc32(length))), payload]
    return b"".join(parts)


def _sections(data: bytes) -> list[Section]:
    """Return the sections of a file as far as their lengths lead, unchecked."""
    found, at = [], container.HEADER_SIZE
    while at + 9 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 1)
        found.append((data[at : at + 1], data[at + 9 : at + 9 + length]))
        at += 9 + length
    return found


def _tiles(data: bytes) -> list[Section]:
    """Return the payloads of a dither file as far as their lengths lead, unchecked."""
    found, at = [], dither_container.HEADER_SIZE
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append((b"T", data[at + 8 : at + 8 + length]))
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


def _other_sections(sections: list[Section], rng: random.Random, change: Change) -> list[Section]:
    """Return sections of which one is changed, twice there, gone, elsewhere or of another type."""
    if not sections:
        return [(b"T", rng.randbytes(20))]
    changed, at = list(sections), rng.randrange(len(sections))
    kind, payload = changed[at]
    what = rng.random()
    if what < 0.7:
        changed[at] = kind, change(payload)
    elif what < 0.78:
        changed.insert(at, (kind, payload))
    elif what < 0.84:
        del changed[at]
    elif what < 0.9:
        changed.insert(rng.randrange(len(changed)), changed.pop(at))
    elif what < 0.97:
        changed[at] = KINDS[(place := rng.randrange(len(KINDS))) : place + 1], payload
    else:
        changed[at] = kind, b""
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
