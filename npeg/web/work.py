"""What the server does for the page: bytes that are posted to bytes that are answered."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageOps, features

from .. import decode, encode, image_files, metadata
from ..errors import InputError
from .bits import bits_of

AVIF_SPEED = 6  # as `npeg bench` has it, and the page's own encoder
Answer = tuple[bytes, str, dict[str, str]]
"""A body, the suffix of a file of its kind, and headers."""


def _to_png(data: bytes, _: dict[str, str]) -> Answer:
    pixels = decode(data)
    return image_files.image_file(pixels, "PNG", metadata(data)), ".png", {}


def _to_npeg(data: bytes, options: dict[str, str]) -> Answer:
    quality = _number(options, "quality", 75)
    effort = int(_number(options, "effort", 1))
    tune = options.get("tune", "visual")
    return encode(BytesIO(data), quality, tune=tune, effort=effort), ".npeg", {}


def _to_bits(data: bytes, _: dict[str, str]) -> Answer:
    return bits_of(data).astype("<f4").tobytes(), "", {}


def _to_avif(data: bytes, options: dict[str, str]) -> Answer:
    """Return the largest AVIF file that is not above a size, and its quality."""
    if not features.check("avif"):
        raise InputError("this Pillow writes no AVIF")
    most = _number(options, "size", 0)
    try:
        opened = Image.open(BytesIO(data))
        picture = ImageOps.exif_transpose(opened)
        profile = picture.info.get("icc_profile")
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (OSError, ValueError) as error:
        raise InputError(f"no picture: {error}") from error

    def made(quality: int) -> bytes:
        buffer = BytesIO()
        known = {"quality": quality, "speed": AVIF_SPEED, "subsampling": "4:4:4"}
        picture.save(buffer, "AVIF", icc_profile=profile, **known)
        return buffer.getvalue()

    found, quality, above = made(0), 0, 101
    while above - quality > 1 and len(found) <= most:
        tried = made(middle := (quality + above) // 2)
        if len(tried) <= most:
            found, quality = tried, middle
        else:
            above = middle
    return found, ".avif", {"Npeg-Quality": str(quality)}


def _number(options: dict[str, str], name: str, default: float) -> float:
    try:
        return float(options.get(name, default))
    except ValueError:
        raise InputError(f"found {options}, expected numbers") from None


WORK: dict[str, Callable[[bytes, dict[str, str]], Answer]] = {
    "/decode": _to_png,
    "/encode": _to_npeg,
    "/bits": _to_bits,
    "/avif": _to_avif,
}
"""Path to what is done for it, which raises NpegError."""
