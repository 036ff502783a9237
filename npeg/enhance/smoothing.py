"""Filters that make a pixel more like its neighbours."""

import numpy as np

from ..arrays import Pixels
from .enhancement import blend, by_plane, to_float, to_pixels

LARGEST_SIGMA = 2.0  # pixels, of the Gaussian
WIENER_WINDOW = 5
LARGEST_NOISE = 25 / 255  # standard deviation that the Wiener filter assumes
BILATERAL_WINDOW, BILATERAL_SPREAD = 7, 1.5  # pixels
LARGEST_CONTRAST = 100.0  # 8-bit steps that the bilateral filter smooths over


def gaussian(image: Pixels, strength: float) -> Pixels:
    """Average with Gaussian weights.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Standard deviation of the weights in units of 2 pixels; more is smoother.

    Returns
    -------
    uint8 array like `image`. Failure look: everything is soft, edges most visibly.
    """
    from scipy.ndimage import gaussian_filter

    sigma = LARGEST_SIGMA * strength
    if sigma == 0:
        return image.copy()
    x = to_float(image)
    return to_pixels(by_plane(lambda plane: gaussian_filter(plane, sigma, mode="nearest"), x))


def median(image: Pixels, strength: float) -> Pixels:
    """Move every pixel towards the median of its 3x3 neighbourhood.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Share of the way; 1 is the plain median filter.

    Returns
    -------
    uint8 array like `image`. Failure look: thin lines and corners vanish, texture turns to paint.
    """
    from cv2 import medianBlur

    return blend(image, medianBlur(np.ascontiguousarray(image), 3), strength)


def wiener(image: Pixels, strength: float) -> Pixels:
    """Move every pixel towards the local mean, the more so the less the place varies.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Noise that is assumed, in units of 25 8-bit steps; more is smoother.

    Returns
    -------
    uint8 array like `image`. Failure look: smooth patches with noisy seams along edges.

    Source: Lim, Two-Dimensional Signal and Image Processing, 1990, equation 9.26 and following.
    """
    from scipy.ndimage import uniform_filter

    noise = (LARGEST_NOISE * strength) ** 2
    if noise == 0:
        return image.copy()

    def shrink(plane: np.ndarray) -> np.ndarray:
        # scipy.signal.wiener darkens the border: it pads with zeros
        mean = uniform_filter(plane, WIENER_WINDOW, mode="nearest")
        variance = uniform_filter(plane * plane, WIENER_WINDOW, mode="nearest") - mean * mean
        return mean + (plane - mean) * (1 - noise / np.maximum(variance, noise))

    return to_pixels(by_plane(shrink, to_float(image)))


def bilateral(image: Pixels, strength: float) -> Pixels:
    """Average those neighbours that differ little in colour.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Difference that is smoothed over, in units of 100 8-bit steps.

    Returns
    -------
    uint8 array like `image`. Failure look: flat areas with steps between them, like a cartoon.

    Source: Tomasi and Manduchi, ICCV 1998.
    """
    from cv2 import bilateralFilter

    if strength == 0:
        return image.copy()
    return np.asarray(
        bilateralFilter(
            np.ascontiguousarray(image),
            BILATERAL_WINDOW,
            LARGEST_CONTRAST * strength,
            BILATERAL_SPREAD,
        )
    )
