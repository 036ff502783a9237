"""The header: 20 bytes that say what a file's picture is (SPEC.md, section 2)."""

import zlib
from dataclasses import dataclass

from refused import need

SIZE = 20
MOST_PIXELS = 2**32
MOST_BY_DEFAULT = 178_956_970
MODELS = {7: "seventh", 8: "eighth"}  # section 9


@dataclass(frozen=True)
class Header:
    """What the header says; sides are in pixels, levels in half steps of quality."""

    model: int
    level: int
    colours: int  # 0 grey, 1 RGB, 2 RGB whose channels are equal
    alpha: bool
    bits: int  # of a sample of the source
    width: int
    height: int
    tile_size: int

    @property
    def deep(self) -> bool:
        """Whether pixels have 16 bits a sample."""
        return self.bits > 8

    @property
    def planes(self) -> int:
        """How many planes of colour are coded: 1 or 3."""
        return 3 if self.colours == 1 else 1

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of each tile, in raster order."""
        size = self.tile_size
        return [
            (top, left, min(top + size, self.height), min(left + size, self.width))
            for top in range(0, self.height, size)
            for left in range(0, self.width, size)
        ]


def read(data: bytes, most_pixels: int = MOST_BY_DEFAULT) -> Header:
    """Return the header of a file's bytes; refuse what is illegal in it."""
    need(data[:4] == b"NPEG"[: len(data)] and len(data) > 0, "not a .npeg file")
    need(len(data) >= SIZE, "cut in the header")
    need(data[4] == 1, f"version {data[4]} is unknown")
    need(zlib.crc32(data[:16]) == int.from_bytes(data[16:20], "little"), "damaged header")
    model, level, layout = data[5:8]
    channels, depth = layout & 15, layout >> 4
    width, height = (int.from_bytes(data[at : at + 3], "little") for at in (8, 11))
    need(level <= 200 and data[15] <= 201, "no such level")
    need(channels <= 5 and depth <= 8, "no such layout of pixels")
    need(width > 0 and height > 0, "no pixels")
    need(1 <= data[14] <= 32, "no such size of tiles")
    need(width * height <= min(most_pixels, MOST_PIXELS), f"{width}x{height} pixels are too many")
    level = data[15] - 1 if data[15] else level
    return Header(
        model, level, channels % 3, channels >= 3, 8 + depth, width, height, 64 * data[14]
    )
