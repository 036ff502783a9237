"""The scale head: quantised hyper-latents to table indexes, in exact integers.

Everything that chooses a probability table must come out the same on every machine, so this
network computes on integers held in float32: weights, activations and sums stay below 2^24,
where float32 addition is exact in any order.  In training the same rounding happens, with
straight-through gradients.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import full_precision
from .pairs import round_ste, start_at_zero
from .transforms import ENTROPY_RATE, Architecture

WEIGHT_ONE = 256  # integer that stands for a weight of 1
ACTIVATION_ONE = 16  # integer that stands for an activation of 1
INPUT_LIMIT = 127  # inputs are clipped to [-127, 127]
ACTIVATION_LIMIT = 255  # hidden activations are clipped to [0, 255]
INDEX_ONE = 4  # steps of the table index for a head output of 1
EXACT = 2**24  # integers up to here are exact in float32


class IntegerConv(nn.Conv2d):
    """A convolution whose weights and biases are rounded to integers.

    `forward` takes integers and returns integers: WEIGHT_ONE * ACTIVATION_ONE times the value.
    """

    def integer_weight(self) -> Tensor:
        return round_ste(self.weight * WEIGHT_ONE)

    def integer_bias(self) -> Tensor:
        assert self.bias is not None
        return round_ste(self.bias * (WEIGHT_ONE * ACTIVATION_ONE))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.integer_weight(), self.integer_bias(), padding=self.padding)

    def exactness_bound(self, input_limit: int) -> Tensor:
        """Return, per output channel, the largest magnitude that any partial sum can reach."""
        return self.integer_weight().abs().sum((1, 2, 3)) * input_limit + self.integer_bias().abs()


class ScaleHead(nn.Module):
    """Hyper-latents (B, Z, h, w) to integer table offsets (B, M, 4h, 4w)."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.rate = ENTROPY_RATE
        width = arch.scale_width
        self.conv1 = IntegerConv(arch.hyper_latents, 4 * width, 3, padding=1)
        self.conv2 = IntegerConv(width, 4 * width, 3, padding=1)
        self.conv3 = IntegerConv(width, arch.latents, 1)
        start_at_zero(self.conv3)

    def forward(self, z_hat: Tensor, multiplier: Tensor) -> Tensor:
        """multiplier (B, Z, 1, 1), integers: undoes the gain of z, in units of 1/256."""
        with full_precision(z_hat):  # bf16 would break the integers
            x = round_ste(z_hat * multiplier / 256).clamp(-INPUT_LIMIT, INPUT_LIMIT)
            for conv in (self.conv1, self.conv2):
                x = round_ste(conv(x) / WEIGHT_ONE).clamp(0, ACTIVATION_LIMIT)
                x = F.pixel_shuffle(x, 2)
            return round_ste(self.conv3(x) * (INDEX_ONE / (WEIGHT_ONE * ACTIVATION_ONE)))

    def assert_exact(self) -> None:
        """Raise ValueError if any output channel could leave the exact integers."""
        limits = (INPUT_LIMIT, ACTIVATION_LIMIT, ACTIVATION_LIMIT)
        for number, conv in enumerate((self.conv1, self.conv2, self.conv3), 1):
            worst = float(conv.exactness_bound(limits[number - 1]).max())
            if not worst < EXACT:
                raise ValueError(f"scale head conv{number}: sums reach {worst:.0f}, limit {EXACT}")
