"""Colours that stay, and colours that become sRGB: ICC profiles, by Little CMS.

Enters: an opaque Pillow image and its ICC profile. Leaves: L or RGB, and a profile to carry.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from .errors import InputError, warn

GREY_MODES = ("1", "L", "LA", "La")


def settle(image: Image.Image, icc_profile: bytes, keep: bool) -> tuple[Image.Image, bytes]:
    """Return an image as L or RGB, and the ICC profile that its pixels are to be read by.

    Args:
        image: any mode without alpha.
        icc_profile: of its pixels; empty: sRGB.
        keep: RGB stays in its space; else all is converted.

    Returns:
        The profile is empty where the pixels are sRGB, by conversion or as they came.

    Raises:
        InputError: the mode is none of colours.
    """
    colours = "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"
    if not icc_profile or image.mode == "LAB":  # whose numbers are colours by themselves
        if keep and image.mode in ("CMYK", "LAB"):
            warn(f"{image.mode} colours are converted to sRGB")
        return _plain(image), b""
    try:
        profile, mode = _opened(icc_profile, image.mode, colours)
        transform = _transform(profile, mode, colours)
    except (ImageCms.PyCMSError, OSError) as error:
        warn(f"the ICC profile is not usable, sRGB is assumed: {error}")
        return _plain(image), b""
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return _plain(image), b""
    if keep and mode == colours == "RGB":
        return _plain(image), icc_profile
    if keep:
        name = "grey" if colours == "L" else mode
        warn(f"{name} colours are converted to sRGB, their ICC profile is not stored")
    source = image if mode == "CMYK" else _plain(image).convert(mode)
    converted = ImageCms.applyTransform(source, transform)
    assert converted is not None  # it is None only when asked to work in place
    return (converted.getchannel("G") if colours == "L" else converted), b""


def stays(mode: str, icc_profile: bytes, keep: bool) -> tuple[bool, bytes]:
    """Tell whether `settle` leaves pixels of a mode, L or RGB, as they are, and their profile."""
    if not icc_profile:
        return True, b""
    try:
        profile, expected = _opened(icc_profile, mode, mode)
        transform = _transform(profile, expected, mode)
    except (ImageCms.PyCMSError, OSError) as error:
        warn(f"the ICC profile is not usable, sRGB is assumed: {error}")
        return True, b""
    if _changes_nothing(transform, expected):
        return True, b""
    return keep and expected == mode == "RGB", icc_profile


def to_srgb(pixels: np.ndarray, icc_profile: bytes) -> np.ndarray:
    """Return RGB pixels (H, W, 3) uint8 of a profile's space in sRGB."""
    return np.asarray(settle(Image.fromarray(pixels), icc_profile, keep=False)[0])


def _plain(image: Image.Image) -> Image.Image:
    """Return the image as L or RGB; without a profile its numbers are taken as sRGB."""
    try:
        return image.convert("L" if image.mode in GREY_MODES else "RGB")
    except ValueError as error:
        raise InputError(f"found colour mode {image.mode}, expected grey, RGB or CMYK") from error


def _opened(
    icc_profile: bytes, image_mode: str, colours: str
) -> tuple[ImageCms.ImageCmsProfile, str]:
    """Return a profile and the mode of the pixels that it is for.

    Raises:
        PyCMSError, OSError: damaged, or for other pixels than these.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    space = profile.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    if mode is None or (mode != colours and (mode, colours) != ("RGB", "L")):
        raise ImageCms.PyCMSError(f"it is for {space}, the image is {image_mode}")
    return profile, mode


def _transform(
    profile: ImageCms.ImageCmsProfile, mode: str, colours: str
) -> ImageCms.ImageCmsTransform:
    # Little CMS is quick and wrong by up to 10 levels for dark grey, unless told not to be
    flags = ImageCms.Flags.NOOPTIMIZE if colours == "L" else ImageCms.Flags.NONE
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(profile, srgb, mode, "RGB", flags=flags)


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
