"""Sections: what lies behind the header, tile by tile (SPEC.md, sections 3 and 4)."""

import zlib
from dataclasses import dataclass

from header import SIZE, Header
from refused import need

PLACES = {"H": 0, "L": 1, "A": 2, "M": 3, "T": 4, "E": 4, "R": 5}
METADATA = "iexpdck"
MOST_METADATA, MOST_OF_ALL = 2**22, 2**23
Parts = dict[str, bytes]  # what a tile has: payloads by type


@dataclass(frozen=True)
class Section:
    """One section: its type, whether it is the last, its tile, its payload."""

    kind: str
    last: bool
    tile: int
    payload: bytes


def read(data: bytes, header: Header) -> list[Parts]:
    """Return the parts of each tile; refuse a file whose sections are not as they must be."""
    tiles: list[Parts] = [{} for _ in range(count(header))]
    metadata: dict[str, int] = {}
    _, at = own_model(data, header)
    last = False
    while not last:
        section, at = section_at(data, at, len(tiles) > 1)
        last = section.last
        if section.kind in PLACES:
            add(tiles, section)
        else:
            pass_over(section, metadata)
    need(at == len(data), "there is more behind the last section")
    for parts in tiles:
        check(parts, header.alpha)
    return tiles


def own_model(data: bytes, header: Header) -> tuple[bytes, int]:
    """Return the name of a model without an id, if the header says so, and the byte behind it."""
    if header.model != 0:
        return b"", SIZE
    section, end = section_at(data, SIZE, False)
    need(section.kind == "N" and not section.last, "the name of the model is missing")
    need(len(section.payload) == 8, "the name of a model has 8 bytes")
    return section.payload, end


def count(header: Header) -> int:
    """Return how many tiles a picture has, without a list of them."""
    return -(-header.height // header.tile_size) * -(-header.width // header.tile_size)


def section_at(data: bytes, start: int, many: bool) -> tuple[Section, int]:
    """Return the section that starts at a byte, and the byte behind it."""
    need(start < len(data), "cut: its last section is missing")
    kind = chr(data[start] & 127)
    length, at = number_at(data, start + 1)
    tile = 0
    if many and not kind.islower():
        tile, at = number_at(data, at)
    payload = at + 4
    end = payload + length
    need(end <= len(data), "cut in a section")
    found = zlib.crc32(data[payload:end], zlib.crc32(data[start:at]))
    need(found == int.from_bytes(data[at:payload], "little"), "damaged section")
    return Section(kind, data[start] >= 128, tile, data[payload:end]), end


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to four bytes, seven bits each, and the byte behind it."""
    value = 0
    for i in range(4):
        need(at + i < len(data), "cut in the head of a section")
        byte = data[at + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            need(byte > 0 or i == 0, "a number is longer than it must be")
            return value, at + i + 1
    need(False, "a number is too long")
    raise AssertionError


def add(tiles: list[Parts], section: Section) -> None:
    """Give a section to its tile; refuse it if it comes too late or twice."""
    need(section.tile < len(tiles), "a section of a tile that is not there")
    parts = tiles[section.tile]
    latest = max((PLACES[kind] for kind in parts), default=-1)
    need(latest < PLACES[section.kind], f"section {section.kind} is out of place")
    parts[section.kind] = section.payload


def pass_over(section: Section, metadata: dict[str, int]) -> None:
    """Refuse a section that is needed and unknown, and metadata twice or too large."""
    kind = section.kind
    need("a" <= kind <= "z", f"unknown section {kind!r}")
    need(not section.last, "the last section is not one of a tile")
    if kind in METADATA:
        need(kind not in metadata, f"metadata {kind} is there twice")
        metadata[kind] = len(section.payload)
        need(metadata[kind] <= MOST_METADATA, "too much metadata")
        need(sum(metadata.values()) <= MOST_OF_ALL, "too much metadata")


def check(parts: Parts, alpha: bool) -> None:
    """Refuse a tile whose sections do not go together."""
    networks = "T" in parts
    need(networks or "E" in parts, "the pixels of a tile are missing")
    need(("A" in parts) == alpha, "alpha is missing, or there without need")
    need(networks or not parts.keys() & set("HLMR"), "an exact tile has layers or a residual")
    need("H" in parts or not parts.keys() & set("LM"), "layers without hyper-latents")
    if networks and not parts["T"] and "H" not in parts:
        need("R" in parts, "a tile without latents has no residual")
