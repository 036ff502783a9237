"""The sections of a .npeg file: heads, payloads, CRC-32.  A transcription of SPEC.md, section 3.

Bytes enter or leave; this module knows no header, no pixels, and no networks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from .errors import FormatError, TruncatedError

HYPER, LOW, ALPHA, MIDDLE, TILE, EXACT, RESIDUAL = b"H", b"L", b"A", b"M", b"T", b"E", b"R"
PARTS = {HYPER: 0, LOW: 1, ALPHA: 2, MIDDLE: 3, TILE: 4, EXACT: 4, RESIDUAL: 5}
"""Sections of a tile and their order; it has one in place 4, others may be there."""
PIXELS = 4
METADATA = frozenset((b"i", b"e", b"x", b"p", b"d", b"c", b"k"))  # each at most once
NAME, NAME_BYTES = b"N", 8
"""The section behind the header that names a model of one's own, and the bytes of its payload."""
MAX_METADATA = 1 << 22  # bytes that one of these sections may have
MOST_METADATA = 1 << 23  # that all of them may have together
LAST = 0x80  # bit of the type of the section that ends the file
PIECE = 1 << 20  # bytes read at once
NUMBER_BYTES = 4  # of a length or a tile's number at most, seven bits each
MOST_BYTES = 1 << 7 * NUMBER_BYTES  # what a payload is less than
CRC_BYTES = 4
NAME_SIZE = 2 + CRC_BYTES + NAME_BYTES  # bytes of that section

Parts = dict[bytes, bytes]  # the payloads of a tile by their types


@dataclass(frozen=True)
class Head:
    """What a section says before its payload.

    Attributes:
        kind: its letter.
        length: of the payload, in bytes.
        tile: the number of its tile in raster order; 0 where it is of none.
        last: whether it ends the file.
        crc: CRC-32 of the bytes before it and the payload.
        start: the bytes before the CRC-32.
    """

    kind: bytes
    length: int
    tile: int
    last: bool
    crc: int
    start: bytes

    @property
    def name(self) -> str:
        """The section in a message, such as 'T'."""
        return repr(self.kind.decode("latin-1"))


def pack_section(kind: bytes, payload: bytes, tile: int | None = None, last: bool = False) -> bytes:
    """Return one section.

    Args:
        kind: its letter.
        payload: less than MOST_BYTES.
        tile: the number of its tile, in a file of several.
        last: whether it ends the file.
    """
    start = bytes([kind[0] | LAST * last]) + _pack_number(len(payload))
    start += b"" if tile is None else _pack_number(tile)
    return start + zlib.crc32(payload, zlib.crc32(start)).to_bytes(CRC_BYTES, "little") + payload


def read_head(file: Any, numbered: bool) -> Head:
    """Read the head of the next section of a file, and not a byte more.

    Args:
        file: where a section begins.
        numbered: whether sections of tiles say which tile they belong to.

    Raises:
        TruncatedError: the file ends before.
        FormatError: a number is not written as it should be, or the section is needed for the
            pixels and not known.
    """
    start = bytearray(_all(file, 1))
    kind, last = bytes([start[0] & ~LAST]), start[0] >= LAST
    if kind not in PARTS and not kind.islower():
        raise FormatError(f"section type {chr(kind[0])!r} is not known and needed for the pixels")
    if last and kind not in PARTS:
        raise FormatError(f"section {chr(kind[0])!r} ends the file, expected one of a tile")

    def number() -> int:
        value = 0
        for place in range(NUMBER_BYTES):
            start.extend(_all(file, 1))
            value |= (start[-1] & 127) << 7 * place
            if start[-1] < 128:
                break
        if start[-1] >= 128 or (place and not start[-1]):
            raise FormatError(f"section {chr(kind[0])!r} has a number of too many bytes")
        return value

    length = number()
    tile = number() if numbered and kind in PARTS else 0
    crc = int.from_bytes(_all(file, CRC_BYTES), "little")
    return Head(kind, length, tile, last, crc, bytes(start))


def read_payload(file: Any, head: Head, most: int) -> bytes:
    """Read and verify the payload of a section of a file.

    Args:
        file: behind the section's head.
        head: what `read_head` returned.
        most: bytes that the payload may have.

    Raises:
        TruncatedError: the file ends before.
        FormatError: it is damaged or longer.
    """
    if head.length > most:
        raise FormatError(f"section {head.name} has {head.length} bytes, more than the image needs")
    payload = _exactly(file, head.length)
    if len(payload) < head.length:
        found = f"section {head.name} has {len(payload)} of {head.length} bytes"
        raise TruncatedError(f"truncated: {found}")
    actual = zlib.crc32(payload, zlib.crc32(head.start))
    if actual != head.crc:
        found = f"section {head.name} is damaged: CRC-32 {actual:08x}"
        raise FormatError(f"{found}, written {head.crc:08x}")
    return payload


def read_name(file: Any) -> str:
    """Read the section that names a model; return the name, in hexadecimal digits.

    Raises:
        TruncatedError: the file ends before.
        FormatError: another section is there, or it is damaged.
    """
    section = _all(file, NAME_SIZE)
    name = section[-NAME_BYTES:]
    if section[:2] != NAME + bytes([NAME_BYTES]):
        found = f"section {chr(section[0] & ~LAST)!r} behind the header"
        raise FormatError(f"found {found}, expected the name of the model, {NAME_BYTES} bytes")
    if section != pack_section(NAME, name):
        raise FormatError(f"section {NAME.decode()!r} is damaged: its CRC-32 is another")
    return name.hex()


def by_tile(sections: list[tuple[Head, bytes]], count: int) -> dict[int, Parts]:
    """Return the sections of each of `count` tiles by its number."""
    tiles: dict[int, Parts] = {}
    for head, payload in sections:
        if head.kind in PARTS:
            add_part(tiles.setdefault(head.tile, {}), head, payload, count)
    return tiles


def add_part(parts: Parts, head: Head, payload: bytes, count: int) -> None:
    """Add a section to those of its tile, one of `count`, that came before.

    Raises:
        FormatError: there is no such tile, or the section does not come behind them.
    """
    if head.tile >= count:
        raise FormatError(f"section {head.name} of tile {head.tile}, there are {count}")
    if any(PARTS[kind] >= PARTS[head.kind] for kind in parts):
        before = ", ".join(sorted(kind.decode() for kind in parts))
        raise FormatError(f"section {head.name} of tile {head.tile} is behind {before}")
    parts[head.kind] = payload


def check_tiles(tiles: dict[int, Parts], count: int, alpha: bool) -> None:
    """Raise FormatError unless all tiles are there, each with what it needs."""
    there = sum(any(PARTS[kind] == PIXELS for kind in parts) for parts in tiles.values())
    if there != count:
        raise FormatError(f"truncated: {there} of {count} tiles are there")
    if any((ALPHA in parts) != alpha for parts in tiles.values()):
        found = sum(ALPHA in parts for parts in tiles.values())
        expected = count if alpha else 0
        raise FormatError(f"{found} tiles have an alpha section, expected {expected}")
    for parts in tiles.values():
        check_parts(parts)


def check_parts(parts: Parts) -> None:
    """Raise FormatError for sections of a tile that do not go together, all there or not."""
    if RESIDUAL in parts and TILE not in parts:
        raise FormatError("a residual is behind an exact tile, expected the networks' section")
    if EXACT in parts and parts.keys() & {HYPER, LOW, MIDDLE}:
        raise FormatError("an exact tile is behind latents, expected the networks' section")
    if HYPER not in parts and parts.keys() & {LOW, MIDDLE}:
        raise FormatError("latents of a tile have no hyper-latents before them")


def check_metadata(sections: list[tuple[Head, bytes]]) -> None:
    """Raise FormatError for metadata that is there twice or larger than it may be."""
    sizes: dict[bytes, int] = {}
    for head, payload in sections:
        if head.kind not in METADATA:
            continue
        if head.kind in sizes:
            raise FormatError(f"metadata section {head.name} is there twice")
        sizes[head.kind] = len(payload)
    if max(sizes.values(), default=0) > MAX_METADATA or sum(sizes.values()) > MOST_METADATA:
        raise FormatError(f"metadata has {sum(sizes.values())} bytes, more than it may have")


def size_bytes(parts: Parts) -> int:
    """Return how many bytes the payloads of a tile have."""
    return sum(map(len, parts.values()))


def _pack_number(value: int) -> bytes:
    """Return a number of seven bits a byte, the lowest first; all but the last have bit 7."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes(found) + bytes([value])


def _all(file: Any, size: int) -> bytes:
    data = _exactly(file, size)
    if len(data) < size:
        raise TruncatedError("truncated: the file ends before its last section")
    return data


def _exactly(file: Any, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end of the file, and no more memory than these."""
    parts = []
    while size and (part := file.read(min(size, PIECE))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
