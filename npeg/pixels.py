"""Any image to uint8 pixels, RGB or grey, or a clear refusal: never a wrong picture.

Enters: a Pillow image or an array.  Leaves: uint8, (H, W, 3) RGB or (H, W) grey, where something
is transparent with alpha, (H, W, 4) or (H, W, 2), and metadata.
What npeg cannot store yet is warned about.  This module knows no codec, only the limit of sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import limits, pillow_metadata, stated_colours, transparency
from .arrays import Pixels
from .colour import GREY_MODES, settle
from .errors import InputError, warn
from .metadata_sections import Metadata

DEEP_MODES = {"F": "32-bit floats", "I": "32-bit integers", "I;16": "16 bits a sample"}
UPRIGHT = {  # EXIF orientation -> how to turn such an image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TIFF_BITS = 258  # tag of the bits of each sample


def to_pixels(image: object) -> Pixels:
    """Return the pixels of a Pillow image or of an array, in sRGB.

    Args:
        image: a Pillow image, or a uint8 array (H, W), (H, W, 1..4); its alpha is opaque.

    Returns:
        uint8, (H, W, 3) sRGB or (H, W) grey.

    Raises:
        InputError: damaged, empty, transparent, not 8 bits a sample, or not an image at all.
        LimitError: too large.

    Warns:
        UserWarning: the image has metadata, which pixels alone have not.
    """
    if not isinstance(image, Image.Image):
        return _opaque(_checked(image))
    pixels, metadata = _from_pillow(image, None, keep=False)
    pixels = _opaque(pixels)
    if names := metadata.without("dpi", "comment", "text").names():
        warn(f"{' and '.join(names)} metadata is not stored")
    return pixels


def to_picture(
    image: object, metadata: Metadata | None = None, strip: bool = False, turn: int = 0
) -> tuple[Pixels, Metadata]:
    """Return pixels in their own colour space, upright, and the metadata that goes with them.

    Alpha that is opaque everywhere is left out.

    Args:
        image: as for `to_pixels`.
        metadata: in place of the image's own; the image's colour profile stays if this has none.
        strip: keep nothing but the colour profile.
        turn: the EXIF orientation of the image, 1..8; 0: as the metadata or the image says.

    Raises:
        As `to_pixels`, but for transparency.
    """
    if not isinstance(image, Image.Image):
        pixels = _checked(image)
        if metadata is None:
            return pixels, Metadata()
        image = Image.fromarray(pixels)
    pixels, found = _from_pillow(image, metadata, keep=True, turn=turn)
    return pixels, found.stripped() if strip else found


def _checked(array: object) -> Pixels:
    if isinstance(array, np.ndarray):
        return _from_array(array)
    found = type(array).__name__
    raise InputError(f"found {found}, expected a Pillow image or a uint8 NumPy array")


def _from_array(array: NDArray[Any]) -> Pixels:
    expected = "expected uint8 of shape (H, W) or (H, W, 1), 2, 3 or 4"
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise InputError(f"found an array of {array.dtype} {array.shape}, {expected}")
    if array.ndim == 3 and not 1 <= array.shape[2] <= 4:
        raise InputError(f"found an array of {array.dtype} {array.shape}, {expected}")
    if not array.size:
        raise InputError(f"found an empty array of shape {array.shape}, expected a pixel or more")
    limits.check(array.shape[1], array.shape[0])
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return np.ascontiguousarray(transparency.without_opaque(array))


def _from_pillow(
    image: Image.Image, metadata: Metadata | None, keep: bool, turn: int = 0
) -> tuple[Pixels, Metadata]:
    """Return upright pixels and their metadata; `keep` RGB in its own space."""
    if not (image.width and image.height):
        raise InputError(f"found an image of {image.width}x{image.height} pixels, expected 1x1 up")
    limits.check(image.width, image.height)
    if metadata is not None:
        given, metadata = metadata, pillow_metadata.checked(metadata)
        turn = turn or pillow_metadata.stated_orientation(given)
    _refuse_deep(image)  # before loading, which cuts some 16-bit images down to 8 bits
    stated = stated_colours.read(image)
    if stated.bits > 8:
        warn(f"{stated.bits} bits a sample are cut to 8")
    _load(image)  # then metadata, which may be behind the pixels; Pillow turns TIFF images itself
    orientation = turn or pillow_metadata.orientation(image)
    found = pillow_metadata.of(image) if metadata is None else metadata
    icc_profile, convert = stated_colours.profile(image, stated)
    if metadata and metadata.icc_profile:
        icc_profile, convert = metadata.icc_profile, False
    _warn_of_frames(image)
    colours, alpha = _apart(image)
    settled, icc_profile = settle(colours, icc_profile, keep and not convert)
    if orientation in UPRIGHT:
        settled = settled.transpose(UPRIGHT[orientation])
        alpha = alpha and alpha.transpose(UPRIGHT[orientation])
    pixels = transparency.join(np.array(settled), None if alpha is None else np.asarray(alpha))
    return pixels, replace(found, icc_profile=icc_profile)


def _refuse_deep(image: Image.Image) -> None:
    """Raise InputError for more than 8 bits a sample, also where Pillow would cut them to 8."""
    bits = DEEP_MODES.get(image.mode) or DEEP_MODES.get(image.mode[:4])
    tags = getattr(image, "tag_v2", {})
    if not bits and max(tags.get(TIFF_BITS) or (8,)) > 8:
        bits = f"{max(tags[TIFF_BITS])} bits a sample"
    for tile in getattr(image, "tile", ()):
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        raw_mode = next((arg for arg in args if isinstance(arg, str)), "")
        deep_raw = ";16" in raw_mode and not raw_mode.startswith("BGR")  # that one is 5+6+5 bits
        largest = max((arg for arg in args if isinstance(arg, int)), default=0)
        if deep_raw or (tile.codec_name.startswith("ppm") and largest > 255):
            bits = bits or "16 bits a sample"
    if bits:
        raise InputError(f"found {bits}, expected 8; convert the image to 8 bits first")


def _load(image: Image.Image) -> None:
    """Decode the pixels; Pillow's plugins raise almost anything for a damaged file."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"found a damaged {image.format} image: {reason}") from error


def _warn_of_frames(image: Image.Image) -> None:
    if getattr(image, "is_animated", False):
        frames = getattr(image, "n_frames", 2)
        warn(f"one of {frames} frames is stored, number {image.tell() + 1}")


def _apart(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image's colours and its alpha, None where that is opaque everywhere."""
    if not image.has_transparency_data:
        return image, None
    mode = "LA" if image.mode in GREY_MODES else "RGBA"
    image = image.convert(mode)
    alpha = image.getchannel("A")
    colours = image.convert("L" if mode == "LA" else "RGB")
    return colours, alpha if np.asarray(alpha).min() < transparency.OPAQUE else None


def _opaque(pixels: Pixels) -> Pixels:
    """Return pixels that have no alpha; raise InputError where something is transparent."""
    _, alpha = transparency.split(pixels)
    if alpha is not None:
        raise InputError(
            f"found transparent pixels (alpha down to {alpha.min()}), expected an opaque image: "
            "flatten it onto a background first"
        )
    return pixels
