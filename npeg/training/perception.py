"""Distortion as people see it: differentiable SSIMULACRA2 and MS-SSIM, weighed against bits.

Enters: originals and reconstructions (B, 3, H, W) in [0, 1]. Leaves: what each sample's errors cost
in bits per pixel (B,), for the gradient of the reconstruction. All is computed in float32; blurs
are products with banded matrices, many times faster here than convolutions with few channels.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..bench.metrics import ssim, ssimulacra2
from .networks.layers import full_precision

TINY = 1e-18  # keeps the root of a mean of fourth powers differentiable; 1e-10 costs points
MSE_SHARE, SSIMULACRA2_SHARE, MS_SSIM_SHARE = 0.2, 0.65, 0.15  # of what errors cost
MARGIN = 16  # pixels mirrored around a crop: where windows meet its border they see too little
SMALLEST_CROP = ssim.SMALLEST_SIDE + 1
LUMA = (0.299, 0.587, 0.114)


class Slope(NamedTuple):
    """exp(a + b t + c t^2): bits per pixel that one unit of a measure is worth at quality t.

    Along the rate-distortion curve of a trained codec rate and distortion trade at dR/dt = -lambda
    dD/dt. With that lambda a measure asks for about the rate that the codec spends already.
    Fitted by recipes/slopes.py.
    """

    a: float
    b: float
    c: float

    def at(self, t: Tensor) -> Tensor:
        """Return the slope at qualities t."""
        return torch.exp(self.a + self.b * t + self.c * t * t)


SSIMULACRA2_SLOPE = Slope(-6.82, 4.48, 0.44)
MS_SSIM_SLOPE = Slope(-0.64, 7.60, -0.90)


def cost(x: Tensor, x_hat: Tensor, t: Tensor) -> Tensor:
    """Return what errors cost, in bits per pixel, beside the share of the squared error (B,)."""
    x, x_hat = (F.pad(v, [MARGIN] * 4, mode="reflect") for v in (x, x_hat))
    seen = SSIMULACRA2_SHARE * SSIMULACRA2_SLOPE.at(t) * ssimulacra2_distance(x, x_hat)
    return seen + MS_SSIM_SHARE * MS_SSIM_SLOPE.at(t) * ms_ssim_distance(x, x_hat)


def ssimulacra2_distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return 100 - SSIMULACRA2 of each sample (B,), sides of 8 pixels or more.

    Source: libjxl, tools/ssimulacra2.cc; see npeg/bench/metrics/ssimulacra2.py.
    """
    from ssimulacra2.ssimulacra2 import weights

    with full_precision(x):
        a = _to_linear(x.float().contiguous())
        b = _to_linear(clamp_straight(x_hat.float().contiguous()))
        terms: list[Tensor] = []
        while len(terms) < ssimulacra2.SCALES:
            if terms:
                a, b = F.avg_pool2d(a, 2, ceil_mode=True), F.avg_pool2d(b, 2, ceil_mode=True)
            terms.append(_scale_terms(_to_xyb(a), _to_xyb(b)))
            if min(a.shape[2:]) < ssimulacra2.SMALLEST_SIDE:
                break
        values = torch.stack(terms, 2).flatten(1)  # (B, 3, scales, 2, 3), as the weights
        weight = torch.from_numpy(weights[: values.shape[1]]).float().to(x.device)
        v = 0.9562382616834844 * (values @ weight)
        v = 2.326765642916932 * v - 0.020884521182843837 * v**2 + 6.248496625763138e-05 * v**3
        return 10 * v.clamp(min=TINY) ** 0.6276336467831387


def ms_ssim_distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return 1 - MS-SSIM of the luma of each sample (B,), sides of 161 pixels or more.

    Source: Wang, Simoncelli and Bovik, Asilomar 2003.
    """
    with full_precision(x):
        weights = torch.tensor(LUMA, device=x.device)
        a, b = (torch.einsum("c,bchw->bhw", weights, v.float() * 255) for v in (x, x_hat))
        score = torch.ones(len(x), device=x.device)
        for scale, exponent in enumerate(ssim.SCALE_WEIGHTS):
            if scale:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            similarity, contrast = _ssim_terms(a, b)
            last = scale == len(ssim.SCALE_WEIGHTS) - 1
            score = score * (similarity if last else contrast).clamp(min=1e-6) ** exponent
        return 1 - score


def clamp_straight(x: Tensor) -> Tensor:
    """Clamp to [0, 1], passing the gradient straight through."""
    return x + (x.clamp(0, 1) - x).detach()


def _scale_terms(a: Tensor, b: Tensor) -> Tensor:
    """Compare XYB images (B, 3, H, W) at one scale; return (B, 3, 2, 3) as the bench's does."""
    mean_a, mean_b = _blur(a), _blur(b)
    variance = _blur(a * a) - mean_a**2 + _blur(b * b) - mean_b**2
    contrast = 2 * (_blur(a * b) - mean_a * mean_b) + ssimulacra2.C2
    ratio = contrast / (variance + ssimulacra2.C2)
    dissimilar = (1 - (1 - (mean_a - mean_b) ** 2) * ratio).clamp(min=0)
    edges = (1 + (b - mean_b).abs()) / (1 + (a - mean_a).abs()) - 1
    maps = torch.stack([dissimilar, edges.clamp(min=0), (-edges).clamp(min=0)], 2)
    fourth = (maps * maps).square().mean((3, 4))
    return torch.stack([maps.mean((3, 4)), (fourth + TINY) ** 0.25], 2)


def _to_linear(x: Tensor) -> Tensor:
    """Turn sRGB (B, 3, H, W) into linear light."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04) + 0.055) / 1.055) ** 2.4)


def _to_xyb(linear: Tensor) -> Tensor:
    """Turn linear light (B, 3, H, W) into XYB, moved to be positive, with blue less yellow."""
    absorbance = torch.from_numpy(ssimulacra2.ABSORBANCE).to(linear.device)
    bias = float(ssimulacra2.BIAS)
    cones = torch.einsum("kc,bchw->bkhw", absorbance, linear) + bias
    long, middle, short = (cones ** (1 / 3) - bias ** (1 / 3)).unbind(1)
    x, y = (long - middle) / 2, (long + middle) / 2
    return torch.stack([14 * x + 0.42, y + 0.01, short - y + 0.55], 1)


def _ssim_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return SSIM, and its contrast-structure part, of planes (B, H, W): means (B,)."""
    mean_a, mean_b = _window(a), _window(b)
    variances = _window(a * a) - mean_a**2 + _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    contrast = (2 * covariance + ssim.C2) / (variances + ssim.C2)
    similarity = contrast * (2 * mean_a * mean_b + ssim.C1) / (mean_a**2 + mean_b**2 + ssim.C1)
    return similarity.mean((1, 2)), contrast.mean((1, 2))


def _blur(planes: Tensor) -> Tensor:
    """Weigh with SSIMULACRA2's Gaussian; outside of the image are zeros."""
    taps = tuple(ssimulacra2._taps().tolist())
    return _weigh(planes, taps, len(taps) // 2)


def _window(planes: Tensor) -> Tensor:
    """Weigh with SSIM's Gaussian, which lies wholly inside the image: (B, H - 10, W - 10)."""
    offsets = np.arange(ssim.WINDOW_TAPS) - ssim.WINDOW_TAPS // 2
    taps = np.exp(-(offsets**2) / (2 * ssim.SIGMA**2))
    return _weigh(planes, tuple((taps / taps.sum()).tolist()), 0)


def _weigh(planes: Tensor, taps: tuple[float, ...], outside: int) -> Tensor:
    """Filter rows and columns of (..., H, W), with so many zeros outside of each border."""
    h, w = planes.shape[-2:]
    vertical = _band(h, taps, outside).to(planes.device)
    horizontal = _band(w, taps, outside).to(planes.device)
    return vertical @ (planes @ horizontal.T)


@cache
def _band(size: int, taps: tuple[float, ...], outside: int) -> Tensor:
    """Return the matrix (size + 2 * outside - taps + 1, size) that a filter is."""
    padded = size + 2 * outside
    rows = torch.zeros(padded - len(taps) + 1, padded)
    for shift, tap in enumerate(taps):
        rows.diagonal(shift)[:] = tap
    return rows[:, outside : outside + size].contiguous()
