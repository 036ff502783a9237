"""The whole codec as one differentiable model: image to reconstruction and rate."""

import torch
from torch import Tensor, nn

from .entropy_model import TABLES, QualityGains, ScaleMixture, clamp_ste
from .pairs import round_ste
from .scale_head import ScaleHead
from .transforms import Analysis, Architecture, Context, HyperAnalysis, MeanHead, Synthesis

LMBDA_MIN, LMBDA_RATIO = 20.0, 800.0  # lmbda * 255^2 at t = 0, and how much larger at t = 1


def distortion_weight(t: Tensor) -> Tensor:
    """Return lmbda * 255^2 for qualities t in [0, 1]: the loss is R + that * MSE."""
    return LMBDA_MIN * LMBDA_RATIO**t


def anchor_mask(like: Tensor) -> Tensor:
    """Return a (h, w) mask that is 1 on the checkerboard's anchors, where i + j is even."""
    h, w = like.shape[-2:]
    i = torch.arange(h, device=like.device)[:, None]
    j = torch.arange(w, device=like.device)[None]
    return ((i + j) % 2 == 0).to(like.dtype)


class Codec(nn.Module):
    """g_a, h_a, the heads, the context model, g_s and the entropy model."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.g_a = Analysis(arch)
        self.h_a = HyperAnalysis(arch)
        self.scale_head = ScaleHead(arch)
        self.mean_head = MeanHead(arch)
        self.context = Context(arch)
        self.g_s = Synthesis(arch)
        self.gains = QualityGains(arch.latents, arch.hyper_latents)
        self.mixture = ScaleMixture()

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        noise: tuple[Tensor, Tensor] | None = None,
        hyper_weight: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Code a batch.

        Args:
            x: images (B, 3, H, W) in [0, 1], H and W multiples of 64.
            t: qualities (B,) in [0, 1].
            noise: uniform in [-0.5, 0.5) with the shapes of y and z; stands for rounding in the
                rate.  None evaluates the rate on the rounded symbols.
            hyper_weight: how much of the hyper-latents' bits is counted.

        Returns:
            x_hat (B, 3, H, W), not clipped, and the rate in bits (B,).
        """
        y_hat, rate = self.code(self.g_a(x, t), t, noise, hyper_weight)
        return self.g_s(y_hat, t), rate

    def code(
        self,
        y: Tensor,
        t: Tensor,
        noise: tuple[Tensor, Tensor] | None = None,
        hyper_weight: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Code latents y (B, M, H/16, W/16) as `forward` codes images; return them and the rate."""
        z = self.h_a(y).float()
        gain_z, gain_y = self.gains.gain_z(t), self.gains.gain_y(t)
        z = z * gain_z
        z_hat = round_ste(z)
        indexes = self.scale_head(z_hat, self.gains.multiplier_z(t))
        indexes = clamp_ste(indexes + self.gains.index_offset_y(t), 0, TABLES - 1)
        psi, means, widths = self.mean_head(z_hat / gain_z)
        gain_y = gain_y * widths
        y_hat, residual = self.quantize(y * gain_y, psi, means, gain_y)
        symbols_z = z_hat if noise is None else z + noise[1]
        symbols_y = residual.round() if noise is None else residual + noise[0]
        index_z = self.gains.index_z(t).expand_as(z)
        rate = self.mixture(symbols_y, indexes).sum((1, 2, 3))
        rate = rate + hyper_weight * self.mixture(symbols_z, index_z).sum((1, 2, 3))
        return y_hat / gain_y, rate

    def freeze_transforms(self) -> None:
        """Leave only the entropy model to be trained: analysis, synthesis and steps stay."""
        for module in (self.g_a, self.g_s):
            module.requires_grad_(False).eval()
        self.gains.log_gain_y.requires_grad_(False)

    def freeze_all_but_synthesis(self) -> None:
        """Leave only the synthesis to be trained: what is coded stays."""
        self.requires_grad_(False).eval()
        self.g_s.requires_grad_(True).train()

    def quantize(
        self, y: Tensor, psi: Tensor, means: Tensor, gain_y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return y_hat and y - mean; anchors first, then the rest with the anchors as context."""
        anchor = anchor_mask(y)
        residual = y - means.float() * gain_y
        anchors = (y + (residual.round() - residual).detach()) * anchor
        means = self.context(psi, anchors / gain_y).float() * gain_y
        residual = torch.where(anchor.bool(), residual, y - means)
        return y + (residual.round() - residual).detach(), residual
