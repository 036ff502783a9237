"""Filters that change how a picture looks, on purpose: their distance to the original grows."""

import numpy as np

from ..arrays import Pixels
from .enhancement import blend, by_plane, to_float, to_pixels

UNSHARP_RADIUS, LARGEST_UNSHARP = 1.5, 2.0  # pixels, and times the detail that is added
LARGEST_CLIP = 0.04  # of CLAHE's histograms
LARGEST_GAMMA = 0.6  # how far the exponent falls below 1
CUT = 0.5  # per cent of the pixels that levels may clip at either end
NORM = 6  # of "shades of grey"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def unsharp(image: Pixels, strength: float) -> Pixels:
    """Add detail: the difference to a blurred copy, once more.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        How often the detail is added, in units of 2.

    Returns
    -------
    uint8 array like `image`, crisper. Failure look: bright and dark rims along edges; noise and
    a codec's artefacts stand out.
    """
    from scipy.ndimage import gaussian_filter

    x = to_float(image)
    blurred = by_plane(lambda plane: gaussian_filter(plane, UNSHARP_RADIUS, mode="nearest"), x)
    return to_pixels(x + LARGEST_UNSHARP * strength * (x - blurred))


def clahe(image: Pixels, strength: float) -> Pixels:
    """Equalise brightness place by place, with limited contrast.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Clip limit in units of 0.04; more is harsher.

    Returns
    -------
    uint8 array like `image`, its shadows and lights opened. Failure look: halos, grey skies,
    noise in what was dark.

    Source: Zuiderveld, Graphics Gems IV, 1994.
    """
    from skimage.exposure import equalize_adapthist

    if strength == 0:
        return image.copy()
    return to_pixels(equalize_adapthist(image, clip_limit=LARGEST_CLIP * strength))


def gamma(image: Pixels, strength: float) -> Pixels:
    """Brighten the middle tones; black and white stay.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        The exponent is 1 - 0.6 * strength; more is brighter.

    Returns
    -------
    uint8 array like `image`. Failure look: washed out, noise in what was dark.
    """
    return to_pixels(to_float(image) ** np.float32(1 - LARGEST_GAMMA * strength))


def auto_levels(image: Pixels, strength: float) -> Pixels:
    """Stretch brightness so that half a per cent of the pixels is black, and half a per cent white.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Share of the stretch.

    Returns
    -------
    uint8 array like `image`, its contrast fuller; all colours share one stretch. Failure look:
    fog and dusk are gone, which were meant.
    """
    x = to_float(image)
    low, high = np.percentile(x @ LUMA if image.ndim == 3 else x, [CUT, 100 - CUT])
    if high - low < 1 / 255:
        return image.copy()
    return blend(image, to_pixels((x - low) / (high - low)), strength)


def white_balance(image: Pixels, strength: float) -> Pixels:
    """Scale the colours so that the picture is grey on average; brightness stays.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
        A grey image has no cast and is returned as it is.
    strength : 0..1
        Share of the correction.

    Returns
    -------
    uint8 array like `image`, its cast removed. Failure look: what fills the picture with one
    colour, grass or a sunset, gets the opposite cast.

    Source: Finlayson and Trezzi (shades of grey, norm 6), Color Imaging Conference 2004.
    """
    if image.ndim == 2:
        return image.copy()
    x = to_float(image)
    shades = np.mean(x**NORM, axis=(0, 1), dtype=np.float64) ** (1 / NORM)
    if shades.min() <= 0:
        return image.copy()
    gains = shades.mean() / shades
    return blend(image, to_pixels(x * gains.astype(np.float32)), strength)
