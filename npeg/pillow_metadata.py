"""Metadata of Pillow images: found in opened files, and handed to Pillow's writers.

Enters: a Pillow image, or `Metadata`. Leaves: `Metadata`, or the options of `Image.save`.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PIL import Image, PngImagePlugin

from . import exif as exif_bytes
from .errors import InputError, warn
from .metadata_sections import NAMES, Metadata, Text, fits

IPTC_RESOURCE, IPTC_TAG, XMP_TAG = 0x0404, 33723, 700  # of Photoshop; of TIFF; of TIFF
X_RESOLUTION = 0x011A  # of EXIF
EXIF_FOLDERS = (0x8769, 0x8825)  # the camera's settings and the place
TIFF_TAGS = (  # of a TIFF file that describe the picture, not how its pixels are stored
    *(0x010E, 0x010F, 0x0110, 0x0112, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298),
    *EXIF_FOLDERS,
)
NOT_TEXT = {"XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type xmp"}
JPEG_SEGMENT = 65_533  # bytes in a segment of a JPEG file
LIMITS = {"exif": JPEG_SEGMENT - 6, "xmp": JPEG_SEGMENT - 29, "comment": JPEG_SEGMENT}


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1..8; 1 where it says none."""
    try:
        with warnings.catch_warnings():  # of what is damaged: npeg warns of it itself
            warnings.simplefilter("ignore")
            found = image.getexif().get(exif_bytes.ORIENTATION, 1)
    except Exception:  # damaged metadata must not refuse a good picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def stated_orientation(metadata: Metadata) -> int:
    """Return the orientation in given EXIF, 0 where there is no EXIF."""
    if not metadata.exif:
        return 0
    return exif_bytes.orientation(bytes(metadata.exif).removeprefix(exif_bytes.PREFIX))


def of(image: Image.Image) -> Metadata:
    """Return what npeg can carry of an opened image, but for the ICC profile.

    Warns:
        UserWarning: what is damaged, or larger than a section may be.
    """
    exif = _or_nothing("EXIF", lambda: exif_bytes.cleaned(_exif(image)))
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    found = Metadata(
        exif=exif,
        xmp=exif_bytes.upright_xmp(_bytes(xmp)),
        iptc=_or_nothing("IPTC", lambda: _iptc(image)),
        dpi=_or_nothing("dpi", lambda: _dpi(image)),
        comment=_bytes(image.info.get("comment") or b""),
        text=_texts(image),
    )
    too_large = [field for field in NAMES if not fits(field, getattr(found, field))]
    for field in too_large:
        warn(f"{NAMES[field]} is too large and not stored")
    return found.without(*too_large)


def checked(metadata: Metadata) -> Metadata:
    """Return given metadata as a file holds it: for upright pixels, without a thumbnail.

    Raises:
        InputError: its EXIF is damaged, or something is no bytes.
    """
    for field in ("icc_profile", "exif", "xmp", "iptc", "comment"):
        value = getattr(metadata, field)
        if not isinstance(value, (bytes, bytearray)):
            raise InputError(f"found {type(value).__name__} as {NAMES[field]}, expected bytes")
    try:
        exif = exif_bytes.cleaned(bytes(metadata.exif)) if metadata.exif else b""
    except ValueError as error:
        raise InputError(f"found damaged EXIF: {error}") from error
    return replace(metadata, exif=exif, xmp=exif_bytes.upright_xmp(_bytes(metadata.xmp)))


def _or_nothing(name: str, find: Callable[[], Any]) -> Any:
    """Return what is found; damaged metadata must not refuse a good picture."""
    try:
        with warnings.catch_warnings():  # Pillow's own
            warnings.simplefilter("ignore")
            return find()
    except Exception as error:  # Pillow's readers raise almost anything
        reason = error
    warn(f"{name} is damaged and not stored: {str(reason) or type(reason).__name__}")
    return getattr(Metadata(), name.lower())


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else bytes(value)


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF of an image; of a TIFF file, what in it describes the picture."""
    if exif := image.info.get("exif"):
        return bytes(exif)
    if hasattr(image, "tag_v2"):
        return _exif_of_tiff(image)
    if "Raw profile type exif" in image.info:
        return image.getexif().tobytes()
    return struct.pack("<2sHIHI", b"II", 42, 8, 0, 0)  # no fields


def _exif_of_tiff(image: Image.Image) -> bytes:
    found, exif = image.getexif(), Image.Exif()
    for tag in TIFF_TAGS:
        if tag in EXIF_FOLDERS and (folder := found.get_ifd(tag)):
            exif[tag] = dict(folder)
        elif tag in found and tag not in EXIF_FOLDERS:
            exif[tag] = found[tag]
    return exif.tobytes()


def _iptc(image: Image.Image) -> bytes:
    if hasattr(image, "tag_v2"):
        found = image.tag_v2.get(IPTC_TAG, b"")
        if isinstance(found, tuple) and len(found) == 1:
            found = found[0]
        return found if isinstance(found, bytes) else b""
    resources = image.info.get("photoshop")
    found = resources.get(IPTC_RESOURCE, b"") if isinstance(resources, dict) else b""
    return bytes(image.info.get("iptc") or found)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    stated = image.info.get("jfif_unit") or X_RESOLUTION in image.getexif()
    if image.format in ("JPEG", "MPO") and not stated:
        return None  # Pillow says 72 where the file says nothing
    try:
        x, y = (float(side) for side in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e9 and 0 < y < 1e9 and (x, y) != (1, 1) else None  # 1: an aspect


def _texts(image: Image.Image) -> tuple[Text, ...]:
    """Return the texts of a PNG file, or those that a .npeg file had."""
    try:
        found = getattr(image, "text", None) or {}
    except Exception:  # it reads the rest of the file, which may be damaged
        found = {}
    texts = []
    for keyword, text in found.items():
        if keyword not in NOT_TEXT and isinstance(text, str):
            more = [_str(getattr(text, name, "")) for name in ("lang", "tkey")]
            texts.append(Text(keyword, str(text), *more))
    return tuple(texts)


def _str(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def save_options(metadata: Metadata, image_format: str) -> tuple[dict[str, Any], Metadata]:
    """Return the options of `Image.save` that put metadata into a file, and what it cannot hold.

    Args:
        metadata: of a .npeg file.
        image_format: Pillow's name of an image format.
    """
    builder = _BUILDERS.get(image_format, _none)
    return builder(metadata)


def _carry(metadata: Metadata, *fields: str) -> tuple[dict[str, Any], Metadata]:
    """Return plain options of these fields, and the rest."""
    options = {field: value for field in fields if (value := getattr(metadata, field))}
    if "exif" in options:
        options["exif"] = exif_bytes.PREFIX + options["exif"]
    return options, metadata.without(*fields)


def _jpeg(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    large = {f for f, most in LIMITS.items() if len(getattr(metadata, f)) > most}
    fields = {"icc_profile", "exif", "xmp", "dpi", "comment"} - large
    options, rest = _carry(metadata, *fields)
    if metadata.iptc and len(metadata.iptc) < JPEG_SEGMENT - 64:
        block = b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(metadata.iptc))
        body = b"Photoshop 3.0\0" + block + metadata.iptc + bytes(len(metadata.iptc) % 2)
        options["extra"] = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
        rest = rest.without("iptc")
    return options, rest


def _png(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    options, rest = _carry(metadata, "icc_profile", "exif", "dpi")
    info = PngImagePlugin.PngInfo()
    for text in metadata.text:
        if text.language or text.translated or not text.text.isascii():
            info.add_itxt(text.keyword[:79], text.text, text.language, text.translated)
        else:
            info.add_text(text.keyword[:79], text.text)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    if metadata.comment and not any(text.keyword == "Comment" for text in metadata.text):
        info.add_text("Comment", metadata.comment.decode("latin-1").replace("\0", " "))
    return options | {"pnginfo": info}, rest.without("text", "xmp", "comment")


def _tiff(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    options, rest = _carry(metadata, "icc_profile", "dpi")
    exif = Image.Exif()
    if metadata.exif:
        exif.load(metadata.exif)
    for tag, value in ((XMP_TAG, metadata.xmp), (IPTC_TAG, metadata.iptc)):
        if value:
            exif[tag] = value
    return options | {"exif": exif}, rest.without("exif", "xmp", "iptc")


def _none(metadata: Metadata) -> tuple[dict[str, Any], Metadata]:
    return {}, metadata


_BUILDERS: dict[str, Callable[[Metadata], tuple[dict[str, Any], Metadata]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": lambda metadata: _carry(metadata, "icc_profile", "exif", "xmp"),
    "AVIF": lambda metadata: _carry(metadata, "icc_profile", "exif", "xmp"),
    "BMP": lambda metadata: _carry(metadata, "dpi"),
    "GIF": lambda metadata: _carry(metadata, "comment"),
}
