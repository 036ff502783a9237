"""Any image to pixels, RGB or grey, or a clear refusal: never a wrong picture.

Enters: a Pillow image or an array.  Leaves: uint8, or uint16 of more than 8 bits, (H, W, 3) RGB or
(H, W) grey, where something is transparent with alpha, (H, W, 4) or (H, W, 2), and metadata.
What npeg cannot store yet is warned about.  This module knows no codec, only the limit of sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import deep_images, depth, limits, pillow_metadata, stated_colours, transparency
from .arrays import Samples
from .colour import GREY_MODES, settle, stays
from .deep_images import Deep
from .errors import InputError, warn
from .metadata_sections import Metadata

UPRIGHT = {  # EXIF orientation -> how to turn such an image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture(NamedTuple):
    """What `npeg.encode` takes in: pixels, the metadata that goes with them, bits of the source."""

    pixels: Samples
    metadata: Metadata
    bits: int


def to_pixels(image: object) -> NDArray[np.uint8]:
    """Return the 8-bit pixels of a Pillow image or of an array, in sRGB.

    Args:
        image: a Pillow image, or an array (H, W), (H, W, 1..4) of uint8, uint16 or floats from 0
            to 1; its alpha is opaque.

    Returns:
        uint8, (H, W, 3) sRGB or (H, W) grey.

    Raises:
        InputError: damaged, empty, transparent, or not an image at all.
        LimitError: too large.

    Warns:
        UserWarning: the image has metadata, which pixels alone have not, or more than 8 bits.
    """
    if not isinstance(image, Image.Image):
        array = _checked(image)
        return _opaque(_eight_bits(Picture(array, Metadata(), 8 * array.itemsize)))
    picture = _from_pillow(image, None, keep=False)
    pixels, metadata = _opaque(_eight_bits(picture)), picture.metadata
    if names := metadata.without("dpi", "comment", "text").names():
        warn(f"{' and '.join(names)} metadata is not stored")
    return pixels


def to_picture(
    image: object, metadata: Metadata | None = None, strip: bool = False, turn: int = 0
) -> Picture:
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
        bits = 8 * pixels.itemsize
        if metadata is None:
            return Picture(pixels, Metadata(), bits)
        image = Image.fromarray(depth.as_type(pixels, np.uint8))
        deep = None if bits == 8 else Deep(pixels, bits)
        found = _from_pillow(image, metadata, keep=True, turn=turn, deep=deep)
    else:
        found = _from_pillow(image, metadata, keep=True, turn=turn)
    return found._replace(metadata=found.metadata.stripped()) if strip else found


def _checked(array: object) -> Samples:
    if isinstance(array, np.ndarray):
        return _from_array(array)
    found = type(array).__name__
    raise InputError(f"found {found}, expected a Pillow image or a NumPy array")


def _from_array(array: NDArray[Any]) -> Samples:
    expected = "expected uint8, uint16 or floats of shape (H, W) or (H, W, 1), 2, 3 or 4"
    samples = depth.of_array(array) if array.ndim in (2, 3) else None
    if samples is None or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise InputError(f"found an array of {array.dtype} {array.shape}, {expected}")
    if not array.size:
        raise InputError(f"found an empty array of shape {array.shape}, expected a pixel or more")
    limits.check(array.shape[1], array.shape[0])
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[:, :, 0]
    return np.ascontiguousarray(transparency.without_opaque(samples))


def _eight_bits(picture: Picture) -> NDArray[np.uint8]:
    """Return pixels in 8 bits; more of them are warned about."""
    if picture.pixels.dtype != np.uint8:
        warn(f"{picture.bits} bits a sample are cut to 8")
    return depth.as_type(picture.pixels, np.uint8)


def _from_pillow(
    image: Image.Image,
    metadata: Metadata | None,
    keep: bool,
    turn: int = 0,
    deep: Deep | None = None,
) -> Picture:
    """Return upright pixels and their metadata; `keep` RGB in its own space.

    `deep` has the samples where the image is not what has them.
    """
    if not (image.width and image.height):
        raise InputError(f"found an image of {image.width}x{image.height} pixels, expected 1x1 up")
    limits.check(image.width, image.height)
    if metadata is not None:
        given, metadata = metadata, pillow_metadata.checked(metadata)
        turn = turn or pillow_metadata.stated_orientation(given)
    stated = stated_colours.read(image)
    bits = deep_images.bits_of(image, stated.bits)
    if bits > 8:  # before loading, which cuts most of them down to 8
        deep = deep_images.read(image, bits)
    _load(image)  # then metadata, which may be behind the pixels; Pillow turns TIFF images itself
    orientation = turn or pillow_metadata.orientation(image)
    found = pillow_metadata.of(image) if metadata is None else metadata
    icc_profile, convert = stated_colours.profile(image, stated)
    if metadata and metadata.icc_profile:
        icc_profile, convert = metadata.icc_profile, False
    _warn_of_frames(image)
    keep = keep and not convert
    if deep is None:
        pixels, icc_profile = _eight(image, icc_profile, keep, orientation)
        return Picture(pixels, replace(found, icc_profile=icc_profile), 8)
    pixels, icc_profile = _sixteen(deep, icc_profile, keep, orientation)
    bits = deep.bits if pixels.dtype == np.uint16 else 8
    return Picture(pixels, replace(found, icc_profile=icc_profile), bits)


def _eight(
    image: Image.Image, icc_profile: bytes, keep: bool, orientation: int
) -> tuple[Samples, bytes]:
    """Return the upright pixels of a loaded image of 8 bits, and the profile for them."""
    colours, alpha = _apart(image)
    settled, icc_profile = settle(colours, icc_profile, keep)
    if orientation in UPRIGHT:
        settled = settled.transpose(UPRIGHT[orientation])
        alpha = alpha and alpha.transpose(UPRIGHT[orientation])
    pixels = transparency.join(np.array(settled), None if alpha is None else np.asarray(alpha))
    return pixels, icc_profile


def _sixteen(deep: Deep, icc_profile: bytes, keep: bool, orientation: int) -> tuple[Samples, bytes]:
    """Return the same of deep samples; those whose colours are converted leave as 8 bits."""
    samples = deep.samples
    mode = "L" if samples.ndim == 2 or samples.shape[2] == 2 else "RGB"
    stay, profile = stays(mode, icc_profile, keep)
    if not stay:
        warn(f"{deep.bits} bits a sample are cut to 8, as their colours are converted to sRGB")
        image = Image.fromarray(depth.as_type(samples, np.uint8))
        return _eight(image, icc_profile, keep, orientation)
    pixels = transparency.without_opaque(samples)
    return np.ascontiguousarray(_turned(pixels, orientation)), profile


def _turned(pixels: Samples, orientation: int) -> Samples:
    """Return pixels (H, W, ...) upright, as UPRIGHT turns images."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


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
        try:
            frames = getattr(image, "n_frames", 2)
        except Exception as error:  # of a damaged frame; it may be this one that is loaded now
            raise InputError(f"found a damaged frame in a {image.format} image: {error}") from error
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


def _opaque(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels that have no alpha; raise InputError where something is transparent."""
    _, alpha = transparency.split(pixels)
    if alpha is not None:
        raise InputError(
            f"found transparent pixels (alpha down to {alpha.min()}), expected an opaque image: "
            "flatten it onto a background first"
        )
    return pixels
