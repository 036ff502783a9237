"""Trained networks turned to 8-bit convolutions, and these as ONNX operators.

Enters: a codec in float and some images. Leaves: one that computes nearly the same with residual
pairs, and two convolutions of its entropy model, on 8-bit integers, and can be trained on; what
another network needs for that; their operators for the exporter.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..networks.layers import Centred, fold
from ..networks.layout import channels_first, channels_last
from ..networks.model import Codec
from ..networks.pairs import (
    RANGE,
    EightBitConvolution,
    EightBitPair,
    ResidualPair,
    integer_weights,
    integers,
    weight_units,
)
from ..networks.transforms import Analysis, Synthesis
from ..networks.winograd import use_products

STEPS_TRIED = 10  # each 0.7 of the one before, from one that clips nothing on
SAMPLED = 1 << 20  # activations that a step is found from

Activations = dict[nn.Module, tuple[Tensor, Tensor, Tensor]]
"""Of each pair: what enters it, what is between its convolutions and what it adds."""

N = TypeVar("N", bound=nn.Module)
M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def to_eight_bits(codec: Codec, x: Tensor, t: Tensor) -> Codec:
    """Return a codec with 8-bit convolutions that computes nearly what `codec` does.

    Args:
        codec: in float.
        x: images (B, 3, H, W) in [0, 1] that show how large features are.
        t: their qualities (B,) in [0, 1].
    """
    codec = copy.deepcopy(codec).eval()
    for transform in (codec.g_a, codec.g_s):
        transform.pairs = fold(transform.pairs)
    deep, wide = codec.mean_head.conv2, codec.context.neighbours
    assert isinstance(deep, Centred) and isinstance(wide, Centred)
    codec.mean_head.conv2, codec.context.neighbours = deep.folded(), wide.folded()
    seen = observe(codec, x, t)
    for transform in (codec.g_a, codec.g_s):
        equalize_transform(transform, seen)
    around = watch(codec, convolutions_of(codec), x, t)
    eight = with_steps(Codec(replace(codec.arch, eight_bits=True)), codec, observe(codec, x, t))
    for old, conv, power in zip(
        convolutions_of(codec), convolutions_of(eight), (2, 1), strict=True
    ):
        assert isinstance(conv, EightBitConvolution)
        enters, leaves = around[old]
        steps = best_step(enters, -RANGE, power), best_step(leaves, -RANGE)
        conv.log_steps.data = torch.log(torch.stack(steps))
    return eight


def convolutions_of(codec: Codec) -> list[nn.Module]:
    """Return the convolutions of the entropy model that 8 bits are enough for: those of means."""
    return [codec.mean_head.conv2, codec.context.neighbours]


def pairs_of(module: nn.Module) -> list[ResidualPair]:
    """Return the residual pairs of a network, in their order."""
    return [m for m in module.modules() if isinstance(m, ResidualPair)]


def watch(
    network: nn.Module, modules: Sequence[M], *inputs: Tensor
) -> dict[M, tuple[Tensor, Tensor]]:
    """Run a network and return what enters and leaves some of its modules."""
    seen: dict[M, tuple[Tensor, Tensor]] = {}

    def keep(module: M, inputs: tuple[Tensor], output: Tensor) -> None:
        seen[module] = inputs[0], output

    hooks = [module.register_forward_hook(keep) for module in modules]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return seen


def observe(network: nn.Module, *inputs: Tensor) -> Activations:
    """Run a network and return its residual pairs' activations."""
    seen = watch(network, pairs_of(network), *inputs)
    return {pair: (x, pair.between(x), output - x) for pair, (x, output) in seen.items()}


def with_steps(eight: N, network: nn.Module, seen: Activations) -> N:
    """Give `eight` the weights of the network, and steps that suit what was seen in it."""
    missing, unexpected = eight.load_state_dict(network.state_dict(), strict=False)
    assert not unexpected and all(name.endswith("log_steps") for name in missing)
    for pair, its_eight in zip(pairs_of(network), pairs_of(eight), strict=True):
        if not isinstance(its_eight, EightBitPair):
            continue
        lowest = (-RANGE, its_eight.lowest(), -RANGE)
        steps = [best_step(v, low) for v, low in zip(seen[pair], lowest, strict=True)]
        its_eight.log_steps.data = torch.log(torch.stack(steps))
    return eight


def equalize_transform(transform: Analysis | Synthesis, seen: Activations) -> None:
    """Scale the channels so that all are about equally large; the transform stays the same."""
    factors = equalize_pairs(pairs_of(transform), seen)
    multiply([transform.modulation.gain.T, transform.modulation.shift.T], 1 / factors)
    multiply([transform.tail.weight.transpose(0, 1)], factors)


def equalize_pairs(pairs: list[ResidualPair], seen: Activations) -> Tensor:
    """Scale what is in pairs that follow each other; return how large channels were, (C,).

    What enters them must be divided by it, what leaves them multiplied.
    """
    factors = torch.stack([magnitude(seen[pair][0]) for pair in pairs]).amax(0)
    for pair in pairs:
        conv1, between = pair.conv1, magnitude(seen[pair][1])
        assert isinstance(conv1, nn.Conv2d)
        multiply([conv1.weight.transpose(0, 1)], factors)
        multiply(conv1.parameters(), 1 / between)
        multiply([pair.conv2.weight.transpose(0, 1)], between)
        multiply(pair.conv2.parameters(), 1 / factors)
    return factors


def multiply(tensors: Iterable[Tensor], factors: Tensor) -> None:
    """Multiply the first dimension (C, ...) of tensors by factors (C,), in place."""
    for tensor in tensors:
        tensor.mul_(factors.view(-1, *[1] * (tensor.ndim - 1)))


def magnitude(x: Tensor) -> Tensor:
    """Return about how large the channels of x (B, C, H, W) get, relative to their mean, (C,).

    Fourth moments: rare large values count, for units that are silent nearly everywhere.
    """
    found = x.pow(4).mean((0, 2, 3)).pow(0.25)
    found = found.clamp(min=float(found.mean()) / 16 + 1e-12)  # a silent channel stays so
    return found / found.log().mean().exp()


def best_step(x: Tensor, lowest: int, power: int = 2) -> Tensor:
    """Return the step whose 256 integers from `lowest` on lose least of x, of a few.

    It has the least mean of |error|^power: 1 suits what is mostly small but rarely very large.
    """
    highest = lowest + 2 * RANGE - 1
    flat = x.flatten()
    flat = flat[:: -(-flat.numel() // SAMPLED)]
    steps = (flat.abs().max() + 1e-12) / highest * 2 ** (-torch.arange(STEPS_TRIED) / 2)
    errors = [
        (integers(flat, step, lowest, highest) * step - flat).abs().pow(power).mean()
        for step in steps
    ]
    return steps[torch.stack(errors).argmin()]


class PairGraph(nn.Module):
    """An `EightBitPair` that the exporter writes as operators on 8-bit integers."""

    def __init__(self, pair: EightBitPair) -> None:
        super().__init__()
        self.pair = pair

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = PairOperators.apply(channels_last(x), self.pair)
        return channels_first(found)


class ConvolutionGraph(nn.Module):
    """An `EightBitConvolution` that the exporter writes as operators on 8-bit integers."""

    def __init__(self, conv: EightBitConvolution) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = ConvolutionOperators.apply(x, self.conv)
        return found


def for_export(network: nn.Module) -> None:
    """Let the exporter write what is in 8 bits as such.

    Around pairs all else has the channels last: ONNX Runtime then moves no features between
    layouts.
    """
    if any(isinstance(pair, EightBitPair) for pair in pairs_of(network)):
        use_products(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, EightBitPair):
                setattr(parent, name, PairGraph(child))
            if isinstance(child, EightBitConvolution):
                setattr(parent, name, ConvolutionGraph(child))


def constant(g: Any, value: Tensor) -> Any:
    """Return a constant of a graph that is being written."""
    return g.op("Constant", value_t=value.detach())


def zero_point(g: Any, lowest: int) -> Any:
    """Return the constant that an 8-bit tensor has where it stands for 0."""
    return constant(g, torch.tensor(-lowest, dtype=torch.uint8))


def write_convolution(
    g: Any, q: Any, conv: nn.Conv2d, taken: Tensor, made: Tensor, zeros: tuple[Any, Any]
) -> Any:
    """Convolve integers; taken, made: what a step of input and output is worth."""
    units = weight_units(conv) * taken / made
    bias = 0 * units if conv.bias is None else conv.bias / made / units
    weights = integer_weights(conv).to(torch.int8)
    values = (weights, units, (0 * units).to(torch.int8), torch.round(bias).to(torch.int32))
    kernel, multiplier, zero, bias = (constant(g, value) for value in values)
    one = constant(g, torch.tensor(1.0))  # all steps but the outermost are in the multipliers
    operands = [q, one, zeros[0], kernel, multiplier, zero, one, zeros[1], bias]
    return g.op("QLinearConv", *operands, pads_i=[1, 1, 1, 1])


class ConvolutionOperators(torch.autograd.Function):
    """The ONNX operators of an `EightBitConvolution` on x (1, C, H, W); in PyTorch its shape."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: EightBitConvolution) -> Tensor:
        return x.new_zeros(len(x), conv.out_channels, *x.shape[2:])

    @staticmethod
    def symbolic(g: Any, x: Any, conv: EightBitConvolution) -> Any:
        entering, leaving = torch.exp(conv.log_steps)
        middle = zero_point(g, -RANGE)
        q = g.op("QuantizeLinear", x, constant(g, entering), middle)
        q = write_convolution(g, q, conv, entering, leaving, (middle, middle))
        return g.op("DequantizeLinear", q, constant(g, leaving), middle)


class PairOperators(torch.autograd.Function):
    """The ONNX operators of an `EightBitPair` on x (1, H, W, C); in PyTorch only x's shape."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pair: EightBitPair) -> Tensor:
        return x.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, pair: EightBitPair) -> Any:
        entering, between, leaving = torch.exp(pair.log_steps)
        one = constant(g, torch.tensor(1.0))
        middle, low = zero_point(g, -RANGE), zero_point(g, pair.lowest())
        q = g.op("QuantizeLinear", x, constant(g, entering), middle)
        q = g.op("Transpose", q, perm_i=[0, 3, 1, 2])  # ONNX Runtime takes these two out again
        q = write_convolution(g, q, pair.conv1, entering, between, (middle, low))
        if pair.slope:
            q = g.op("LeakyRelu", g.op("DequantizeLinear", q, one, low), alpha_f=pair.slope)
            q = g.op("QuantizeLinear", q, one, low)  # ONNX Runtime makes these three one table
        q = write_convolution(g, q, pair.conv2, between, leaving, (low, middle))
        q = g.op("Transpose", q, perm_i=[0, 2, 3, 1])
        return g.op("Add", x, g.op("DequantizeLinear", q, constant(g, leaving), middle))
