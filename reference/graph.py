"""Runs npeg's networks in NumPy, operator by operator.

Each operator is a function of arrays that stands below under the name that ONNX gives it:
https://onnx.ai/onnx/operators/ says what it computes. Sums of products are in float64, so that the
result does not depend on the order of summation by more than a rounding of float32.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onnx_file import TYPES, Graph, Node, read

Array = np.ndarray
OPERATORS: dict[str, Callable[..., Array]] = {}


class Network:
    """A network that is run in NumPy."""

    def __init__(self, path: Path) -> None:
        self.graph: Graph = read(path)

    def __call__(self, **inputs: Array) -> list[Array]:
        """Return what leaves the network for what enters it, by name."""
        known: dict[str, Any] = {**self.graph.weights, **inputs, "": None}
        for node in self.graph.nodes:
            known[node.outputs[0]] = run(node, [known[name] for name in node.inputs])
        return [known[name] for name in self.graph.outputs]


def run(node: Node, inputs: list[Array]) -> Array:
    """Return what one operator makes."""
    return OPERATORS[node.kind](*inputs, **node.settings)


def operator(function: Callable[..., Array]) -> Callable[..., Array]:
    """Register an operator under its function's name."""
    OPERATORS[function.__name__] = function
    return function


OPERATORS |= {
    "Abs": np.abs,
    "Add": np.add,
    "Exp": np.exp,
    "Log": np.log,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Round": np.rint,
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


@operator
def Div(a: Array, b: Array) -> Array:
    """a / b; of integers what is left of the point."""
    return a // b if a.dtype.kind == "i" else a / b


@operator
def Clip(x: Array, low: Array, high: Array) -> Array:
    """x within limits."""
    return np.clip(x, low, high)


@operator
def LeakyRelu(x: Array, alpha: float) -> Array:
    """x, below zero `alpha` times it."""
    return np.where(x < 0, x * np.float32(alpha), x)


@operator
def Cast(x: Array, to: int) -> Array:
    """x in another type."""
    return x.astype(TYPES[to])


@operator
def Constant(value: Array) -> Array:
    """An array that stands in the file."""
    return value


@operator
def MatMul(a: Array, b: Array) -> Array:
    """The product of matrices in the last two axes."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(a.dtype)


@operator
def ReduceSum(x: Array, axes: Array, keepdims: int = 1) -> Array:
    """The sum along axes."""
    total = x.astype(np.float64).sum(tuple(axes.tolist()), keepdims=bool(keepdims))
    return total.astype(x.dtype)


# --- shapes ---


@operator
def Shape(x: Array) -> Array:
    """The sides of x."""
    return np.array(x.shape, np.int64)


@operator
def Gather(x: Array, indices: Array, axis: int = 0) -> Array:
    """What is at places along an axis."""
    return np.take(x, indices, axis)


@operator
def Unsqueeze(x: Array, axes: Array) -> Array:
    """x with axes of one element more."""
    return np.expand_dims(x, tuple(axes.tolist()))


@operator
def Concat(*arrays: Array, axis: int) -> Array:
    """Arrays behind one another."""
    return np.concatenate(arrays, axis)


@operator
def Reshape(x: Array, shape: Array, allowzero: int = 0) -> Array:
    """x with other sides; 0: as it was, -1: what is left."""
    sides = [x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sides)


@operator
def Flatten(x: Array, axis: int = 1) -> Array:
    """x as a matrix."""
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


@operator
def Transpose(x: Array, perm: list[int]) -> Array:
    """x with its axes in another order."""
    return x.transpose(perm)


@operator
def ConstantOfShape(shape: Array, value: Array | None = None) -> Array:
    """An array of one value."""
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(shape.tolist(), value[0], value.dtype)


@operator
def Slice(x: Array, starts: Array, ends: Array, axes: Array, steps: Array) -> Array:
    """Every so many-th element from starts to ends, along axes."""
    where = [slice(None)] * x.ndim
    for start, end, axis, step in np.stack([starts, ends, axes, steps], 1).tolist():
        stop = None if step < 0 and end < -x.shape[axis] else end
        where[axis] = slice(start, stop, step)
    return x[tuple(where)]


@operator
def Pad(x: Array, pads: Array, value: Array | None = None, mode: str = "constant") -> Array:
    """x with a border: of zeros, or the nearest element of x."""
    widths = np.reshape(pads, (2, x.ndim)).T.tolist()
    return np.pad(x, widths, mode="edge" if mode == "edge" else "constant")


@operator
def DepthToSpace(x: Array, blocksize: int, mode: str = "DCR") -> Array:
    """Channels (N, C * b^2, H, W) to pixels (N, C, H * b, W * b)."""
    n, _, h, w = x.shape
    b = blocksize
    if mode == "CRD":
        return x.reshape(n, -1, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * b, w * b)
    return x.reshape(n, b, b, -1, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, -1, h * b, w * b)


# --- convolutions ---


def taps(x: Array, weight: Array, strides: list[int], pads: list[int]) -> Array:
    """Return the convolution of x (1, C, H, W) with weights (K, C, y, x) in float64."""
    rows, columns = weight.shape[2:]
    x = np.pad(x[0].astype(np.float64), ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    h = (x.shape[1] - rows) // strides[0] + 1
    w = (x.shape[2] - columns) // strides[1] + 1
    total = np.zeros((len(weight), h * w))
    for i in range(rows):
        for j in range(columns):
            seen = x[:, i :: strides[0], j :: strides[1]][:, :h, :w]
            total += weight[:, :, i, j].astype(np.float64) @ seen.reshape(len(x), -1)
    return total.reshape(1, -1, h, w)


@operator
def Conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **_: Any,
) -> Array:
    """A convolution of channels."""
    found = taps(x, weight, list(strides), list(pads))
    found = found if bias is None else found + bias[:, None, None]
    return found.astype(x.dtype)


@operator
def QLinearConv(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    weight: Array,
    weight_scale: Array,
    weight_zero: Array,
    y_scale: Array,
    y_zero: Array,
    bias: Array | None = None,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **_: Any,
) -> Array:
    """A convolution of 8-bit integers whose result is rounded to 8 bits again."""
    offset = weight.astype(np.int64) - np.reshape(weight_zero, (-1, 1, 1, 1)).astype(np.int64)
    found = taps(x.astype(np.int64) - int(x_zero), offset, list(strides), list(pads))
    found = found if bias is None else found + bias[:, None, None]
    scale = (x_scale * weight_scale / y_scale).astype(np.float32)
    levels = np.rint(found.astype(np.float32) * np.reshape(scale, (-1, 1, 1))) + int(y_zero)
    limits = np.iinfo(y_zero.dtype)
    return np.clip(levels, limits.min, limits.max).astype(y_zero.dtype)


@operator
def QuantizeLinear(x: Array, scale: Array, zero: Array) -> Array:
    """x in whole steps, to 8 bits."""
    limits = np.iinfo(zero.dtype)
    levels = np.rint(x / scale) + int(zero)
    return np.clip(levels, limits.min, limits.max).astype(zero.dtype)


@operator
def DequantizeLinear(x: Array, scale: Array, zero: Array) -> Array:
    """Whole steps back to floats."""
    return (x.astype(np.float32) - np.float32(zero)) * scale
