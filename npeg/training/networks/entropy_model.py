"""The probability model of the latents and the rate that training minimises.

Table i holds a zero-mean symmetric distribution of scale sigma_i: a mixture of two Gaussians
whose weight and width ratio are learned.  The symbol is round(y - mean).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from .layers import full_precision
from .pairs import round_ste
from .quality import KNOTS, interpolate, knot_weights
from .transforms import usual_deviations

TABLES = 64
SCALE_MIN, SCALE_MAX = 0.11, 256.0
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (TABLES - 1)
LIKELIHOOD_MIN = 1e-9
GAINS_RATE = 3.0  # times the learning rate: all latents wait for their steps


class LowerBound(torch.autograd.Function):
    """max(x, bound), whose gradient still flows where it would raise x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def look_up(values: Tensor, indexes: Tensor) -> Tensor:
    """Return values[indexes], whose gradient is much cheaper."""
    return values.index_select(0, indexes.flatten()).view(indexes.shape)


class ScaleMixture(nn.Module):
    """P(symbol | table) = (1 - w) N(sigma) + w N(r sigma), integrated over the unit bin."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_weight = nn.Parameter(torch.full((KNOTS,), -2.0))
        self.log_ratio = nn.Parameter(torch.full((KNOTS,), 0.8))

    def table_parameters(self) -> tuple[Tensor, Tensor]:
        """Return the weights w and ratios r of all tables, (TABLES,) each."""
        at = knot_weights(torch.linspace(0, 1, TABLES, device=self.log_ratio.device))
        with full_precision(at):
            return torch.sigmoid(at @ self.logit_weight), torch.exp(at @ self.log_ratio)

    def forward(self, symbols: Tensor, indexes: Tensor) -> Tensor:
        """Return bits (same shape) of symbols under indexes (real; rounded, gradient kept)."""
        indexes = indexes.clamp(0, TABLES - 1)
        sigma = torch.exp(math.log(SCALE_MIN) + LOG_STEP * round_ste(indexes))
        weights, ratios = self.table_parameters()
        table = indexes.detach().round().long()
        weight, ratio = (look_up(values, table) for values in (weights, ratios))
        v = symbols.abs()
        upper, lower = (v - 0.5) / sigma, (v + 0.5) / sigma  # tails keep float32 precise
        root = -math.sqrt(0.5)

        def mass(scale: Tensor | float) -> Tensor:
            return 0.5 * (torch.erfc(upper / scale * -root) - torch.erfc(lower / scale * -root))

        p = (1 - weight) * mass(1.0) + weight * mass(ratio)
        return -torch.log2(LowerBound.apply(p, LIKELIHOOD_MIN))


def clamp_ste(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp x; the gradient passes where it points back into the range."""
    return -LowerBound.apply(-LowerBound.apply(x, low), -high)


class QualityGains(nn.Module):
    """What the quality does to the latents: step sizes, table offsets, hyper-latent priors."""

    def __init__(self, latents: int, hyper_latents: int) -> None:
        super().__init__()
        self.rate = GAINS_RATE
        t = torch.linspace(0, 1, KNOTS)[:, None]
        log_gain = (math.log(2.3) + math.log(32) * t).expand(KNOTS, latents)
        deviations = usual_deviations(latents)
        self.log_gain_y = nn.Parameter(log_gain.clone())
        self.log_gain_z = nn.Parameter(torch.full((KNOTS, hyper_latents), math.log(4)))
        self.log_scale_y = nn.Parameter(log_gain + torch.log(deviations))
        self.log_scale_z = nn.Parameter(torch.full((KNOTS, hyper_latents), math.log(2)))

    def gain_y(self, t: Tensor) -> Tensor:
        return torch.exp(interpolate(self.log_gain_y, t))

    def gain_z(self, t: Tensor) -> Tensor:
        return torch.exp(interpolate(self.log_gain_z, t))

    def multiplier_z(self, t: Tensor) -> Tensor:
        """Integers that bring z back to 1/16 units for the scale head, in units of 1/256."""
        return round_ste((4096 / self.gain_z(t)).clamp(1, 16384))

    def index_offset_y(self, t: Tensor) -> Tensor:
        """Integers added to the scale head's output."""
        return round_ste((interpolate(self.log_scale_y, t) - math.log(SCALE_MIN)) / LOG_STEP)

    def index_z(self, t: Tensor) -> Tensor:
        """Table indexes of the hyper-latents, the same at every position."""
        offset = (interpolate(self.log_scale_z, t) - math.log(SCALE_MIN)) / LOG_STEP
        return round_ste(clamp_ste(offset, 0, TABLES - 1))
