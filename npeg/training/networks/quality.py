"""What depends on the quality: vectors of channels, interpolated between knots."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision

KNOTS = 8  # of the qualities in [0, 1]


def knot_weights(t: Tensor) -> Tensor:
    """Return the (B, KNOTS) linear interpolation weights of the qualities t (B,)."""
    return F.relu(1 - (t[:, None] * (KNOTS - 1) - torch.arange(KNOTS, device=t.device)).abs())


def interpolate(knots: Tensor, t: Tensor) -> Tensor:
    """Interpolate per-channel vectors (KNOTS, C) at t (B,) to (B, C, 1, 1), always in float32."""
    with full_precision(t):
        return (knot_weights(t) @ knots)[:, :, None, None]


class Modulation(nn.Module):
    """Scale and shift each channel by amounts learned over the quality."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(KNOTS, channels))
        self.shift = nn.Parameter(torch.zeros(KNOTS, channels))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return x * interpolate(self.gain, t).to(x.dtype) + interpolate(self.shift, t).to(x.dtype)
