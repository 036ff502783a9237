"""The teaching network at 1/8 of the resolution, whose code is small enough to compete.

Enters: images x (B, 3, H, W) in [0, 1], sides multiples of 8.  Leaves: features and x_hat.
Does not know: where images come from, losses, files.

As in `network`: noise on the features before the sigmoid makes the code binary.  What is new: a
pixel unshuffle first, so that the 3x3 convolutions run on few positions with many channels, and
planes in an order of importance.  In training each sample loses its last planes, a random number
of them (Rippel, Gelbart and Adams, arXiv:1402.0915), so that one network serves every rate: a
file keeps the first planes.
"""

import torch
from torch import Tensor, nn

from ...teaching.network import binarize, soften

STRIDE = 8
PLANES = 96
WIDTH = 128
FEWEST_PLANES = 8  # of the lowest quality; 8 planes are 1/8 bit a pixel before entropy coding


class Residual(nn.Module):
    """x plus two 3x3 convolutions of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ELU(), _convolution(width, width), nn.ELU(), _convolution(width, width, gain=0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, width, h, w)."""
        y: Tensor = x + self.body(x)
        return y


class StridedAutoencoder(nn.Module):
    """Encoder and decoder of 3x3 convolutions with ELU, between pixels and planes at 1/8."""

    def __init__(self, planes: int = PLANES, width: int = WIDTH) -> None:
        super().__init__()
        self.planes, self.width = planes, width
        samples = 3 * STRIDE**2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(STRIDE),
            _convolution(samples, width),
            Residual(width),
            nn.ELU(),
            _convolution(width, planes),
        )
        self.decoder = nn.Sequential(
            _convolution(planes, width),
            Residual(width),
            nn.ELU(),
            _convolution(width, samples, gain=0.1),
            nn.PixelShuffle(STRIDE),
        )

    def features(self, x: Tensor) -> Tensor:
        """Return the unbounded features (B, planes, H/8, W/8) of images (B, 3, H, W)."""
        return self.encoder(4 * (x - 0.5))

    def decode(self, code: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return the images (B, 3, H, W), about in [0, 1], of a code (B, planes, H/8, W/8).

        Args:
            code: in [0, 1].
            kept: (B,) how many of the first planes each sample keeps; None for all.  What is not
                kept counts as 1/2.
        """
        signs = 2 * code - 1
        if kept is not None:
            order = torch.arange(self.planes, device=code.device)
            signs = signs * (order < kept[:, None])[..., None, None]
        return self.decoder(signs) + 0.5


def noisy_code(features: Tensor, cnoise: float, hard: bool, noise: Tensor) -> Tensor:
    """Return the code while training: sigmoid(features + noise), as bits when `hard`.

    Args:
        features: (B, planes, h, w).
        cnoise: standard deviation of the noise.
        hard: go through the threshold, with the gradient of the sigmoid.
        noise: standard normal, of the shape of features.
    """
    code = soften(features + cnoise * noise)
    return code + (binarize(code) - code).detach() if hard else code


def planes_of(t: Tensor, planes: int) -> Tensor:
    """Return how many planes a quality t in [0, 1] keeps: geometric from FEWEST_PLANES to all."""
    fewest = min(FEWEST_PLANES, planes)
    return (fewest * (planes / fewest) ** t).round().long()


def _convolution(inputs: int, outputs: int, gain: float = 1.0) -> nn.Conv2d:
    """Return a 3x3 convolution, started as in `network`, its outputs scaled by `gain`."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        convolution.weight.mul_(gain)
    return convolution
