"""Layers that keep training well conditioned, and what they become in a trained network.

An optimiser that moves all weights about equally far disturbs a network the most where what it
meets is largest, and drives what should be now positive and now negative to one side for good.
"""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.02  # of the running means: fifty batches

N = TypeVar("N", bound=nn.Module)


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast on the device of x."""
    kind = x.device.type
    available = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if available else nullcontext()


def mean_of_channels(x: Tensor) -> Tensor:
    """Return the means (C,) of x (B, C, h, w) over the batch, that of all processes."""
    found = x.mean((0, 2, 3), dtype=torch.float32)
    if dist.is_initialized():
        dist.all_reduce(found)
        found /= dist.get_world_size()
    return found


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the 1x1 convolution of x (B, C, h, w) in channels_last as one product of matrices."""
    found = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
    return found.permute(0, 3, 1, 2)


class Shift(torch.autograd.Function):
    """x - mean by channel, whose gradient has no mean by channel either."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor) -> Tensor:
        return x - mean.to(x.dtype)[:, None, None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad - mean_of_channels(grad).to(grad.dtype)[:, None, None], None


class Centre(nn.Module):
    """x (B, C, h, w) less the running means of its channels: what ReLUs after it see stays mixed.

    Source: after the mean-only batch normalisation of Salimans and Kingma, arXiv:1602.07868.
    """

    mean: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.mean.lerp_(mean_of_channels(x.detach()), MOMENTUM)
        result: Tensor = Shift.apply(x, self.mean)
        return result


class Centred(nn.Sequential):
    """A convolution without bias, then its `Centre`."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
        super().__init__(conv, Centre(outputs))

    def folded(self) -> nn.Conv2d:
        """Return the convolution that it is once it is trained."""
        conv, centre = self
        assert isinstance(conv, nn.Conv2d) and isinstance(centre, Centre)
        return _with_bias(conv, conv.weight, -centre.mean)


class LinearTransform(nn.Module):
    """A 1x1 convolution (B, C, h, w) to (B, K, h, w) whose weights are learned as whitened.

    Its matrix is weight @ whiten: what the weights meet is about equally large in all directions.

    Args:
        first: the matrix (K, C) to begin with.
        whiten: (C, C), what brings its inputs to deviations near 1.
        rate: times the learning rate, if not as the network around it.
        bias: whether it adds one.
    """

    def __init__(
        self, first: Tensor, whiten: Tensor, rate: float | None = None, bias: bool = False
    ) -> None:
        super().__init__()
        if rate is not None:
            self.rate = rate
        weight = torch.linalg.solve(whiten, first, left=False)
        self.weight = nn.Parameter(weight[:, :, None, None])
        self.bias = nn.Parameter(torch.zeros(len(first))) if bias else None
        self.whiten: Tensor
        self.register_buffer("whiten", whiten, persistent=False)

    def matrix(self) -> Tensor:
        """Return the weights (K, C, 1, 1) of the convolution that it is, in float32."""
        with full_precision(self.weight):
            return (self.weight[:, :, 0, 0] @ self.whiten)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(x, self.matrix(), self.bias)

    def folded(self) -> nn.Conv2d:
        """Return the convolution that it is once it is trained."""
        outputs, inputs = self.weight.shape[:2]
        conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        return _with_bias(conv, self.matrix(), self.bias)


def _with_bias(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    trained = weight.requires_grad
    conv = copy.deepcopy(conv)
    conv.weight = nn.Parameter(weight.detach().clone(), trained)
    conv.bias = None if bias is None else nn.Parameter(bias.detach().clone(), trained)
    return conv


def fold(network: N) -> N:
    """Return a copy of a trained network whose layers are what their `folded` has made of them."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if folded := getattr(child, "folded", None):
                setattr(parent, name, folded())
    return network
