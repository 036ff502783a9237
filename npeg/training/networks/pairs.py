"""3x3 convolutions, alone or in residual pairs, in float or on 8-bit integers.

Processors compute on 8-bit integers several times faster. Features are float32 between them; an
8-bit pair rounds what enters it, what is between its convolutions and what it adds, an 8-bit
convolution what enters and leaves it. Sums of products of such integers are exact on every machine.

Source: Esser et al., Learned Step Size Quantization, arXiv:1902.08153.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Centred

WEIGHT_LIMIT = 64  # two products with 8-bit activations fit in 16 bits: AVX2 adds them there
RANGE = 128  # of what enters and leaves a pair: -128..127
LOWEST = -64  # between its convolutions, up to 191: a leaky ReLU leaves little below zero
SLOPE = 0.125  # of the leaky ReLUs, below zero


def round_ste(x: Tensor) -> Tensor:
    """Round to nearest, half to even, passing the gradient straight through."""
    return x + (x.round() - x).detach()


def start_at_zero(conv: nn.Conv2d) -> None:
    """Make a layer start without effect, so that training starts from the linear transform."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)


class ResidualPair(nn.Module):
    """x + conv(relu(conv(x))), starting as the identity.

    If `leaky`, the ReLU has a slope below zero and what it sees is centred: for networks whose
    plain ReLUs would die in training.
    """

    def __init__(self, channels: int, leaky: bool = False):
        super().__init__()
        self.slope = SLOPE if leaky else 0.0
        plain = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1: nn.Module = Centred(channels, channels, 3) if leaky else plain
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        start_at_zero(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.between(x))

    def between(self, x: Tensor) -> Tensor:
        """Return what is between the convolutions."""
        return F.leaky_relu(self.conv1(x), self.slope)


def integers(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """Return x in whole steps, clipped; gradients reach both x and the step."""
    return round_ste(x / step).clamp(low, high)


class EightBitPair(ResidualPair):
    """`ResidualPair` with 8-bit activations and 7-bit weights, steps learned."""

    conv1: nn.Conv2d

    def __init__(self, channels: int, leaky: bool = False):
        super().__init__(channels, leaky)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.log_steps = nn.Parameter(torch.full((3,), -4.0))  # entering, between, leaving

    def forward(self, x: Tensor) -> Tensor:
        entering, between, leaving = torch.exp(self.log_steps)
        q = integers(x, entering, -RANGE, RANGE - 1)
        lowest = self.lowest()
        q = integers(convolve(q, self.conv1, entering), between, lowest, lowest + 2 * RANGE - 1)
        q = round_ste(F.leaky_relu(q, self.slope))
        q = integers(convolve(q, self.conv2, between), leaving, -RANGE, RANGE - 1)
        return x + q * leaving

    def lowest(self) -> int:
        """Return the least integer between the convolutions, of 256."""
        return LOWEST if self.slope else 0


class EightBitConvolution(nn.Conv2d):
    """A 3x3 convolution with 8-bit activations and 7-bit weights, steps learned."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.log_steps = nn.Parameter(torch.full((2,), -4.0))  # entering, leaving

    def forward(self, x: Tensor) -> Tensor:
        entering, leaving = torch.exp(self.log_steps)
        q = integers(x, entering, -RANGE, RANGE - 1)
        return integers(convolve(q, self, entering), leaving, -RANGE, RANGE - 1) * leaving


def weight_units(conv: nn.Conv2d) -> Tensor:
    """Return what a weight of 1 stands for, by output channel (K,)."""
    return conv.weight.detach().abs().amax((1, 2, 3)) / WEIGHT_LIMIT + 1e-12


def integer_weights(conv: nn.Conv2d) -> Tensor:
    """Return the weights (K, C, 3, 3) in whole units."""
    return round_ste(conv.weight / weight_units(conv)[:, None, None, None])


def convolve(q: Tensor, conv: nn.Conv2d, step: Tensor) -> Tensor:
    """Convolve activations q (B, C, H, W) in whole steps; return values in float32."""
    found = F.conv2d(q, integer_weights(conv), padding=1)
    found = found * (weight_units(conv) * step)[:, None, None]
    return found if conv.bias is None else found + conv.bias[:, None, None]
