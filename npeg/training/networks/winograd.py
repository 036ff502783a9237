"""3x3 convolutions by Winograd's method: shorter steps on CPUs without AVX-512.

Enters: a network.  Leaves: the same network, whose 3x3 convolutions of many channels compute the
same, to float32's rounding, with a quarter of the multiplications.  Does not know: what is trained.

Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from .layers import pointwise

BLOCK = 8  # channels come in multiples of the transforms' vectors
LEAST = 16  # with fewer channels the transforms cost more than they save
LEAST_POSITIONS = 2048  # of a batch: with fewer, reading 36 / 9 times the weights takes longer

FACTORS = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
KERNEL_TRANSFORM = torch.kron(FACTORS, FACTORS).float()  # (36, 9), for 3x3 taps row by row


@cache
def compiled() -> Any:
    """Return the compiled convolution and its gradients; the first call takes a minute.

    Raises:
        InputError: they cannot be compiled here.
    """
    from torch.utils.cpp_extension import load

    with suppress(ImportError):  # its wheel's program is not found where no environment is active
        import ninja

        os.environ["PATH"] += os.pathsep + ninja.BIN_DIR
    source = Path(__file__).with_suffix(".cpp")
    # OpenMP's library is left to PyTorch, which brings its own: not a flag of the linker.
    flags = ["-O3", "-march=native", "-ffp-contract=fast", "-fopenmp"]
    try:
        return load("npeg_winograd", [str(source)], extra_cflags=flags)
    except (RuntimeError, OSError, ImportError) as error:
        needed = "it needs a C++ compiler and ninja (pip install ninja)"
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"--winograd: cannot be compiled ({reason}); {needed}") from None


class Winograd(torch.autograd.Function):
    """conv2d of x (B, C, H, W), weights (K, C, 3, 3) and bias (K,), padding 1, by F(4x4, 3x3)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        k, c = weight.shape[:2]
        x = x.contiguous(memory_format=torch.channels_last)
        kernels = KERNEL_TRANSFORM @ weight.permute(2, 3, 1, 0).reshape(9, c * k)
        kernels = kernels.view(36, c, k)
        ctx.save_for_backward(x, kernels)
        result: Tensor = compiled().convolve(x, kernels, bias)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, kernels = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        transposed = kernels.mT.contiguous() if ctx.needs_input_grad[0] else None
        for_x, for_kernels = compiled().gradients(x, gradient, transposed)
        for_weight = (KERNEL_TRANSFORM.T @ for_kernels.view(36, -1)).view(3, 3, *kernels.shape[1:])
        return for_x, for_weight.permute(3, 2, 0, 1), gradient.sum((0, 2, 3))


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution with padding 1; weights and names are those of nn.Conv2d."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] * x.shape[2] * x.shape[3] < LEAST_POSITIONS:
            return super().forward(x)
        bias = x.new_zeros(self.out_channels) if self.bias is None else self.bias
        result: Tensor = Winograd.apply(x, self.weight, bias)
        return result


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution as one product of matrices: PyTorch's own copies, with one thread."""

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(x, self.weight, self.bias)


def use_winograd(network: nn.Module) -> int:
    """Let the network's 3x3 convolutions work by Winograd's method, where that is faster.

    Its 1x1 convolutions become products of matrices.

    Returns:
        How many 3x3 convolutions were changed.

    Raises:
        InputError: it cannot be compiled here.
    """
    compiled()
    found = [m for m in network.modules() if type(m) is nn.Conv2d and _is_suitable(m)]
    for convolution in found:
        convolution.__class__ = WinogradConv2d
    use_products(network)
    return len(found)


def use_products(network: nn.Module) -> None:
    """Let the network's 1x1 convolutions work as products of matrices."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_pointwise(module):
            module.__class__ = PointwiseConv2d


def _is_pointwise(conv: nn.Conv2d) -> bool:
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.groups)
    return shape == ((1, 1), (1, 1), (0, 0), 1)


def _is_suitable(conv: nn.Conv2d) -> bool:
    """Return whether the transforms know this convolution, and gain by it."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    plain = shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and conv.padding_mode == "zeros"
    channels = (conv.in_channels, conv.out_channels)
    fit = min(channels) >= LEAST and not any(c % BLOCK for c in channels)
    return plain and fit
