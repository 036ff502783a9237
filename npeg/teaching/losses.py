"""What training minimises: the original loss, and perceptual variants of it.

Enters: images x and reconstructions x_hat (B, 3, H, W) in [0, 1], and the code.  Leaves: the terms
of the loss, to be added.  Does not know: networks that make codes, files.

original     mean((x - x_hat)^2) + 0.01 * mean(code^2)
perceptual   mean((x - x_hat)^2) + 0.1 * distance(x, x_hat) + 0.01 * cnoise * mean(code)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SPARSITY = 0.01  # weight of the penalty on ones, which makes the code compressible
PERCEPTION = 0.1  # weight of a distance that is 0 for equal images and about 1 for unrelated ones
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of MS-SSIM, finest first.  Source: Wang, Simoncelli and Bovik 2003."""
WINDOW_TAPS, WINDOW_SIGMA = 11, 1.5  # of SSIM's Gaussian window.  Source: Wang et al. 2004


class Terms(NamedTuple):
    """The terms of a loss, weighted already: the loss is their sum."""

    error: Tensor
    sparsity: Tensor
    perception: Tensor

    def total(self) -> Tensor:
        """Return the loss."""
        return self.error + self.sparsity + self.perception


Distance = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Tensor, float], Terms]  # (x, x_hat, code, cnoise) -> terms
FeatureNetwork = Callable[[Tensor], Tensor | Sequence[Tensor]]


def original(x: Tensor, x_hat: Tensor, code: Tensor, cnoise: float) -> Terms:
    """Return mean((x - x_hat)^2) and 0.01 * mean(code^2), whatever the noise."""
    error = F.mse_loss(x_hat, x)
    return Terms(error, SPARSITY * code.square().mean(), error.new_zeros(()))


def perceptual(distance: Distance) -> Loss:
    """Return the loss with a perceptual distance added and the sparsity scaled by the noise."""

    def terms(x: Tensor, x_hat: Tensor, code: Tensor, cnoise: float) -> Terms:
        sparsity = SPARSITY * cnoise * code.mean()
        return Terms(F.mse_loss(x_hat, x), sparsity, PERCEPTION * distance(x, x_hat))

    return terms


def feature_distance(network: FeatureNetwork) -> Distance:
    """Return the squared difference of a network's features, relative to their mean square.

    Being relative, it has about the same size for every network, so one weight fits all.
    """

    def distance(x: Tensor, x_hat: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = _as_list(network(x))
        found = _as_list(network(x_hat))
        ratios = [
            F.mse_loss(a, b) / (b.square().mean() + 1e-8)
            for a, b in zip(found, wanted, strict=True)
        ]
        return torch.stack(ratios).mean()

    return distance


def ms_ssim_distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return 1 - MS-SSIM, the mean over the batch: 0 for equal images."""
    return 1 - ms_ssim(x, x_hat).mean()


def count_scales(side: int) -> int:
    """Return at how many scales SSIM's window fits into an image of this shorter side.

    Each scale halves the image, and more than one window of 11 pixels must fit into the last, or
    it says nothing about structure: five scales need 161 pixels.  CIFAR's 32 pixels allow two
    (32 and 16); at a third, 8 pixels, the window would be wider than the image.
    """
    fitting = [s for s in range(1, 6) if side > (WINDOW_TAPS - 1) * 2 ** (s - 1)]
    return max(fitting, default=1)


def ms_ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return the multi-scale structural similarity of each pair, mean of R, G and B: (B,).

    Windows lie wholly inside the image.  With fewer than five scales the exponents of those left
    are scaled to a sum of 1.

    Source: Wang, Simoncelli and Bovik, Asilomar 2003.
    """
    weights = SCALE_WEIGHTS[: count_scales(min(x.shape[-2:]))]
    score = x.new_ones(x.shape[:2])
    for scale, weight in enumerate(weights, 1):
        similarity, contrast = _ssim_terms(x, x_hat)
        term = similarity if scale == len(weights) else contrast
        score = score * term.clamp(min=1e-4) ** (
            weight / sum(weights)
        )  # x^w is infinitely steep at 0
        x, x_hat = F.avg_pool2d(x, 2), F.avg_pool2d(x_hat, 2)
    return score.mean(1)


def _ssim_terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return SSIM, and its contrast-structure part, of each plane: (B, C) both."""
    c1, c2 = 0.01**2, 0.03**2
    mu_x, mu_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mu_x**2 + _blur(y * y) - mu_y**2
    contrast = (2 * (_blur(x * y) - mu_x * mu_y) + c2) / (variances + c2)
    similarity = contrast * (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    return similarity.mean((2, 3)), contrast.mean((2, 3))


def _blur(planes: Tensor) -> Tensor:
    """Weigh planes (B, C, H, W) with SSIM's Gaussian window, to (B, C, H - 10, W - 10)."""
    offsets = torch.arange(WINDOW_TAPS, device=planes.device, dtype=planes.dtype) - WINDOW_TAPS // 2
    taps = torch.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    taps = (taps / taps.sum()).expand(planes.shape[1], 1, 1, WINDOW_TAPS)
    rows = F.conv2d(planes, taps, groups=planes.shape[1])
    return F.conv2d(rows, taps.transpose(2, 3), groups=planes.shape[1])


def _as_list(features: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [features] if isinstance(features, Tensor) else list(features)
