"""How like the original a decoded image is: one number a metric.

Enters: two images of one size, (H, W, 3) uint8. Leaves: a score; the registry of all metrics.
Does not know: codecs, files, rates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels
from npeg.bench.metrics import butteraugli, iw_ssim, ssim, ssimulacra2, st_lpips, vmaf
from npeg.bench.metrics.luma import luma
from npeg.bench.metrics.psnr_b import psnr_b_db
from npeg.errors import InputError


def _missing(**packages: str) -> str | None:
    """Return the command that installs what is not here of modules, by their name on PyPI."""
    names = [package for module, package in packages.items() if not find_spec(module)]
    return f"pip install {' '.join(names)}" if names else None


@dataclass(frozen=True)
class Metric:
    """A measure of likeness; `column` is its name in tables, with the unit."""

    name: str
    label: str
    column: str
    measure: Callable[[Pixels, Pixels], float]  # raises InputError where it is not defined
    source: str  # what computes it
    missing: Callable[[], str | None] = _missing  # the command that installs what is not here
    program: Callable[[], str] | None = None  # name and version, if other programs do the work
    revision: str = "1"  # of our code
    larger_is_better: bool = True
    decibels: bool = False  # whether curves are drawn of -10 log10(1 - score)

    @property
    def version(self) -> str:
        """What the numbers depend on: stored values of another version are stale."""
        return f"{self.revision}, {self.program()}" if self.program else self.revision


def mse(original: Pixels, decoded: Pixels) -> float:
    """Return the mean squared error of all RGB samples, in squares of 8-bit steps."""
    return _mean_square(original.astype(np.float32) - decoded.astype(np.float32))


def psnr_db(original: Pixels, decoded: Pixels) -> float:
    """Return the peak signal-to-noise ratio over all RGB samples; infinite if they are equal."""
    return _psnr_of_mse(mse(original, decoded))


def psnr_y_db(original: Pixels, decoded: Pixels) -> float:
    """Return the peak signal-to-noise ratio of luma (BT.601, full range, not rounded)."""
    return _psnr_of_mse(_mean_square(luma(original) - luma(decoded)))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR (RGB)", "psnr_rgb_db", psnr_db, "npeg: mean over R, G and B"),
        Metric("psnr-y", "PSNR (luma)", "psnr_y_db", psnr_y_db, "npeg: BT.601 luma"),
        Metric(
            "psnr-b", "PSNR-B (luma)", "psnr_b_db", psnr_b_db, "npeg: Yim and Bovik, 8x8 blocks"
        ),
        Metric("mse", "MSE (RGB)", "mse_rgb", mse, "npeg", larger_is_better=False),
        Metric(
            "ssim",
            "SSIM (luma)",
            "ssim_y",
            ssim.ssim,
            "scikit-image: BT.601 luma, Gaussian window, sigma 1.5",
            missing=partial(_missing, skimage="scikit-image"),
            decibels=True,
        ),
        Metric(
            "ms-ssim",
            "MS-SSIM (RGB)",
            "ms_ssim",
            ssim.ms_ssim,
            "npeg, as pytorch-msssim: mean of R, G and B",
            missing=partial(_missing, scipy="scipy"),
            decibels=True,
        ),
        Metric(
            "iw-ssim",
            "IW-SSIM (luma)",
            "iw_ssim_y",
            iw_ssim.iw_ssim,
            "npeg, as the authors' code: BT.601 luma",
            missing=partial(_missing, scipy="scipy"),
            decibels=True,
        ),
        Metric(
            "ssimulacra2",
            "SSIMULACRA2",
            "ssimulacra2",
            ssimulacra2.score,
            "npeg, as libjxl's ssimulacra2 2.1",
            missing=partial(_missing, scipy="scipy", ssimulacra2="ssimulacra2"),
        ),
        Metric(
            "butteraugli",
            "Butteraugli (3-norm)",
            "butteraugli_3norm",
            butteraugli.distance,
            "libjxl's butteraugli_main: 3-norm, 80 nits",
            missing=butteraugli.missing,
            program=butteraugli.version,
            larger_is_better=False,
        ),
        Metric(
            "vmaf",
            "VMAF",
            "vmaf",
            vmaf.score,
            "ffmpeg's libvmaf: vmaf_v0.6.1, one frame",
            missing=vmaf.missing,
            program=vmaf.version,
        ),
        Metric(
            "vmaf-neg",
            "VMAF NEG",
            "vmaf_neg",
            partial(vmaf.score, model=vmaf.NEG_MODEL),
            "ffmpeg's libvmaf: vmaf_v0.6.1neg, one frame",
            missing=vmaf.missing,
            program=vmaf.version,
        ),
        Metric(
            "st-lpips",
            "ST-LPIPS (AlexNet)",
            "st_lpips_alex",
            st_lpips.distance,
            "npeg, with the weights of stlpips-pytorch: AlexNet",
            missing=partial(_missing, stlpips_pytorch="stlpips-pytorch", torch="torch"),
            program=st_lpips.package_version,
            larger_is_better=False,
        ),
    )
}
RESOURCES = ("time", "memory")
"""What a run can be asked for beside metrics: of the machine, not of the image."""


def find_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        InputError: there is none of that name, or what it needs is not installed.
    """
    metric = METRICS.get(name)
    if metric is None:
        known = ", ".join((*METRICS, *RESOURCES))
        raise InputError(f"unknown metric {name!r}: known are {known}")
    if command := metric.missing():
        raise InputError(f"metric {name} is not installed: {command}")
    return metric


def _mean_square(error: NDArray[np.floating]) -> float:
    return float(np.mean(np.square(error), dtype=np.float64))


def _psnr_of_mse(mean_square: float) -> float:
    return float(10 * np.log10(255**2 / mean_square)) if mean_square else float("inf")
