"""The teaching network: an image becomes a code of 128 planes, and the code an image again.

Enters: images x (B, 3, H, W) in [0, 1].  Leaves: the code (B, 128, H, W) in [0, 1], and x_hat.
Does not know: where images come from, losses, files.

Everything happens at full resolution.  While training, noise on the features makes all but very
large features useless; those saturate the sigmoid, so the code becomes nearly binary by itself.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (3, 16, 32, 64, 128)  # channels from the image to the code; the decoder mirrors them
GAIN = (0.6, 1.4)  # contrast and brightness of the training images vary within these
BIAS = (-0.2, 0.2)


class Autoencoder(nn.Module):
    """Encoder 3-16-32-64-128 and decoder 128-64-32-16-3, of 3x3 convolutions with ELU between."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_convolutions(WIDTHS))
        self.decoder = nn.Sequential(*_convolutions(WIDTHS[::-1]), nn.Sigmoid())

    def features(self, x: Tensor) -> Tensor:
        """Return the unbounded features (B, 128, H, W) of images (B, 3, H, W) in [0, 1]."""
        return self.encoder(x - 0.5)

    def decode(self, code: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) in [0, 1] that a code (B, 128, H, W) stands for."""
        return self.decoder(code)

    def forward(self, x: Tensor, cnoise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Encode and decode, with noise of standard deviation `cnoise` on the features.

        Returns:
            x_hat (B, 3, H, W) and the unquantised code (B, 128, H, W), both in [0, 1].
        """
        code = soften(self.features(x), cnoise)
        return self.decode(code), code


def soften(features: Tensor, cnoise: float = 0.0) -> Tensor:
    """Return sigmoid(features + noise): the code while training."""
    if cnoise:
        features = features.add(noise_like(features), alpha=cnoise)
    return torch.sigmoid(features)


def noise_like(features: Tensor) -> Tensor:
    """Return Gaussian noise laid out in memory as the features are.

    `randn_like` is five times slower at it in channels_last.
    """
    flat = torch.randn(features.numel(), device=features.device)
    return flat.as_strided(features.shape, features.stride())


def binarize(code: Tensor, threshold: float = 0.5) -> Tensor:
    """Return 1.0 where the code is above the threshold and 0.0 elsewhere: the code in use."""
    return (code > threshold).to(code.dtype)


def augment(x: Tensor) -> Tensor:
    """Return the images with a random gain and bias each, clipped to [0, 1]."""
    gain = torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(*GAIN)
    bias = torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(*BIAS)
    return (x * gain + bias).clamp(0, 1)


def _convolutions(widths: tuple[int, ...]) -> list[nn.Module]:
    """Return 3x3 convolutions with ELU between them and none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        # He et al., arXiv:1502.01852: the signal keeps its size through the layers, so the first
        # features are not lost in strong noise.  PyTorch's default start is 2.4 times smaller.
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers += [convolution, nn.ELU(inplace=True)]
    return layers[:-1]
