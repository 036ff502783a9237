"""The file of the dither codecs: header, tiles, CRC-32.  A transcription of docs/spec-dither.md.

Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
"""

import struct
import zlib
from dataclasses import dataclass

from ..container import Section
from ..errors import FormatError, LimitError

MAGIC = b"NPGD"
VERSION = 1
CHANNELS = {0: 1, 1: 3}
TILE = 512  # positions of the code planes: a tile has at most so many rows and columns

# magic, version, variant, planes, layout, width and height of 3 bytes, 2 reserved
_FIELDS = struct.Struct("<4sBBBB3s3sH")
_CRC = struct.Struct("<I")
_TILE = struct.Struct("<II")  # length, CRC-32 of length and payload
HEADER_SIZE = _FIELDS.size + _CRC.size


@dataclass(frozen=True)
class Variant:
    """One of the codecs: its name, what a file may hold, and the planes that qualities keep."""

    name: str
    stride: int  # pixels a side of one position of the code
    planes: int
    fewest_planes: int
    max_pixels: int

    def planes_of(self, quality: float) -> int:
        """Return how many planes a quality of 0..100 keeps: a geometric series."""
        ratio = self.planes / self.fewest_planes
        return round(self.fewest_planes * ratio ** (quality / 100))


VARIANTS = {  # id in the file -> what it means; never renumbered
    1: Variant("dither", 1, 128, 128, 1 << 24),
    2: Variant("dither8", 8, 96, 8, 1 << 26),
}


@dataclass(frozen=True)
class Header:
    """What every file says first."""

    variant_id: int
    planes: int
    width: int
    height: int
    channels: int = 3
    version: int = VERSION

    @property
    def variant(self) -> Variant:
        """The codec that made the file."""
        return VARIANTS[self.variant_id]

    @property
    def quality(self) -> float:
        """The highest quality, 0..100 in whole steps, that keeps no more planes."""
        return max(q for q in range(101) if self.variant.planes_of(q) <= self.planes)

    @property
    def most_bytes(self) -> int:
        """What the payloads of all tiles may have: twice the bits of the planes."""
        rows, columns = self.code_shape
        return self.planes * rows * columns // 4

    @property
    def code_shape(self) -> tuple[int, int]:
        """Rows and columns of a code plane."""
        return -(-self.height // self.variant.stride), -(-self.width // self.variant.stride)

    @property
    def tiles(self) -> int:
        """How many tiles cover the planes, in raster order."""
        rows, columns = self.code_shape
        return -(-rows // TILE) * -(-columns // TILE)


@dataclass(frozen=True)
class Info:
    """A verified file: its header, the sizes of its tiles and its own."""

    header: Header
    sections: tuple[Section, ...]
    size_bytes: int
    metadata: tuple[str, ...] = ()  # of which these files have none

    @property
    def rate_bpp(self) -> float:
        """Bits of the whole file a pixel."""
        return 8 * self.size_bytes / (self.header.width * self.header.height)


def check_size(variant: Variant, width: int, height: int) -> None:
    """Raise LimitError unless the variant can hold an image of this size."""
    if width * height > variant.max_pixels:
        most = variant.max_pixels >> 20
        raise LimitError(
            f"image is {width}x{height} pixels, {variant.name} takes at most {most} Mpx"
        )


def pack_header(header: Header) -> bytes:
    """Return the HEADER_SIZE bytes of a header."""
    fields = _FIELDS.pack(
        MAGIC,
        header.version,
        header.variant_id,
        header.planes,
        {v: k for k, v in CHANNELS.items()}[header.channels],
        header.width.to_bytes(3, "little"),
        header.height.to_bytes(3, "little"),
        0,
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def read_header(data: bytes) -> Header:
    """Parse and check the header; later bytes are not looked at.

    Raises:
        FormatError: not such a file, a newer version, damaged or forged.
        LimitError: larger than a decoder may allocate.
    """
    if data[:4] != MAGIC:
        raise FormatError(f"not a dither file: starts with {data[:4].hex() or 'nothing'}")
    if len(data) >= 5 and data[4] != VERSION:
        raise FormatError(f"dither version {data[4]}, this decoder reads version {VERSION}")
    if len(data) < HEADER_SIZE:
        raise FormatError(f"truncated: {len(data)} bytes, the header alone has {HEADER_SIZE}")
    fields = data[: _FIELDS.size]
    _, version, variant_id, planes, layout, *sides, reserved = _FIELDS.unpack(fields)
    width, height = (int.from_bytes(side, "little") for side in sides)
    (crc,) = _CRC.unpack_from(data, _FIELDS.size)
    if crc != zlib.crc32(fields):
        raise FormatError(f"header is damaged: CRC-32 {zlib.crc32(fields):08x}, written {crc:08x}")
    if variant_id not in VARIANTS:
        raise FormatError(f"file needs variant {variant_id}, this npeg has 1 and 2")
    variant = VARIANTS[variant_id]
    if not variant.fewest_planes <= planes <= variant.planes:
        raise FormatError(f"found {planes} planes, {variant.name} has at most {variant.planes}")
    if layout not in CHANNELS or reserved:
        raise FormatError(f"layout {layout:02x} and reserved bytes {reserved:04x} are not defined")
    if not (width and height):
        raise FormatError(f"image of {width}x{height} pixels")
    check_size(variant, width, height)
    return Header(variant_id, planes, width, height, CHANNELS[layout], version)


def write(header: Header, payloads: list[bytes]) -> bytes:
    """Return a whole file."""
    parts = [pack_header(header)]
    for payload in payloads:
        length = _CRC.pack(len(payload))
        parts += [length, _CRC.pack(zlib.crc32(payload, zlib.crc32(length))), payload]
    return b"".join(parts)


def read_tiles(data: bytes) -> tuple[Header, list[bytes]]:
    """Return the header and the payload of each tile in raster order.

    Raises:
        FormatError: truncated, damaged, or followed by something.
        LimitError: larger than a decoder may allocate.
    """
    header = read_header(data)
    payloads, at = [], HEADER_SIZE
    for number in range(header.tiles):
        if len(data) - at < _TILE.size:
            raise FormatError(f"truncated: {number} of {header.tiles} tiles are there")
        length, crc = _TILE.unpack_from(data, at)
        payload = data[at + _TILE.size : at + _TILE.size + length]
        if len(payload) < length:
            raise FormatError(f"truncated: tile {number} has {len(payload)} of {length} bytes")
        actual = zlib.crc32(payload, zlib.crc32(data[at : at + 4]))
        if actual != crc:
            raise FormatError(f"tile {number} is damaged: CRC-32 {actual:08x}, written {crc:08x}")
        payloads.append(payload)
        at += _TILE.size + length
    if at != len(data):
        raise FormatError(f"{len(data) - at} bytes follow the last tile, which ends a file")
    return header, payloads


def info(data: bytes) -> Info:
    """Verify a whole file's structure and CRCs and describe it, without decoding pixels."""
    header, payloads = read_tiles(data)
    return Info(header, tuple(Section("T", len(p)) for p in payloads), len(data))
