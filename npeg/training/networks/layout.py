"""Pixels to channels and back by copies of whole blocks, which is fast.

pixel_shuffle and pixel_unshuffle, PyTorch's and as ONNX Runtime runs them, copy value by value.
With the channels innermost and positions before channels, a row of a block is contiguous. The
layers beside get their channels reordered to match; the results are the same numbers.
"""

import torch
from torch import Tensor, nn


def space_to_depth(x: Tensor, size: int) -> Tensor:
    """Return x (B, H, W, C) as (B, H/size, W/size, size^2 * C), positions before channels."""
    b, h, w, c = x.shape
    blocks = x.reshape(b, h // size, size, w // size, size * c).transpose(2, 3)
    return blocks.reshape(b, h // size, w // size, size * size * c)


def depth_to_space(x: Tensor, size: int) -> Tensor:
    """Return the inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    blocks = x.reshape(b, h, w, size, c // size).transpose(2, 3)
    return blocks.reshape(b, h * size, w * size, c // size**2)


def channels_last(x: Tensor) -> Tensor:
    """Return (B, C, H, W) as (B, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """Return (B, H, W, C) as (B, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def unshuffle(x: Tensor, size: int) -> Tensor:
    """Return x (B, C, H, W) unshuffled, positions before channels."""
    return channels_first(space_to_depth(channels_last(x), size))


def shuffle(x: Tensor, size: int) -> Tensor:
    """Return the inverse of `unshuffle`."""
    return channels_first(depth_to_space(channels_last(x), size))


def _positions_first(channels: Tensor, size: int, outer: int) -> Tensor:
    """Reorder (C * (outer * size)^2, ...) as by steps of `size` and then of `outer` pixels."""
    split = channels.reshape(-1, outer, size, outer, size, *channels.shape[1:])
    rest = range(5, split.ndim)
    return split.permute(1, 3, 2, 4, 0, *rest).reshape(channels.shape).contiguous()


def reordered_inputs(weight: Tensor, size: int, outer: int = 1) -> Tensor:
    """Return weights of a layer behind pixel_unshuffle(size * outer) for one behind `unshuffle`.

    The latter takes two steps, of `size` and of `outer` pixels.
    """
    return _positions_first(weight.transpose(0, 1), size, outer).transpose(0, 1)


def reordered_outputs(values: Tensor, size: int, outer: int = 1) -> Tensor:
    """Return weights or biases of a layer before pixel_shuffle for one before `shuffle`."""
    return _positions_first(values, size, outer)


@torch.no_grad()
def reorder_inputs(conv: nn.Module, size: int, outer: int = 1) -> None:
    """Let a layer behind pixel_unshuffle(size * outer) stand behind `unshuffle`, in two steps."""
    assert isinstance(conv, nn.Conv2d)
    weight = reordered_inputs(conv.weight, size, outer).contiguous()
    conv.weight = nn.Parameter(weight, requires_grad=False)


@torch.no_grad()
def reorder_outputs(conv: nn.Module, size: int, outer: int = 1) -> None:
    """Let a layer before pixel_shuffle(size * outer) stand before `shuffle`, in two steps."""
    assert isinstance(conv, nn.Conv2d)
    weight = reordered_outputs(conv.weight, size, outer)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    if conv.bias is not None:
        bias = reordered_outputs(conv.bias, size, outer)
        conv.bias = nn.Parameter(bias, requires_grad=False)
