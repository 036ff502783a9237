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
from torch import Tensor, nn
from torch.func import functional_call

from . import layout
from .pairs import EightBitPair, ResidualPair, start_at_zero

KNOTS = 8  # quality-dependent vectors are interpolated linearly over this many points
PATCH = 8  # both transforms work on 8x8 pixel patches moved to channels
STRIDE = 16  # pixels a latent covers in each direction
STEP = STRIDE // PATCH


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of the networks; written into every checkpoint."""

    analysis_width: int = 96
    analysis_pairs: int = 5
    synthesis_width: int = 112
    synthesis_pairs: int = 4
    latents: int = 256  # M
    hyper_latents: int = 64
    hyper_width: int = 96
    scale_width: int = 64
    end_kernel: int = 1  # side of the kernels next to the pixels
    eight_bits: bool = False  # whether the residual pairs work on 8-bit integers

    def pairs(self, count: int, width: int) -> nn.ModuleList:
        """Return residual pairs of the kind that the transforms have."""
        kind = EightBitPair if self.eight_bits else ResidualPair
        return nn.ModuleList(kind(width) for _ in range(count))


def knot_weights(t: Tensor) -> Tensor:
    """Return the (B, KNOTS) linear interpolation weights of the qualities t (B,)."""
    return F.relu(1 - (t[:, None] * (KNOTS - 1) - torch.arange(KNOTS, device=t.device)).abs())


def interpolate(knots: Tensor, t: Tensor) -> Tensor:
    """Interpolate per-channel vectors (KNOTS, C) at t (B,) to (B, C, 1, 1), always in float32."""
    with torch.autocast("cpu", enabled=False):
        return (knot_weights(t) @ knots)[:, :, None, None]


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """Return layer(x) in float32, under autocast too: bf16 is coarser than the finest steps."""
    with torch.autocast("cpu", enabled=False):
        result: Tensor = layer(x.float())
        return result


class Modulation(nn.Module):
    """Scale and shift each channel by amounts learned over the quality."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(KNOTS, channels))
        self.shift = nn.Parameter(torch.zeros(KNOTS, channels))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return x * interpolate(self.gain, t).to(x.dtype) + interpolate(self.shift, t).to(x.dtype)


def opponent_dct(channels: int) -> Tensor:
    """Return the `channels` lowest-frequency rows of an orthonormal 16x16 opponent-colour DCT.

    Five eighths of the rows are luma, the rest is shared by the two chroma axes.

    Returns:
        (channels, 3 * 16 * 16), columns in the order of `pixel_unshuffle(x, 16)`.
    """
    n = STRIDE
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    dct = np.sqrt(2 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    dct[0] /= np.sqrt(2)
    basis = np.einsum("ux,vy->uvxy", dct, dct).reshape(n * n, n * n)
    u, v = np.divmod(np.arange(n * n), n)
    order = np.argsort((u + 0.5) ** 2 + (v + 0.5) ** 2, kind="stable")
    opponent = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    luma = channels * 5 // 8
    counts = (luma, (channels - luma + 1) // 2, (channels - luma) // 2)
    rows = [
        np.kron(axis, basis[order[:count]]) for axis, count in zip(opponent, counts, strict=True)
    ]
    return torch.from_numpy(np.concatenate(rows)).float()


class Analysis(nn.Module):
    """g_a: image to latents, residual blocks at 1/8 beside a linear 16x16 transform."""

    def __init__(self, arch: Architecture):
        super().__init__()
        width = arch.analysis_width
        kernel = arch.end_kernel
        self.head = nn.Conv2d(3 * PATCH**2, width, kernel, padding=kernel // 2)
        self.modulation = Modulation(width)
        self.pairs = arch.pairs(arch.analysis_pairs, width)
        self.tail = nn.Conv2d(width, arch.latents, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(3 * STRIDE**2, arch.latents, 1, bias=False)
        start_at_zero(self.tail)
        self.shortcut.weight.data = opponent_dct(arch.latents)[:, :, None, None]

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        patches = layout.unshuffle(x - 0.5, PATCH)
        blocks = layout.unshuffle(patches, STEP)
        head = layout.reordered_inputs(self.head.weight, PATCH)
        shortcut = layout.reordered_inputs(self.shortcut.weight, PATCH, STEP)
        features = functional_call(self.head, {"weight": head}, patches)
        with torch.autocast("cpu", enabled=False):  # see `in_float32`
            linear = functional_call(self.shortcut, {"weight": shortcut}, blocks)
        return self.finish(features, linear, t)

    def finish(self, features: Tensor, linear: Tensor, t: Tensor) -> Tensor:
        """Return latents (B, M, H/16, W/16) from what the head and the shortcut made."""
        h = self.modulation(features, t)
        for pair in self.pairs:
            h = pair(h)
        return self.tail(h).float() + linear


class Synthesis(nn.Module):
    """g_s: latents to image, the mirror of `Analysis`."""

    def __init__(self, arch: Architecture):
        super().__init__()
        width = arch.synthesis_width
        self.head = nn.Conv2d(arch.latents, 4 * width, 1)
        self.modulation = Modulation(width)
        self.pairs = arch.pairs(arch.synthesis_pairs, width)
        kernel = arch.end_kernel
        self.tail = nn.Conv2d(width, 3 * PATCH**2, kernel, padding=kernel // 2)
        self.shortcut = nn.Conv2d(arch.latents, 3 * STRIDE**2, 1, bias=False)
        self.shuffle: Callable[[Tensor, int], Tensor] = F.pixel_shuffle  # exported: a faster one
        start_at_zero(self.tail)
        self.shortcut.weight.data = opponent_dct(arch.latents).T[:, :, None, None].clone()

    def forward(self, y_hat: Tensor, t: Tensor) -> Tensor:
        tail = {
            name: layout.reordered_outputs(values, PATCH)
            for name, values in self.tail.named_parameters()
        }
        shortcut = layout.reordered_outputs(self.shortcut.weight, PATCH, STEP)
        with torch.autocast("cpu", enabled=False):
            blocks = functional_call(self.shortcut, {"weight": shortcut}, y_hat)
        detail = functional_call(self.tail, tail, self.features(y_hat, t)).float()
        patches = layout.shuffle(blocks, STEP) + detail
        return layout.shuffle(patches + 0.5, PATCH)  # (B, 3, H, W)

    def features(self, y_hat: Tensor, t: Tensor) -> Tensor:
        """Return what the tail turns into 8x8 pixels, (B, width, H/8, W/8)."""
        h = self.modulation(self.shuffle(self.head(y_hat), 2), t)
        for pair in self.pairs:
            h = pair(h)
        return h


class HyperAnalysis(nn.Module):
    """h_a: latents to hyper-latents at 1/64; sees logarithms of magnitudes beside the signs."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.conv1 = nn.Conv2d(2 * arch.latents, arch.hyper_width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(arch.hyper_width, arch.hyper_width, 3, padding=1)
        self.conv3 = nn.Conv2d(arch.hyper_width, arch.hyper_latents, 3, stride=2, padding=1)

    def forward(self, y: Tensor) -> Tensor:
        magnitude = torch.log1p(16 * y.abs())  # 1/16: about the smallest latent that is coded
        h = torch.cat([magnitude * y.sign(), magnitude], dim=1)
        h = F.relu(self.conv1(h))
        h = h + F.relu(self.conv2(h))
        return self.conv3(h)  # (B, Z, H/64, W/64)


class MeanHead(nn.Module):
    """Hyper-latents to features at 1/16 and the means of the anchor latents."""

    def __init__(self, arch: Architecture):
        super().__init__()
        width = arch.hyper_width
        self.conv1 = nn.Conv2d(arch.hyper_latents, 4 * width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.means = nn.Conv2d(width, arch.latents, 1)
        start_at_zero(self.means)

    def forward(self, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(F.pixel_shuffle(self.conv1(z_hat), 2))
        psi = F.relu(F.pixel_shuffle(self.conv2(h), 2))
        return psi, in_float32(self.means, psi)  # (B, width, H/16, W/16), (B, M, H/16, W/16)


class Context(nn.Module):
    """Decoded anchors and hyper features to the means of the other latents."""

    def __init__(self, arch: Architecture):
        super().__init__()
        width = arch.hyper_width
        self.neighbours = nn.Conv2d(arch.latents, width, 3, padding=1)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.means = nn.Conv2d(width, arch.latents, 1)
        start_at_zero(self.means)

    def forward(self, psi: Tensor, anchors: Tensor) -> Tensor:
        h = torch.cat([psi, self.neighbours(anchors)], dim=1)
        return in_float32(self.means, F.relu(self.mix(F.relu(h))))  # (B, M, H/16, W/16)
