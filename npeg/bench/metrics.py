"""How like the original a decoded image is: one number a metric, larger is better.

Enters: two images of one size, (H, W, 3) uint8. Leaves: PSNR, MS-SSIM, SSIMULACRA2.
Does not know: codecs, files, rates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from npeg.bench import ssimulacra2
from npeg.bench.codecs.contract import Pixels
from npeg.errors import InputError

Floats = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B in Y. Source: ITU-R BT.601."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales of MS-SSIM. Source: Wang, Simoncelli and Bovik 2003."""
WINDOW_TAPS = 11  # of SSIM's Gaussian window, whose sigma is 1.5 pixels
SMALLEST_SIDE = (WINDOW_TAPS - 1) * 2 ** (len(SCALE_WEIGHTS) - 1)  # must be exceeded


@dataclass(frozen=True)
class Metric:
    """A measure of likeness; `column` is its name in tables, with the unit."""

    name: str
    label: str
    column: str
    measure: Callable[[Pixels, Pixels], float]  # raises InputError where it is not defined
    package: str | None = None  # on PyPI, if it takes one that npeg itself does not need
    version: str = "1"  # of our code: stored values of another are stale

    def missing(self) -> str | None:
        """Return the command that installs what the metric needs, or None if all is here."""
        there = self.package is None or find_spec(self.package)
        return None if there else f"pip install {self.package}"


def psnr_db(original: Pixels, decoded: Pixels) -> float:
    """Return the peak signal-to-noise ratio over all RGB samples; infinite if they are equal."""
    return _psnr_of_error(original.astype(np.float32) - decoded.astype(np.float32))


def psnr_y_db(original: Pixels, decoded: Pixels) -> float:
    """Return the peak signal-to-noise ratio of luma (BT.601, full range, not rounded)."""
    return _psnr_of_error((original.astype(np.float64) - decoded.astype(np.float64)) @ LUMA)


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
    x, y = (np.moveaxis(image, 2, 0).astype(np.float32) for image in (original, decoded))
    score = np.ones(3)
    for weight in SCALE_WEIGHTS[:-1]:
        _, contrast = _ssim_terms(x, y)
        score *= np.maximum(contrast, 0) ** weight
        x, y = _halve(x), _halve(y)
    similarity, _ = _ssim_terms(x, y)
    score *= np.maximum(similarity, 0) ** SCALE_WEIGHTS[-1]
    return float(score.mean())


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR (RGB)", "psnr_rgb_db", psnr_db),
        Metric("psnr-y", "PSNR (luma)", "psnr_y_db", psnr_y_db),
        Metric("ms-ssim", "MS-SSIM (RGB)", "ms_ssim", ms_ssim, package="scipy"),
        Metric(
            "ssimulacra2", "SSIMULACRA2", "ssimulacra2", ssimulacra2.score, package="ssimulacra2"
        ),
    )
}


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        InputError: there is none of that name, or its package is not installed.
    """
    metric = METRICS.get(name)
    if metric is None:
        raise InputError(f"unknown metric {name!r}: known are {', '.join(METRICS)}, time")
    if command := metric.missing():
        raise InputError(f"metric {name} needs another package: {command}")
    return metric


def _psnr_of_error(error: NDArray[np.floating]) -> float:
    mse = np.mean(np.square(error), dtype=np.float64)
    return float(10 * np.log10(255**2 / mse)) if mse else float("inf")


def _ssim_terms(x: Floats, y: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return SSIM, and its contrast-structure part, of planes (C, H, W): means, (C,)."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mu_x, mu_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mu_x**2 + _blur(y * y) - mu_y**2
    covariance = _blur(x * y) - mu_x * mu_y
    contrast = (2 * covariance + c2) / (variances + c2)
    similarity = contrast * (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    axes = (1, 2)
    return similarity.mean(axes, dtype=np.float64), contrast.mean(axes, dtype=np.float64)


def _blur(planes: Floats) -> Floats:
    """Weigh planes (C, H, W) with SSIM's Gaussian window, to (C, H - 10, W - 10)."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
    taps = np.exp(-(offsets**2) / (2 * 1.5**2))
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
