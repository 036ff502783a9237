"""Denoisers: they model what a picture is like, and take the rest away."""

import numpy as np

from ..arrays import Pixels
from .enhancement import to_float, to_pixels

LARGEST_NLM = 20.0  # 8-bit steps
NLM_PATCH, NLM_SEARCH = 5, 15  # pixels
LARGEST_TV = 0.2
LARGEST_WAVELET_NOISE = 25 / 255


def non_local_means(image: Pixels, strength: float) -> Pixels:
    """Average pixels whose surroundings look alike.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        How unlike they may be, in units of 20 8-bit steps; more is smoother.

    Returns
    -------
    uint8 array like `image`. Failure look: fine texture is gone in patches, beside some that is
    left; repeated artefacts are taken for texture and kept.

    Source: Buades, Coll and Morel, CVPR 2005.
    """
    import cv2

    h = LARGEST_NLM * strength
    if h == 0:
        return image.copy()
    source = np.ascontiguousarray(image)
    if image.ndim == 2:
        return np.asarray(cv2.fastNlMeansDenoising(source, None, h, NLM_PATCH, NLM_SEARCH))
    swapped = np.ascontiguousarray(source[..., ::-1])  # OpenCV takes blue first
    found = cv2.fastNlMeansDenoisingColored(swapped, None, h, h, NLM_PATCH, NLM_SEARCH)
    return np.ascontiguousarray(np.asarray(found)[..., ::-1])


def total_variation(image: Pixels, strength: float) -> Pixels:
    """Find the nearest image that varies little.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Weight of the variation, in units of 0.2; more is flatter.

    Returns
    -------
    uint8 array like `image`. Failure look: staircases in gradients, faces like wax.

    Source: Chambolle, Journal of Mathematical Imaging and Vision 20, 2004.
    """
    from skimage.restoration import denoise_tv_chambolle

    if strength == 0:
        return image.copy()
    axis = -1 if image.ndim == 3 else None
    x = to_float(image)
    return to_pixels(denoise_tv_chambolle(x, weight=LARGEST_TV * strength, channel_axis=axis))


def wavelet(image: Pixels, strength: float) -> Pixels:
    """Shrink wavelet coefficients towards zero, averaged over four shifts.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Noise that is assumed, in units of 25 8-bit steps; more is smoother.

    Returns
    -------
    uint8 array like `image`. Failure look: faint ripples beside edges.

    Source: Chang, Yu and Vetterli (BayesShrink), IEEE Transactions on Image Processing 9, 2000;
    Coifman and Donoho (shifts), 1995.
    """
    from skimage.restoration import cycle_spin, denoise_wavelet

    if strength == 0 or min(image.shape[:2]) < 16:
        return image.copy()
    colour = image.ndim == 3
    options = {
        "sigma": LARGEST_WAVELET_NOISE * strength,
        "wavelet": "db2",
        "convert2ycbcr": colour,
        "rescale_sigma": True,
    }
    if colour:
        options["channel_axis"] = -1
    return to_pixels(
        cycle_spin(
            to_float(image),
            func=denoise_wavelet,
            max_shifts=1,
            func_kw=options,
            workers=1,  # more would go through Dask, to whatever scheduler the process has set
            channel_axis=-1 if colour else None,
        )
    )
