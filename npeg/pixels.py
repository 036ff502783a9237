"""Any image to uint8 sRGB or grey pixels, or a clear refusal: never a wrong picture.

Enters: a Pillow image or an array.  Leaves: uint8, (H, W, 3) sRGB or (H, W) grey.  What an image
holds and npeg cannot store yet is warned about.  This module knows no codec, only its size limit.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from .container import check_size
from .errors import InputError

Pixels = NDArray[np.uint8]

CALLER = 5  # stack level of who called npeg.encode: warnings point there

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = {"F": "32-bit floats", "I": "32-bit integers", "I;16": "16 bits a sample"}
EXIF_FOLDERS = {0x8769, 0x8825}  # the camera's settings and the place
ORIENTATION = 0x0112  # EXIF tag; its values 2..8 and how to turn such an image upright:
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_pixels(image: object) -> Pixels:
    """Return the pixels of a Pillow image or of an array.

    Args:
        image: a Pillow image, or a uint8 array (H, W), (H, W, 1) or (H, W, 3).

    Returns:
        uint8, (H, W, 3) sRGB or (H, W) grey.

    Raises:
        InputError: damaged, empty, transparent, not 8 bits a sample, or not an image at all.
        LimitError: too large.
    """
    if isinstance(image, Image.Image):
        return _from_pillow(image)
    if isinstance(image, np.ndarray):
        return _from_array(image)
    found = type(image).__name__
    raise InputError(f"found {found}, expected a Pillow image or a uint8 NumPy array")


def _from_array(array: NDArray[Any]) -> Pixels:
    expected = "expected uint8 of shape (H, W), (H, W, 1) or (H, W, 3)"
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise InputError(f"found an array of {array.dtype} {array.shape}, {expected}")
    if array.ndim == 3 and array.shape[2] not in (1, 3):
        hint = " (alpha is not supported yet)" if array.shape[2] in (2, 4) else ""
        raise InputError(f"found an array of {array.dtype} {array.shape}, {expected}{hint}")
    if not array.size:
        raise InputError(f"found an empty array of shape {array.shape}, expected a pixel or more")
    check_size(array.shape[1], array.shape[0])
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return np.ascontiguousarray(array)


def _from_pillow(image: Image.Image) -> Pixels:
    if not (image.width and image.height):
        raise InputError(f"found an image of {image.width}x{image.height} pixels, expected 1x1 up")
    check_size(image.width, image.height)
    _refuse_deep(image)  # before loading, which cuts some 16-bit images down to 8 bits
    _load(image)
    _warn_of_losses(image)
    orientation = _orientation(image)
    opaque = _opaque(image)
    profile = image.info.get("icc_profile")
    srgb = _to_srgb(opaque, profile) if profile else _plain(opaque)
    if orientation in UPRIGHT:
        srgb = srgb.transpose(UPRIGHT[orientation])
    return np.array(srgb)


def _refuse_deep(image: Image.Image) -> None:
    """Raise InputError for more than 8 bits a sample, also where Pillow would cut them to 8."""
    bits = DEEP_MODES.get(image.mode) or DEEP_MODES.get(image.mode[:4])
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


def _warn_of_losses(image: Image.Image) -> None:
    exif = _exif(image).keys() - {ORIENTATION}  # which is not lost: the pixels are turned
    if "exif" not in image.info:  # in TIFF every field of the file is listed
        exif &= EXIF_FOLDERS
    lost = [name for name, there in [("EXIF", exif), ("XMP", image.info.get("xmp"))] if there]
    if lost:
        warnings.warn(f"{' and '.join(lost)} metadata is not stored", stacklevel=CALLER)
    if getattr(image, "is_animated", False):
        frames = getattr(image, "n_frames", 2)
        warnings.warn(
            f"one of {frames} frames is stored, number {image.tell() + 1}", stacklevel=CALLER
        )


def _exif(image: Image.Image) -> dict[int, Any]:
    try:
        return dict(image.getexif())
    except Exception:  # damaged metadata must not refuse a good picture
        return {}


def _orientation(image: Image.Image) -> int:
    orientation = _exif(image).get(ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image without its alpha channel, which must be opaque everywhere."""
    if not image.has_transparency_data:
        return image
    mode = "LA" if image.mode in GREY_MODES else "RGBA"
    image = image.convert(mode)
    lowest = int(np.asarray(image.getchannel("A")).min())
    if lowest < 255:
        raise InputError(
            f"found transparent pixels (alpha down to {lowest}), expected an opaque image: alpha "
            "is not supported yet; flatten the image onto a background first"
        )
    return image.convert("L" if mode == "LA" else "RGB")


def _plain(image: Image.Image) -> Image.Image:
    """Return the image as L or RGB; without a profile its numbers are taken as sRGB."""
    try:
        return image.convert("L" if image.mode in GREY_MODES else "RGB")
    except ValueError as error:
        raise InputError(f"found colour mode {image.mode}, expected grey, RGB or CMYK") from error


def _to_srgb(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """Convert from an embedded ICC profile to sRGB, in L or RGB; grey stays grey."""
    colours = "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        space = profile.profile.xcolor_space.strip()
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
        if mode is None or (mode != colours and (mode, colours) != ("RGB", "L")):
            raise ImageCms.PyCMSError(f"it is for {space}, the image is {image.mode}")
        # Little CMS is quick and wrong by up to 10 levels for dark grey, unless told not to be
        flags = ImageCms.Flags.NOOPTIMIZE if colours == "L" else ImageCms.Flags.NONE
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, srgb, mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError) as error:
        warnings.warn(f"the ICC profile is not usable, sRGB is assumed: {error}", stacklevel=CALLER)
        return _plain(image)
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return _plain(image)
    source = image if mode == "CMYK" else _plain(image).convert(mode)
    converted = ImageCms.applyTransform(source, transform)
    assert converted is not None  # it is None only when asked to work in place
    return converted.getchannel("G") if colours == "L" else converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell a profile that is sRGB, whatever its name: it moves no colour by more than rounding."""
    steps = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
    if mode == "RGB":
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    else:
        colours = steps[None, :]
    after = ImageCms.applyTransform(Image.fromarray(colours), transform)
    before = np.asarray(Image.fromarray(colours).convert("RGB"), np.int16)
    return bool(np.abs(np.asarray(after, np.int16) - before).max() <= 1)
