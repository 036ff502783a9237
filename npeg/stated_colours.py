"""What image files say of depth and colours that Pillow does not pass on: PNG, AVIF, JPEG 2000.

Enters: a Pillow image whose pixels are not loaded yet. Leaves: bits a sample, an ICC profile.
"""

from __future__ import annotations

import math
import re
import struct
from typing import NamedTuple

from PIL import Image

from . import icc
from .errors import InputError, warn

HEAD = 1 << 16  # bytes of a file in which AVIF and JPEG 2000 describe their pixels
MAX_CHUNKS = 1 << 10  # of a PNG file that are looked at
UNSPECIFIED = 2
SRGB_LIKE = (1, 6, 13, 14, 15, UNSPECIFIED)  # transfers shown as sRGB's, as browsers do
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # transfer -> gamma
HDR = {16: "PQ", 18: "HLG"}
NEAR = 0.003  # chromaticities closer than this are the same


class Stated(NamedTuple):
    """What the head of a file says: bits a sample, and H.273 code points of its colours."""

    bits: int = 8
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED


def read(image: Image.Image) -> Stated:
    """Read what the head of an opened file says; where it cannot be read again, nothing."""
    reader, file = _READERS.get(image.format or ""), getattr(image, "fp", None)
    try:
        if reader is None:
            return Stated()
        if file is None or getattr(file, "closed", False):  # as after loading
            with open(getattr(image, "filename", "") or "", "rb") as again:
                return reader(again)
        place = file.tell()
        file.seek(0)
        found = reader(file)
        file.seek(place)
    except (OSError, ValueError, struct.error):
        return Stated()
    return found


def profile(image: Image.Image, stated: Stated) -> tuple[bytes, bool]:
    """Return the ICC profile of an image, and whether its pixels should rather be converted.

    Code points come before an embedded profile, that before sRGB, gamma and chromaticities (PNG,
    third edition, section 4.3). Empty: sRGB.

    Raises:
        InputError: the colours are those of high dynamic range.
    """
    if stated.transfer in HDR:
        name = HDR[stated.transfer]
        raise InputError(f"found {name} colours (high dynamic range), expected an SDR image")
    if image.info.get("icc_profile") and image.format != "PNG":
        return bytes(image.info["icc_profile"]), False
    if stated != Stated(bits=stated.bits):
        return _of_code_points(stated), False
    if image.info.get("icc_profile"):
        return bytes(image.info["icc_profile"]), False
    if image.format == "PNG" and "srgb" not in image.info:
        return _of_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    return b"", False


def _of_code_points(stated: Stated) -> bytes:
    primaries = icc.PRIMARIES.get(stated.primaries, icc.SRGB)
    known = stated.primaries in (*icc.PRIMARIES, UNSPECIFIED)
    if not known or stated.transfer not in (*SRGB_LIKE, *GAMMAS):
        points = f"{stated.primaries}/{stated.transfer}"
        warn(f"the colours (cICP {points}) are not known, sRGB is assumed")
        return b""
    if primaries == icc.SRGB and stated.transfer in SRGB_LIKE:
        return b""
    return icc.profile(primaries, GAMMAS.get(stated.transfer))


def _of_gamma(gamma: object, chromaticity: object) -> tuple[bytes, bool]:
    """Return a profile for PNG's gAMA and cHRM; a curve alone is to be converted: no colour is
    lost by that, and files of linear light would be coded badly."""
    power = 1 / gamma if isinstance(gamma, float) and 0.1 < gamma < 10 else None
    # 2.2 is what the standard has sRGB's own files say
    near_srgb = power is None or math.isclose(power, 2.2, abs_tol=0.01)
    primaries = icc.SRGB
    if isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        pairs = list(zip(chromaticity[::2], chromaticity[1::2], strict=True))
        primaries = icc.Primaries(*pairs)
    distance = max(
        abs(a - b)
        for p, q in zip(primaries, icc.SRGB, strict=True)
        for a, b in zip(p, q, strict=True)
    )
    if distance < NEAR:
        return (b"", False) if near_srgb else (icc.profile(icc.SRGB, power), True)
    try:
        return icc.profile(primaries, power), False
    except ValueError as error:
        warn(f"the chromaticities are not usable, sRGB is assumed: {error}")
        return b"", False


def _read_png(file: object) -> Stated:
    """Find the cICP chunk, which is before the pixels."""
    read, seek = file.read, file.seek  # type: ignore[attr-defined]
    seek(8)
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack(">I4s", read(8))
        if kind == b"cICP" and length == 4:
            primaries, transfer, _, _ = read(4)
            return Stated(8, primaries, transfer)
        if kind in (b"IDAT", b"IEND"):
            break
        seek(length + 4, 1)
    return Stated()


def _read_avif(file: object) -> Stated:
    """Find the deepest av1C box, and the first colr box with code points."""
    head = file.read(HEAD)  # type: ignore[attr-defined]
    bits, colours = 8, (UNSPECIFIED, UNSPECIFIED)
    for found in re.finditer(rb"av1C\x81.(.)", head, re.DOTALL):
        flags = found[1][0]  # high_bitdepth 0x40, twelve_bit 0x20
        bits = max(bits, 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8)
    if nclx := re.search(rb"colrnclx(....)", head, re.DOTALL):
        colours = struct.unpack(">HH", nclx[1])
    return Stated(bits, *colours)


def _read_jpeg2000(file: object) -> Stated:
    """Find the depths in the SIZ segment of the codestream."""
    head = file.read(HEAD)  # type: ignore[attr-defined]
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return Stated()
    (count,) = struct.unpack_from(">H", head, at + 40)
    depths = head[at + 42 : at + 42 + 3 * count : 3]
    return Stated(max([8, *((depth & 0x7F) + 1 for depth in depths)]))


_READERS = {"PNG": _read_png, "AVIF": _read_avif, "JPEG2000": _read_jpeg2000}
