"""EXIF as bytes: its orientation is read and reset, its thumbnail dropped, the rest untouched.

Enters or leaves: a TIFF structure from its byte order on (TIFF 6.0, section 2). Knows no Pillow.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

PREFIX = b"Exif\0\0"  # before the TIFF structure in JPEG files
ORIENTATION = 0x0112
THUMBNAIL = (0x0201, 0x0202)  # tags of its offset and its length
SHORT, LONG = 3, 4  # types of values
MAX_ENTRIES = 1 << 12
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[2-8]")


class Entry(NamedTuple):
    """A field of a folder: its tag, and the number in it where it is one."""

    tag: int
    kind: int
    at: int  # where its value is
    value: int


class Folder(NamedTuple):
    """A folder (IFD) of a TIFF structure: its fields, and where the next one is named."""

    entries: list[Entry]
    end: int  # where the offset of the next folder is
    next: int


def orientation(exif: bytes) -> int:
    """Return the orientation, 1..8; 1 where EXIF is damaged or says none."""
    try:
        folder = _folder(exif, _first(exif))
    except (ValueError, struct.error):
        return 1
    found = next((e.value for e in folder.entries if e.tag == ORIENTATION), 1)
    return found if 1 <= found <= 8 else 1


def cleaned(exif: bytes) -> bytes:
    """Return EXIF for upright pixels of another file: orientation 1, and no thumbnail.

    Args:
        exif: with or without PREFIX.

    Returns:
        Without PREFIX; empty if the orientation is all that was there.

    Raises:
        ValueError: damaged.
    """
    data = bytearray(exif.removeprefix(PREFIX))
    try:
        order = _order(data)
        folder = _folder(data, _first(data))
        for entry in folder.entries:
            if entry.tag == ORIENTATION:
                packed = struct.pack(order + ("H" if entry.kind == SHORT else "I"), 1)
                data[entry.at : entry.at + len(packed)] = packed
        if folder.next:
            data = _without_thumbnail(data, folder)
    except struct.error as error:
        raise ValueError("it ends too early") from error
    return b"" if {e.tag for e in folder.entries} <= {ORIENTATION} else bytes(data)


def upright_xmp(xmp: bytes) -> bytes:
    """Return an XMP packet whose orientation, if it has one, is 1."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _order(data: bytes | bytearray) -> str:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError(f"it starts with {bytes(data[:4]).hex() or 'nothing'}")
    return order


def _first(data: bytes | bytearray) -> int:
    """Return where the first folder is."""
    return int(struct.unpack_from(_order(data) + "I", data, 4)[0])


def _folder(data: bytes | bytearray, at: int) -> Folder:
    order = _order(data)
    (count,) = struct.unpack_from(order + "H", data, at)
    if count > MAX_ENTRIES:
        raise ValueError(f"it has a folder of {count} fields")
    entries, end = [], at + 2 + 12 * count
    for start in range(at + 2, end, 12):
        tag, kind, _ = struct.unpack_from(order + "HHI", data, start)
        (value,) = struct.unpack_from(order + ("H" if kind == SHORT else "I"), data, start + 8)
        entries.append(Entry(tag, kind, start + 8, value))
    # some writers end with the last field of the only folder
    following = struct.unpack_from(order + "I", data, end)[0] if end + 4 <= len(data) else 0
    return Folder(entries, end, following)


def _without_thumbnail(data: bytearray, first: Folder) -> bytearray:
    """Unlink the second folder; its picture becomes zeros, or goes where it is the end.

    No other byte moves: makers' notes name places in the whole.
    """
    at = first.next
    data[first.end : first.end + 4] = bytes(4)
    try:
        second = _folder(data, at)
    except (ValueError, struct.error):
        return data
    values = {entry.tag: entry.value for entry in second.entries}
    start, length = (values.get(tag, 0) for tag in THUMBNAIL)
    data[at : second.end + 4] = bytes(max(min(second.end + 4, len(data)) - at, 0))
    if start < second.end or not length:  # none, or damaged: it would lie in what is kept
        return data
    end = min(start + length, len(data))
    data[start:end] = bytes(max(end - start, 0))
    return data[:start] if end >= len(data) - 1 else data
