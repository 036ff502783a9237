"""SSIMULACRA2: two images to a score of how alike they look.

Written from the reference, libjxl's `tools/ssimulacra2.cc` of 2023. The Python package
`ssimulacra2` gives the weights; its own score mirrors the image at two of its borders where the
reference takes zeros: too low by 0.2 on good pictures of 768x512, by several points on bad ones.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels
from npeg.bench.metrics.originals import remember
from npeg.errors import InputError

Floats = NDArray[np.float32]

SCALES = 6
SMALLEST_SIDE = 8
C2 = 0.0009  # keeps SSIM's ratio finite where both images are flat
SIGMA, RADIUS = 1.5, 5
ABSORBANCE = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ],
    np.float32,
)
"""What the eye's three kinds of cones take of linear R, G, B. Source: libjxl, `opsin_params.h`."""
BIAS = np.float32(0.0037930732552754493)


def score(original: Pixels, decoded: Pixels) -> float:
    """Return 100 for no difference, about 70 for high quality, below 0 for very low.

    Raises:
        InputError: a side is under 8 pixels.
    """
    from ssimulacra2.ssimulacra2 import weights

    if min(original.shape[:2]) < SMALLEST_SIDE:
        height, width = original.shape[:2]
        raise InputError(f"SSIMULACRA2 needs 8x8 pixels or more, found {width}x{height}")
    terms: list[NDArray[np.float64]] = []
    linear = _to_linear(decoded)
    for scale in _scales(original):
        if terms:
            linear = _halve(linear)
        terms.append(_scale_terms(scale, _to_xyb(linear)))
    values = np.array(terms).swapaxes(0, 1).ravel()  # as the weights: by colour, then scale
    x = 0.9562382616834844 * float(weights[: values.size] @ values)
    x = 2.326765642916932 * x - 0.020884521182843837 * x**2 + 6.248496625763138e-05 * x**3
    return 100 - 10 * max(x, 0.0) ** 0.6276336467831387


class _Scale(NamedTuple):
    """An original at one scale: XYB (3, H, W), its local means and variances."""

    xyb: Floats
    mean: Floats
    variance: Floats


@remember
def _scales(original: Pixels) -> list[_Scale]:
    linear = _to_linear(original)
    scales: list[_Scale] = []
    while len(scales) < SCALES:
        xyb = _to_xyb(linear)
        mean = _blur(xyb)
        scales.append(_Scale(xyb, mean, _blur(xyb * xyb) - mean**2))
        if min(linear.shape[1:]) < SMALLEST_SIDE:
            break
        linear = _halve(linear)
    return scales


def _scale_terms(a: _Scale, b: Floats) -> NDArray[np.float64]:
    """Compare an original with an image (3, H, W) at one scale.

    Returns (3, 2, 3): for each plane the mean, then the 4-norm, of three maps: what SSIM misses,
    edges that are new in `b`, edges that it lost.
    """
    mean_b = _blur(b)
    contrast = 2 * (_blur(a.xyb * b) - a.mean * mean_b) + C2
    spread = a.variance + (_blur(b * b) - mean_b**2) + C2
    dissimilar = np.maximum(1 - (1 - (a.mean - mean_b) ** 2) * contrast / spread, 0)
    edges = (1 + np.abs(b - mean_b)) / (1 + np.abs(a.xyb - a.mean)) - 1
    maps = np.stack([dissimilar, np.maximum(edges, 0), np.maximum(-edges, 0)], axis=1)
    means = maps.mean((2, 3), dtype=np.float64)
    fourth = np.square(np.square(maps)).mean((2, 3), dtype=np.float64)  # maps**4 takes far longer
    return np.stack([means, fourth**0.25], axis=1)


def _to_linear(image: Pixels) -> Floats:
    """Turn (H, W, 3) sRGB into (3, H, W) linear light, 0..1."""
    v = np.arange(256) / 255
    table = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(table[image], 2, 0))


def _to_xyb(linear: Floats) -> Floats:
    """Turn linear light into XYB, moved to be positive, with blue less yellow for B."""
    cones = np.tensordot(ABSORBANCE, linear, axes=1) + BIAS
    long, middle, short = np.cbrt(cones) - np.cbrt(BIAS)
    x, y = (long - middle) / 2, (long + middle) / 2
    return np.stack([14 * x + np.float32(0.42), y + np.float32(0.01), short - y + np.float32(0.55)])


def _halve(planes: Floats) -> Floats:
    """Average 2x2 blocks; an odd side repeats its last line."""
    odd = (0, 0), (0, planes.shape[1] % 2), (0, planes.shape[2] % 2)
    p: Floats = np.pad(planes, odd, mode="edge")
    four = p[:, ::2, ::2] + p[:, 1::2, ::2] + p[:, ::2, 1::2] + p[:, 1::2, 1::2]
    return four * np.float32(0.25)


def _blur(planes: Floats) -> Floats:
    """Weigh with a Gaussian; outside of the image are zeros."""
    from scipy.ndimage import correlate1d

    for axis in (1, 2):
        planes = correlate1d(planes, _taps(), axis=axis, mode="constant")
    return planes


@cache
def _taps() -> NDArray[np.float64]:
    """Return the nine weights of the reference's recursive filter, cosines in the place of exp.

    Source: Charalampidis, IEEE Transactions on Signal Processing 64, 2016, equations 37 to 57.
    """
    omega = np.array([1, 3, 5]) * math.pi / (2 * RADIUS)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-0.5 * SIGMA**2 * omega**2) / RADIUS
    zeta = np.roll(p, -1) * np.roll(r, -2) - np.roll(r, -1) * np.roll(p, -2)  # D35, D51, D13
    zeta /= zeta[2]
    gamma = np.array([1, RADIUS**2 - SIGMA**2, zeta @ rho])
    beta = np.linalg.solve(np.stack([p, r, zeta]), gamma)
    offsets = np.arange(1 - RADIUS, RADIUS)
    taps: NDArray[np.float64] = beta @ np.cos(np.outer(omega, offsets))
    return taps
