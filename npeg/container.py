"""The .npeg file: header, sections, CRC-32.  A transcription of SPEC.md, sections 2 and 3.

Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .errors import FormatError, LimitError

MAGIC = b"NPEG"
VERSION = 1
LEVELS = 201  # the quality byte: 0..200, in half steps of the user's 0..100
TILE_UNIT = 64  # the hyper-latents' stride, in pixels
MAX_TILE_UNITS = 32  # tiles of at most 2048x2048 pixels bound what one payload can ask for
MAX_SIDE = (1 << 24) - 1
MAX_PIXELS = 1 << 32  # of the format; `limits` has what a decoder takes by default
DEPTHS = range(8, 17)  # bits that a sample of the source may have; the code is what is above 8
LAYOUTS = {  # code -> channels of colour, whether these are equal everywhere, whether alpha is
    0: (1, False, False),
    1: (3, False, False),
    2: (3, True, False),
    3: (1, False, True),
    4: (3, False, True),
    5: (3, True, True),
}
METADATA = frozenset((b"i", b"e", b"x", b"p", b"d", b"c", b"k"))  # each at most once
MAX_METADATA = 1 << 22  # bytes that one of these sections may have
MOST_METADATA = 1 << 23  # that all of them may have together

# magic, version, model, level, layout, width and height of 3 bytes, tile units, networks' level + 1
_FIELDS = struct.Struct("<4sBBBB3s3sBB")
_CRC = struct.Struct("<I")
_SECTION = struct.Struct("<cII")  # type, length, CRC-32 of type, length and payload
HEADER_SIZE = _FIELDS.size + _CRC.size
TILE, EXACT, ALPHA, RESIDUAL = b"T", b"E", b"A", b"R"
PARTS = {ALPHA: 0, TILE: 1, EXACT: 1, RESIDUAL: 2}
"""Sections of a tile and their places in it; it has one in place 1, others may be there."""
PIXELS = 1
PIECE = 1 << 20  # bytes read at once

Parts = dict[bytes, bytes]  # the payloads of a tile by their types


@dataclass(frozen=True)
class Header:
    """What every .npeg file says first."""

    model_id: int
    level: int
    width: int
    height: int
    channels: int = 3
    bit_depth: int = 8
    tile_size: int = 1024
    version: int = VERSION
    neutral: bool = False  # of 3 channels that are equal everywhere
    alpha: bool = False  # beside the channels
    networks: int | None = None  # the networks' level where it is not the file's

    @property
    def networks_level(self) -> int:
        """The level of the networks, 0..200."""
        return self.level if self.networks is None else self.networks

    @property
    def planes(self) -> int:
        """How many channels are decoded: one where all are equal."""
        return 1 if self.neutral else self.channels

    @property
    def deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.bit_depth > DEPTHS[0]

    @property
    def quality(self) -> float:
        """The user's quality, 0..100."""
        return self.level / 2

    @property
    def tiles(self) -> int:
        """How many tiles cover the image, in raster order."""
        return -(-self.width // self.tile_size) * -(-self.height // self.tile_size)

    @property
    def most_bytes(self) -> int:
        """What the payloads of all tiles may have: twice the bytes of the pixels."""
        return 2 * self.width * self.height * (self.channels + self.alpha) * (1 + self.deep)


@dataclass(frozen=True)
class Section:
    """A section's type letter and the size of its payload in bytes."""

    type: str
    size_bytes: int


@dataclass(frozen=True)
class Info:
    """A verified file: its header, its sections, its size, and names of its metadata."""

    header: Header
    sections: tuple[Section, ...]
    size_bytes: int
    metadata: tuple[str, ...] = ()

    @property
    def exact_tiles(self) -> int:
        """How many tiles have every pixel as it was."""
        return sum(section.type == EXACT.decode() for section in self.sections)

    @property
    def lossless(self) -> bool:
        """Whether all tiles are exact."""
        return self.exact_tiles == self.header.tiles

    @property
    def rate_bpp(self) -> float:
        """Bits of the whole file a pixel."""
        return 8 * self.size_bytes / (self.header.width * self.header.height)


def check_size(width: int, height: int) -> None:
    """Raise LimitError unless the format can hold an image of this size."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        most = f"at most {MAX_PIXELS} of them and sides of {MAX_SIDE}"
        raise LimitError(f"image is {width}x{height} pixels, {most} fit into a file")


def pack_header(header: Header) -> bytes:
    """Return the HEADER_SIZE bytes of a header."""
    codes = {channels: code for code, channels in LAYOUTS.items()}
    layout = codes[header.channels, header.neutral, header.alpha]
    depth = DEPTHS.index(header.bit_depth)
    fields = _FIELDS.pack(
        MAGIC,
        header.version,
        header.model_id,
        header.level,
        layout | depth << 4,
        header.width.to_bytes(3, "little"),
        header.height.to_bytes(3, "little"),
        header.tile_size // TILE_UNIT,
        0 if header.networks is None else header.networks + 1,
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def read_header(data: bytes) -> Header:
    """Parse and check the header; later bytes are not looked at.

    Args:
        data: at least the first HEADER_SIZE bytes of a file.

    Raises:
        FormatError: not an NPEG file, a newer version, damaged or forged.
        LimitError: larger than the format allows.
    """
    if data[:4] != MAGIC:
        raise FormatError(f"not an NPEG file: starts with {data[:4].hex() or 'nothing'}")
    if len(data) >= 5 and data[4] != VERSION:
        raise FormatError(f"NPEG version {data[4]}, this decoder reads version {VERSION}")
    if len(data) < HEADER_SIZE:
        raise FormatError(f"truncated: {len(data)} bytes, the header alone has {HEADER_SIZE}")
    fields = data[: _FIELDS.size]
    _, version, model_id, level, layout, *sides, units, networks = _FIELDS.unpack(fields)
    width, height = (int.from_bytes(side, "little") for side in sides)
    (crc,) = _CRC.unpack_from(data, _FIELDS.size)
    if crc != zlib.crc32(fields):
        raise FormatError(f"header is damaged: CRC-32 {zlib.crc32(fields):08x}, written {crc:08x}")
    if level >= LEVELS:
        raise FormatError(f"quality byte is {level}, at most {LEVELS - 1} is defined")
    if layout & 15 not in LAYOUTS or layout >> 4 >= len(DEPTHS) or networks > LEVELS:
        raise FormatError(f"layout {layout:02x} and byte 15 {networks:02x} are not defined")
    if not (width and height and 1 <= units <= MAX_TILE_UNITS):
        raise FormatError(f"image of {width}x{height} pixels in tiles of {units * TILE_UNIT}")
    check_size(width, height)
    channels, neutral, alpha = LAYOUTS[layout & 15]
    return Header(
        model_id=model_id,
        level=level,
        width=width,
        height=height,
        channels=channels,
        bit_depth=DEPTHS[layout >> 4],
        tile_size=units * TILE_UNIT,
        version=version,
        neutral=neutral,
        alpha=alpha,
        networks=networks - 1 if networks else None,
    )


def pack_section(kind: bytes, payload: bytes) -> bytes:
    """Return one section: type, length, CRC-32, payload."""
    head = kind + _CRC.pack(len(payload))
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def _sections(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, payload) of each section after the header, verified."""
    at = HEADER_SIZE
    while at < len(data):
        if len(data) - at < _SECTION.size:
            raise FormatError(f"truncated: {len(data) - at} bytes at {at}, a section has 9 or more")
        kind, length, crc = _SECTION.unpack_from(data, at)
        payload = data[at + _SECTION.size : at + _SECTION.size + length]
        if len(payload) < length:
            raise FormatError(f"truncated: section at {at} has {len(payload)} of {length} bytes")
        actual = zlib.crc32(payload, zlib.crc32(data[at : at + 5]))
        if actual != crc:
            raise FormatError(f"section at {at} is damaged: CRC-32 {actual:08x}, written {crc:08x}")
        yield kind, payload
        at += _SECTION.size + length


def read_sections(data: bytes) -> tuple[Header, list[tuple[bytes, bytes]]]:
    """Parse a whole file into its header and its (type, payload) sections.

    A section of a type this version does not know is skipped when its letter is lower case
    (it is not needed for the pixels), and refused when it is upper case.

    Raises:
        FormatError: truncated, damaged, a needed section is unknown, or tiles are missing.
    """
    header = read_header(data)
    sections = list(_sections(data))
    for kind, _ in sections:
        _check_kind(kind)
    _check_metadata(sections)
    _check_tiles(header, _by_tile(sections))
    if sections[-1][0] not in PARTS:
        raise FormatError("sections follow the last tile, which ends a file")
    return header, sections


def _check_kind(kind: bytes) -> None:
    if kind not in PARTS and not kind.islower():
        raise FormatError(f"section type {chr(kind[0])!r} is not known and needed for the pixels")


def _by_tile(sections: list[tuple[bytes, bytes]]) -> list[Parts]:
    """Return the sections of each tile: one that does not come later in a tile begins the next."""
    tiles: list[Parts] = []
    before = len(PARTS)
    for kind, payload in sections:
        if kind in PARTS:
            if PARTS[kind] <= before:
                tiles.append({})
            tiles[-1][kind] = payload
            before = PARTS[kind]
    return tiles


def _check_tiles(header: Header, tiles: list[Parts]) -> None:
    """Raise FormatError unless all tiles are there, each with what it needs."""
    count = sum(any(PARTS[kind] == PIXELS for kind in parts) for parts in tiles)
    if count != header.tiles:
        raise FormatError(f"truncated: {count} of {header.tiles} tiles are there")
    if len(tiles) != count or any((ALPHA in parts) != header.alpha for parts in tiles):
        found = sum(ALPHA in parts for parts in tiles)
        expected = header.tiles if header.alpha else 0
        raise FormatError(f"{found} tiles have an alpha section, expected {expected}")
    if any(RESIDUAL in parts and TILE not in parts for parts in tiles):
        raise FormatError("a residual is behind an exact tile, expected the networks' section")


def _check_metadata(sections: list[tuple[bytes, bytes]]) -> None:
    """Raise FormatError for metadata that is there twice or larger than it may be."""
    sizes: dict[bytes, int] = {}
    for kind, payload in sections:
        if kind not in METADATA:
            continue
        if kind in sizes:
            raise FormatError(f"metadata section {chr(kind[0])!r} is there twice")
        sizes[kind] = len(payload)
    if max(sizes.values(), default=0) > MAX_METADATA or sum(sizes.values()) > MOST_METADATA:
        raise FormatError(f"metadata has {sum(sizes.values())} bytes, more than it may have")


def read_leading(file: Any) -> tuple[Header, dict[bytes, bytes]]:
    """Read the header of an open file and the metadata before its first tile, no pixels.

    Damaged sections are left out: whoever reads the whole file refuses it.

    Raises:
        FormatError: the header is not usable.
        LimitError: larger than the format allows.
    """
    header, found = read_header(file.read(HEADER_SIZE)), {}
    while len(head := file.read(_SECTION.size)) == _SECTION.size:
        kind, length, crc = _SECTION.unpack(head)
        if kind.islower() and kind not in METADATA:
            file.seek(length, 1)
            continue
        if kind not in METADATA or kind in found or length > MAX_METADATA:
            break
        payload = file.read(length)
        if crc != zlib.crc32(payload, zlib.crc32(head[:5])):
            break
        found[kind] = payload
    return header, found


def read_section_head(file: Any) -> tuple[bytes, int, int] | None:
    """Read the type, the length and the CRC-32 of the next section of a file; None: there is none.

    Raises:
        FormatError: cut, or a section that is needed for the pixels and not known.
    """
    head = _exactly(file, _SECTION.size)
    if not head:
        return None
    if len(head) < _SECTION.size:
        raise FormatError(f"truncated: {len(head)} bytes, a section has {_SECTION.size} or more")
    kind, length, crc = _SECTION.unpack(head)
    _check_kind(kind)
    return kind, length, crc


def read_payload(file: Any, section: tuple[bytes, int, int], most: int) -> bytes:
    """Read and verify the payload of a section of a file.

    Args:
        file: behind the section's head.
        section: what `read_section_head` returned.
        most: bytes that the payload may have.

    Raises:
        FormatError: cut, damaged or longer.
    """
    kind, length, crc = section
    if length > most:
        raise FormatError(f"section {chr(kind[0])!r} has {length} bytes, more than the image needs")
    payload = _exactly(file, length)
    if len(payload) < length:
        raise FormatError(f"truncated: section has {len(payload)} of {length} bytes")
    actual = zlib.crc32(payload, zlib.crc32(kind + _CRC.pack(length)))
    if actual != crc:
        raise FormatError(f"a section is damaged: CRC-32 {actual:08x}, written {crc:08x}")
    return payload


def _exactly(file: Any, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end of the file, and no more memory than these."""
    parts = []
    while size and (part := file.read(min(size, PIECE))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def check_tile(header: Header, parts: Parts) -> None:
    """Raise FormatError unless a tile has what it needs, and nothing else."""
    _check_tiles(replace(header, width=1, height=1), [parts])


def read_tiles(data: bytes) -> tuple[Header, list[Parts]]:
    """Return the header and the payloads of each tile in raster order."""
    header, sections = read_sections(data)
    return header, _by_tile(sections)


def write(header: Header, tiles: list[Parts]) -> bytes:
    """Return a whole file."""
    sections = [
        pack_section(kind, parts[kind])
        for parts in tiles
        for kind in sorted(parts, key=PARTS.__getitem__)
    ]
    return pack_header(header) + b"".join(sections)


def info(data: bytes) -> Info:
    """Verify a whole file's structure and CRCs and describe it, without decoding pixels."""
    header, sections = read_sections(data)
    described = tuple(Section(kind.decode("latin-1"), len(p)) for kind, p in sections)
    return Info(header, described, len(data))
