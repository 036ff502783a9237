"""What a file says beside its pixels: metadata to sections and back.  SPEC.md, section 4.

Enters or leaves: `Metadata` and the payloads of a container's metadata sections. Knows no pixels.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .container import read_sections
from .errors import FormatError, InputError
from .sections import MAX_METADATA, METADATA, MOST_METADATA, pack_section

MAX_TEXTS = 1 << 12
PLAIN, DEFLATED = 0, 1  # the first byte of a payload
_DPI = struct.Struct("<dd")
_LENGTH = struct.Struct("<I")


class Text(NamedTuple):
    """A text of a PNG file and what it is about; language and translation may be empty."""

    keyword: str
    text: str
    language: str = ""
    translated: str = ""


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels; empty where it says nothing.

    Attributes:
        icc_profile: of the pixels, for RGB; without one they are sRGB.
        exif: a TIFF structure, from its byte order on; its orientation is 1.
        xmp: a packet, UTF-8.
        iptc: datasets of IPTC-IIM.
        dpi: horizontal and vertical dots an inch.
        comment: bytes, as in a JPEG file.
        text: of a PNG file.
    """

    icc_profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    text: tuple[Text, ...] = ()

    def stripped(self) -> Metadata:
        """Return what the pixels need: the colour profile alone."""
        return Metadata(icc_profile=self.icc_profile)

    def without(self, *names: str) -> Metadata:
        """Return a copy in which these attributes are empty."""
        empty = Metadata()
        return replace(self, **{name: getattr(empty, name) for name in names})

    def names(self) -> tuple[str, ...]:
        """Return for people what is there: ("ICC profile", "EXIF", ...)."""
        return tuple(NAMES[field] for field in FIELDS.values() if getattr(self, field))


FIELDS = {  # section type -> attribute
    b"i": "icc_profile",
    b"e": "exif",
    b"x": "xmp",
    b"p": "iptc",
    b"d": "dpi",
    b"c": "comment",
    b"k": "text",
}
NAMES = {
    "icc_profile": "ICC profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "dpi": "dpi",
    "comment": "comment",
    "text": "text",
}
assert set(FIELDS) == METADATA


def pack(metadata: Metadata) -> bytes:
    """Return the sections of metadata, empty where there is none.

    Raises:
        InputError: something is not of its type, or larger than a section may be.
    """
    sections = [
        _pack_section(kind, getattr(metadata, field))
        for kind, field in FIELDS.items()
        if getattr(metadata, field)
    ]
    if sum(map(len, sections)) > MOST_METADATA:
        raise InputError(f"found over {MOST_METADATA >> 20} MiB of metadata, at most that fits")
    return b"".join(sections)


def fits(field: str, value: Any) -> bool:
    """Return whether a section can hold a value of this attribute."""
    return not value or len(_pack_value(field, value)) <= MAX_METADATA - 1


def insert(data: bytes, sections: bytes, at: int) -> bytes:
    """Return a file with sections before those that begin at a place; see `container.start`."""
    return data[:at] + sections + data[at:] if sections else data


def read(data: bytes) -> Metadata:
    """Return the metadata of a whole file.

    Raises:
        FormatError: truncated or damaged, or a metadata section has illegal contents.
    """
    _, sections = read_sections(data)
    return unpack({kind: payload for kind, payload in sections if kind in FIELDS})


def unpack(payloads: dict[bytes, bytes]) -> Metadata:
    """Return the metadata in these payloads, by type.

    Raises:
        FormatError: a payload has illegal contents.
    """
    values: dict[str, Any] = {}
    for kind, payload in payloads.items():
        field = FIELDS[kind]
        values[field] = _UNPACK.get(field, bytes)(_inflated(payload, NAMES[field]))
    return Metadata(**values)


def _pack_section(kind: bytes, value: Any) -> bytes:
    field = FIELDS[kind]
    plain = _pack_value(field, value)
    if len(plain) >= MAX_METADATA:
        most = MAX_METADATA >> 20
        raise InputError(f"found {len(plain)} bytes of {NAMES[field]}, at most {most} MiB fit")
    deflated = zlib.compress(plain, 9)
    if len(deflated) < len(plain):
        return pack_section(kind, bytes([DEFLATED]) + deflated)
    return pack_section(kind, bytes([PLAIN]) + plain)


def _pack_value(field: str, value: Any) -> bytes:
    if field == "dpi":
        return _DPI.pack(*_checked_dpi(value, InputError))
    if field == "text":
        return b"".join(
            _LENGTH.pack(len(part)) + part
            for text in value
            for part in (s.encode("utf-8", "replace") for s in Text(*text))
        )
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise InputError(f"found {type(value).__name__} as {NAMES[field]}, expected bytes")
    return bytes(value)


def _inflated(payload: bytes, name: str) -> bytes:
    """Undo a payload's packing, no further than a section may hold."""
    if len(payload) < 2 or payload[0] not in (PLAIN, DEFLATED):
        raise FormatError(f"{name} section begins with {payload[:1].hex() or 'nothing'}")
    if payload[0] == PLAIN:
        return payload[1:]
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(payload[1:], MAX_METADATA)
    except zlib.error as error:
        raise FormatError(f"{name} section is not zlib: {error}") from error
    if not inflate.eof or inflate.unused_data or not plain or len(plain) >= MAX_METADATA:
        raise FormatError(f"{name} section does not hold one zlib stream of less than 4 MiB")
    return plain


def _checked_dpi(value: Any, error: type[Exception]) -> tuple[float, float]:
    try:
        x, y = (float(side) for side in value)
    except (TypeError, ValueError, OverflowError):
        raise error(f"dpi is {value!r}, expected two numbers") from None
    if not (0 < x < math.inf and 0 < y < math.inf):
        raise error(f"dpi is {x:g} x {y:g}, expected finite numbers above 0")
    return x, y


def _unpack_dpi(plain: bytes) -> tuple[float, float]:
    if len(plain) != _DPI.size:
        raise FormatError(f"dpi section holds {len(plain)} bytes, expected {_DPI.size}")
    return _checked_dpi(_DPI.unpack(plain), FormatError)


def _unpack_texts(plain: bytes) -> tuple[Text, ...]:
    parts: list[str] = []
    at = 0
    while at < len(plain):
        (length,) = _LENGTH.unpack_from(plain, at) if len(plain) - at >= 4 else (len(plain),)
        part = plain[at + 4 : at + 4 + length]
        if len(part) < length or len(parts) >= 4 * MAX_TEXTS:
            raise FormatError(f"text section has no text of {length} bytes at {at}")
        try:
            parts.append(part.decode())
        except UnicodeDecodeError as error:
            raise FormatError(f"text section is not UTF-8 at {at}") from error
        at += 4 + length
    texts = tuple(Text(k, t, lang, tr) for k, t, lang, tr in zip(*[iter(parts)] * 4, strict=False))
    if len(parts) % 4 or not all(text.keyword for text in texts):
        raise FormatError("text section has a text without a keyword")
    return texts


_UNPACK: dict[str, Callable[[bytes], Any]] = {"dpi": _unpack_dpi, "text": _unpack_texts}
