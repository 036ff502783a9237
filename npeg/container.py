"""The .npeg file: header and sections.  A transcription of SPEC.md, section 2.

Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
"""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

from .errors import FormatError, LimitError, TruncatedError
from .sections import (
    ALPHA,
    EXACT,
    HYPER,
    MAX_METADATA,
    METADATA,
    MOST_BYTES,
    NAME,
    NAME_SIZE,
    PARTS,
    TILE,
    Head,
    Parts,
    by_tile,
    check_metadata,
    check_parts,
    check_tiles,
    pack_section,
    read_head,
    read_name,
    read_payload,
)

MAGIC = b"NPEG"
VERSION = 1
LEVELS = 201  # the quality byte: 0..200, in half steps of the user's 0..100
TILE_UNIT = 64  # the hyper-latents' stride, in pixels
MAX_TILE_UNITS = 32  # tiles of at most 2048x2048 pixels bound what one payload can ask for
MAX_SIDE = (1 << 24) - 1
MAX_PIXELS = 1 << 32  # of the format; `limits` has what a decoder takes by default
DEPTHS = range(8, 17)  # bits that a sample of the source may have; the code is what is above 8
OWN_MODEL = 0  # the model id of files that name one of their own
LAYOUTS = {  # code -> channels of colour, whether these are equal everywhere, whether alpha is
    0: (1, False, False),
    1: (3, False, False),
    2: (3, True, False),
    3: (1, False, True),
    4: (3, False, True),
    5: (3, True, True),
}

# magic, version, model, level, layout, width and height of 3 bytes, tile units, networks' level + 1
_FIELDS = struct.Struct("<4sBBBB3s3sBB")
_CRC = struct.Struct("<I")
HEADER_SIZE = _FIELDS.size + _CRC.size


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
    own_model: str = ""  # 16 hexadecimal digits where the model id is OWN_MODEL

    @property
    def model(self) -> int | str:
        """The id of a shipped model, or the name of another."""
        return self.own_model or self.model_id

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


def read_sections(data: bytes) -> tuple[Header, list[tuple[bytes, bytes]]]:
    """Parse a whole file into its header and its (type, payload) sections.

    A section of a type this version does not know is skipped when its letter is lower case
    (it is not needed for the pixels), and refused when it is upper case.

    Raises:
        FormatError: truncated, damaged, a needed section is unknown, or tiles are missing.
    """
    header, found = _read(data)
    named = [(NAME, bytes.fromhex(header.own_model))] if header.own_model else []
    return header, named + [(head.kind, payload) for head, payload in found]


def read_tiles(data: bytes) -> tuple[Header, list[Parts]]:
    """Return the header and the payloads of each tile in raster order.

    Raises:
        FormatError: as `read_sections`.
    """
    header, found = _read(data)
    tiles = by_tile(found, header.tiles)
    return header, [tiles[number] for number in range(header.tiles)]


def read_arrived(data: bytes) -> tuple[Header, dict[int, Parts], bool]:
    """Return what has arrived of a file that may be cut.

    Returns:
        The header; the payloads of each tile of which there are any, by its number; whether the
        file is whole.

    Raises:
        FormatError: damaged, a needed section is unknown, or even the header is cut.
    """
    header, found = _read(data, partial=True)
    tiles = by_tile(found, header.tiles)
    for parts in tiles.values():
        check_parts(parts)
    whole = bool(found) and found[-1][0].last
    if whole:
        check_tiles(tiles, header.tiles, header.alpha)
    return header, tiles, whole


def _read(data: bytes, partial: bool = False) -> tuple[Header, list[tuple[Head, bytes]]]:
    """Return the header and the verified sections of a file, or what has arrived of them."""
    header = read_header(data)
    file = io.BytesIO(data)
    found: list[tuple[Head, bytes]] = []
    file.seek(HEADER_SIZE)
    header = with_name(header, file)
    try:
        while not found or not found[-1][0].last:
            head = read_head(file, header.tiles > 1)
            found.append((head, read_payload(file, head, MOST_BYTES)))
    except TruncatedError:
        if not partial:
            raise
    if file.read(1) and found[-1][0].last:
        raise FormatError("bytes follow the section that ends the file")
    check_metadata(found)
    if not partial:
        check_tiles(by_tile(found, header.tiles), header.tiles, header.alpha)
    return header, found


def with_name(header: Header, file: Any) -> Header:
    """Return a header with the name of its model, read behind it in a file that has one.

    Raises:
        TruncatedError: the file ends before.
        FormatError: something else is there, or it is damaged.
    """
    return replace(header, own_model=read_name(file)) if header.model_id == OWN_MODEL else header


def start(header: Header) -> int:
    """Return where the sections of a file begin, behind the header and the name of its model."""
    return HEADER_SIZE + (NAME_SIZE if header.model_id == OWN_MODEL else 0)


def read_leading(file: Any) -> tuple[Header, dict[bytes, bytes]]:
    """Read the header of an open file and the metadata before its first tile, no pixels.

    Damaged sections are left out: whoever reads the whole file refuses it.

    Raises:
        FormatError: the header is not usable.
        LimitError: larger than the format allows.
    """
    header, found = read_header(file.read(HEADER_SIZE)), {}
    try:
        header = with_name(header, file)
        while (head := read_head(file, header.tiles > 1)).kind not in PARTS:
            if head.kind not in METADATA:
                file.seek(head.length, 1)
            elif head.kind in found:
                break
            else:
                found[head.kind] = read_payload(file, head, MAX_METADATA)
    except FormatError:
        pass
    return header, found


def check_tile(header: Header, parts: Parts) -> None:
    """Raise FormatError unless a tile has what it needs, and nothing else."""
    check_tiles({0: parts}, 1, header.alpha)


def write(header: Header, tiles: list[Parts]) -> bytes:
    """Return a whole file: of all tiles what comes first, then of all tiles what comes next."""
    ranked = sorted(
        (_rank(kind, parts), number, kind) for number, parts in enumerate(tiles) for kind in parts
    )
    written = [pack_header(header)]
    if header.own_model:
        written.append(pack_section(NAME, bytes.fromhex(header.own_model)))
    for place, (_, number, kind) in enumerate(ranked, 1):
        tile = number if header.tiles > 1 else None
        last = place == len(ranked)
        written.append(pack_section(kind, tiles[number][kind], tile, last))
    return b"".join(written)


def _rank(kind: bytes, parts: Parts) -> float:
    """Return where in a file a section of a tile belongs: early what is a picture alone."""
    early = kind == TILE and HYPER not in parts
    return PARTS[ALPHA] + 0.5 if early else PARTS[kind]


def info(data: bytes) -> Info:
    """Verify a whole file's structure and CRCs and describe it, without decoding pixels."""
    header, sections = read_sections(data)
    described = tuple(Section(kind.decode("latin-1"), len(p)) for kind, p in sections)
    return Info(header, described, len(data))
