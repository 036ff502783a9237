"""The networks as PyTorch modules: analysis, hyper-analysis, mean head, context and synthesis.

Images enter as (B, 3, H, W) in [0, 1] with H and W multiples of 64, and t, the quality as a
fraction in [0, 1], as (B,).  Latents leave unscaled; `entropy_model` scales and quantises them.
The scale head, which must be exact, lives in `scale_head`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from . import layout
from .adaptive_filter import PATCH, AdaptiveFilter
from .layers import Centred, LinearTransform, full_precision, pointwise
from .pairs import SLOPE, EightBitConvolution, EightBitPair, ResidualPair, start_at_zero
from .quality import Modulation

DETAIL = 0.1  # what the residual blocks add, of what their last layer gives: steadier in training
LATENT_DETAIL = 0.02  # the same in the analysis
LINEAR_RATE = 0.02  # times the learning rate, for the linear transforms: all else depends on them
TRANSFORM_RATE, ENTROPY_RATE = 2.0, 0.4  # the same beside them, and for the entropy model
STRIDE = 16  # pixels a latent covers in each direction
STEP = STRIDE // PATCH
WIDTH_RANGE = 1.5  # of the logarithm of a quantisation width: steps of 0.22 to 4.5 times


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of the networks; written into every checkpoint."""

    analysis_width: int = 96
    analysis_pairs: int = 5
    synthesis_width: int = 112
    synthesis_pairs: int = 4
    latents: int = 256  # M
    hyper_latents: int = 128
    hyper_width: int = 128
    scale_width: int = 96
    eight_bits: bool = False  # whether pairs and `convolution` work on 8-bit integers
    filter_kernels: int = 0  # of the synthesis' adaptive filter; 0: there is none
    adaptive_width: bool = False  # whether the quantisation width follows the hyper-latents

    def pairs(self, count: int, width: int) -> nn.ModuleList:
        """Return residual pairs of the kind that the transforms have."""
        kind = EightBitPair if self.eight_bits else ResidualPair
        return nn.ModuleList(kind(width, leaky=True) for _ in range(count))

    def convolution(self, inputs: int, outputs: int) -> nn.Module:
        """Return a 3x3 convolution of the kind that the networks of the means have."""
        if self.eight_bits:
            return EightBitConvolution(inputs, outputs)
        return Centred(inputs, outputs, 3)


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """Return layer(x) in float32, under autocast too: bf16 is coarser than the finest steps."""
    with full_precision(x):
        result: Tensor = layer(x.float())
        return result


def channel_counts(channels: int, n: int) -> tuple[int, int, int]:
    """Return how many of the channels are luma, five eighths of them, and of each chroma axis."""
    luma = min(channels * 5 // 8, n * n)
    return luma, (channels - luma + 1) // 2, (channels - luma) // 2


def opponent_dct(channels: int, n: int = STRIDE) -> Tensor:
    """Return the `channels` lowest-frequency rows of an orthonormal n x n opponent-colour DCT.

    Returns:
        (channels, 3 * n * n), columns in the order of `pixel_unshuffle(x, n)`.
    """
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    dct = np.sqrt(2 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    dct[0] /= np.sqrt(2)
    basis = np.einsum("ux,vy->uvxy", dct, dct).reshape(n * n, n * n)
    order = np.argsort(distances(n), kind="stable")
    opponent = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    rows = [
        np.kron(axis, basis[order[:count]])
        for axis, count in zip(opponent, channel_counts(channels, n), strict=True)
    ]
    return torch.from_numpy(np.concatenate(rows)).float()


def distances(n: int) -> NDArray[np.float64]:
    """Return how far the frequencies of an n x n DCT are from the corner, in those of 16x16."""
    u, v = np.divmod(np.arange(n * n), n)
    return np.hypot(u + 0.5, v + 0.5) * (STRIDE / n)


def usual_deviations(channels: int, n: int = STRIDE) -> Tensor:
    """Return about what the rows of `opponent_dct` deviate in photographs, (channels,).

    Powers of the frequency, fitted within a fifth to 240 crops of training images, and twice as
    much for the three means.
    """
    distance = np.sort(distances(n), kind="stable")
    counts = channel_counts(channels, n)
    powers = ((1.86, -1.41), (0.72, -1.98), (0.34, -1.73))
    found = [
        factor * distance[:count] ** power * np.where(np.arange(count) == 0, 2, 1)
        for (factor, power), count in zip(powers, counts, strict=True)
    ]
    return torch.from_numpy(np.concatenate(found)).float()


def whitening(channels: int, n: int) -> Tensor:
    """Return rows of `opponent_dct` scaled to deviations near 1, as ReLUs need them."""
    return opponent_dct(channels, n) / usual_deviations(channels, n)[:, None]


class Analysis(nn.Module):
    """g_a: image to latents, residual blocks at 1/8 beside a linear 16x16 transform."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = TRANSFORM_RATE
        width = arch.analysis_width
        block = 3 * PATCH**2
        self.head = LinearTransform(
            torch.eye(width, block) @ whitening(block, PATCH), whitening(block, PATCH), bias=True
        )
        self.modulation = Modulation(width)
        self.pairs = arch.pairs(arch.analysis_pairs, width)
        self.tail = nn.Conv2d(width, arch.latents, 3, stride=2, padding=1)
        self.shortcut = LinearTransform(
            opponent_dct(arch.latents), whitening(3 * STRIDE**2, STRIDE), LINEAR_RATE
        )
        start_at_zero(self.tail)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        patches = layout.unshuffle(x - 0.5, PATCH)
        blocks = layout.unshuffle(patches, STEP)
        head = layout.reordered_inputs(self.head.matrix(), PATCH)
        shortcut = layout.reordered_inputs(self.shortcut.matrix(), PATCH, STEP)
        features = pointwise(patches, head, self.head.bias)
        with full_precision(x):  # see `in_float32`
            linear = pointwise(blocks, shortcut)
        return self.finish(features, linear, t)

    def finish(self, features: Tensor, linear: Tensor, t: Tensor) -> Tensor:
        """Return latents (B, M, H/16, W/16) from what the head and the shortcut made."""
        h = self.modulation(features, t)
        for pair in self.pairs:
            h = pair(h)
        return LATENT_DETAIL * self.tail(h).float() + linear


class Synthesis(nn.Module):
    """g_s: latents to image, the mirror of `Analysis`, then an adaptive filter."""

    deviations: Tensor

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = TRANSFORM_RATE
        width = arch.synthesis_width
        self.head = nn.Conv2d(arch.latents, 4 * width, 1)
        self.modulation = Modulation(width)
        self.pairs = arch.pairs(arch.synthesis_pairs, width)
        self.tail = nn.Conv2d(width, 3 * PATCH**2, 1)
        self.shuffle: Callable[[Tensor, int], Tensor] = F.pixel_shuffle  # exported: a faster one
        start_at_zero(self.tail)
        deviations = usual_deviations(arch.latents)
        self.shortcut = LinearTransform(
            opponent_dct(arch.latents).T, torch.diag(1 / deviations), LINEAR_RATE
        )
        self.register_buffer("deviations", deviations[:, None, None], persistent=False)
        self.filter = AdaptiveFilter(arch.filter_kernels) if arch.filter_kernels else None

    def forward(self, y_hat: Tensor, t: Tensor) -> Tensor:
        tail = {
            name: layout.reordered_outputs(DETAIL * values, PATCH)
            for name, values in self.tail.named_parameters()
        }
        shortcut = layout.reordered_outputs(self.shortcut.matrix(), PATCH, STEP)
        with full_precision(y_hat):
            blocks = pointwise(y_hat, shortcut)
        detail = functional_call(self.tail, tail, self.features(y_hat, t)).float()
        patches = layout.shuffle(blocks, STEP) + detail
        if self.filter is not None:
            patches = patches + self.filter(patches, t)
        return layout.shuffle(patches + 0.5, PATCH)  # (B, 3, H, W)

    def features(self, y_hat: Tensor, t: Tensor) -> Tensor:
        """Return what the tail turns into 8x8 pixels, (B, width, H/8, W/8)."""
        h = self.modulation(self.shuffle(self.head(y_hat / self.deviations), 2), t)
        for pair in self.pairs:
            h = pair(h)
        return h


class HyperAnalysis(nn.Module):
    """h_a: latents to hyper-latents at 1/64; sees logarithms of magnitudes beside the signs."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = ENTROPY_RATE
        self.conv1 = Centred(2 * arch.latents, arch.hyper_width, 3, stride=2)
        self.conv2 = Centred(arch.hyper_width, arch.hyper_width, 3)
        self.conv3 = nn.Conv2d(arch.hyper_width, arch.hyper_latents, 3, stride=2, padding=1)

    def forward(self, y: Tensor) -> Tensor:
        magnitude = torch.log1p(16 * y.abs())  # 1/16: about the smallest latent that is coded
        h = torch.cat([magnitude * y.sign(), magnitude], dim=1)
        h = F.leaky_relu(self.conv1(h), SLOPE)
        h = h + F.leaky_relu(self.conv2(h), SLOPE)
        return self.conv3(h)  # (B, Z, H/64, W/64)


class MeanHead(nn.Module):
    """Hyper-latents to features at 1/16, the means of the anchor latents, and all widths.

    A width divides the quantisation step of its latent: where the eye forgives errors it is small.
    """

    deviations: Tensor

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = ENTROPY_RATE
        width = arch.hyper_width
        self.conv1 = Centred(arch.hyper_latents, 4 * width, 3)
        self.conv2 = arch.convolution(width, 4 * width)
        self.means = nn.Conv2d(width, arch.latents, 1)
        start_at_zero(self.means)
        self.widths = nn.Conv2d(width, arch.latents, 1) if arch.adaptive_width else None
        if self.widths is not None:
            start_at_zero(self.widths)
        deviations = usual_deviations(arch.latents)[:, None, None]
        self.register_buffer("deviations", deviations, persistent=False)

    def forward(self, z_hat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.leaky_relu(F.pixel_shuffle(self.conv1(z_hat), 2), SLOPE)
        psi = F.leaky_relu(F.pixel_shuffle(self.conv2(h), 2), SLOPE)  # (B, width, H/16, W/16)
        means = in_float32(self.means, psi) * self.deviations  # (B, M, H/16, W/16)
        return psi, means, self.widths_of(psi)  # the same, or one 1 for all

    def widths_of(self, psi: Tensor) -> Tensor:
        """Return by how much each latent is multiplied before it is rounded.

        Source: after PICO, arXiv:2605.05148.
        """
        if self.widths is None:
            return torch.ones(1, device=psi.device)
        return torch.exp(WIDTH_RANGE * torch.tanh(in_float32(self.widths, psi)))


class Context(nn.Module):
    """Decoded anchors and hyper features to the means of the other latents."""

    deviations: Tensor

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = ENTROPY_RATE
        width = arch.hyper_width
        self.neighbours = arch.convolution(arch.latents, width)
        self.mix = Centred(2 * width, width, 1)
        self.means = nn.Conv2d(width, arch.latents, 1)
        start_at_zero(self.means)
        deviations = usual_deviations(arch.latents)[:, None, None]
        self.register_buffer("deviations", deviations, persistent=False)

    def forward(self, psi: Tensor, anchors: Tensor) -> Tensor:
        neighbours = self.neighbours(anchors / self.deviations)
        h = F.leaky_relu(torch.cat([psi, neighbours], dim=1), SLOPE)
        h = F.leaky_relu(self.mix(h), SLOPE)
        return in_float32(self.means, h) * self.deviations  # (B, M, H/16, W/16)
