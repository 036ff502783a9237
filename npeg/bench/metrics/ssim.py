"""Structural similarity, at one scale and at five.

Enters: two images of one size, (H, W, 3) uint8. Leaves: a score, at most 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels
from npeg.bench.metrics.luma import luma
from npeg.bench.metrics.originals import remember
from npeg.errors import InputError

Floats = NDArray[np.float32]

SIGMA = 1.5  # of the Gaussian window, in pixels
WINDOW_TAPS = 11
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales of MS-SSIM. Source: Wang, Simoncelli and Bovik 2003."""
SMALLEST_SIDE = (WINDOW_TAPS - 1) * 2 ** (len(SCALE_WEIGHTS) - 1)  # must be exceeded
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(original: Pixels, decoded: Pixels) -> float:
    """Return the structural similarity of luma (BT.601, full range, not rounded), -1..1.

    The window is the paper's, and lies wholly inside the image; the image is not reduced first.

    Raises:
        InputError: a side is under 11 pixels.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13, 2004.
    """
    from skimage.metrics import structural_similarity

    if min(original.shape[:2]) < WINDOW_TAPS:
        height, width = original.shape[:2]
        raise InputError(f"SSIM needs 11x11 pixels or more, found {width}x{height}")
    return float(
        structural_similarity(
            luma(original),
            luma(decoded),
            data_range=255,
            gaussian_weights=True,  # 11 taps at this sigma
            sigma=SIGMA,
            use_sample_covariance=False,
        )
    )


def ms_ssim(original: Pixels, decoded: Pixels) -> float:
    """Return the multi-scale structural similarity, mean of R, G and B, 0..1.

    Windows lie wholly inside the image and scales are averages of 2x2, as in pytorch-msssim,
    with which learned codecs are measured.

    Raises:
        InputError: a side is 160 pixels or less, too small for five scales.

    Source: Wang, Simoncelli and Bovik, Asilomar 2003.
    """
    if min(original.shape[:2]) <= SMALLEST_SIDE:
        height, width = original.shape[:2]
        raise InputError(f"MS-SSIM needs more than {SMALLEST_SIDE} pixels, found {width}x{height}")
    score = np.ones(3)
    y = _planes(decoded)
    for scale, x in enumerate(_scales(original)):
        similarity, contrast = _ssim_terms(x, y)
        last = scale == len(SCALE_WEIGHTS) - 1
        score *= np.maximum(similarity if last else contrast, 0) ** SCALE_WEIGHTS[scale]
        y = y if last else _halve(y)
    return float(score.mean())


class _Scale(NamedTuple):
    """An original at one scale: its planes (C, H, W), local means and variances."""

    planes: Floats
    mean: Floats
    variance: Floats


@remember
def _scales(original: Pixels) -> list[_Scale]:
    planes = _planes(original)
    scales: list[_Scale] = []
    for _ in SCALE_WEIGHTS:
        mean = _blur(planes)
        scales.append(_Scale(planes, mean, _blur(planes * planes) - mean**2))
        planes = _halve(planes)
    return scales


def _ssim_terms(x: _Scale, y: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return SSIM, and its contrast-structure part, of planes (C, H, W): means, (C,)."""
    mean = _blur(y)
    variances = x.variance + _blur(y * y) - mean**2
    covariance = _blur(x.planes * y) - x.mean * mean
    contrast = (2 * covariance + C2) / (variances + C2)
    similarity = contrast * (2 * x.mean * mean + C1) / (x.mean**2 + mean**2 + C1)
    axes = (1, 2)
    return similarity.mean(axes, dtype=np.float64), contrast.mean(axes, dtype=np.float64)


def _planes(image: Pixels) -> Floats:
    return np.moveaxis(image, 2, 0).astype(np.float32, order="C")


def _blur(planes: Floats) -> Floats:
    """Weigh planes (C, H, W) with the Gaussian window, to (C, H - 10, W - 10)."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
    taps = np.exp(-(offsets**2) / (2 * SIGMA**2))
    for axis in (1, 2):
        planes = correlate1d(planes, taps / taps.sum(), axis=axis, mode="constant")
    inside = slice(WINDOW_TAPS // 2, -(WINDOW_TAPS // 2))
    return planes[:, inside, inside]


def _halve(planes: Floats) -> Floats:
    """Average 2x2 blocks of planes (C, H, W); an odd side gets a line of zeros in front."""
    _, height, width = planes.shape
    planes = np.pad(planes, ((0, 0), (height % 2, height % 2), (width % 2, width % 2)))
    planes = planes[:, : planes.shape[1] // 2 * 2, : planes.shape[2] // 2 * 2]
    c, height, width = planes.shape
    halved: Floats = planes.reshape(c, height // 2, 2, width // 2, 2).mean((2, 4))
    return halved
