"""The scale head is exact: NumPy integers and ONNX Runtime give the same table indexes."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from npeg import networks

Ints = NDArray[np.int64]


def load_weights(model_id: int) -> list[tuple[Ints, Ints]]:
    """Return (weight, bias) of the three convolutions, as integers."""
    graph = onnx.load(networks.FOLDER / networks.MODELS[model_id] / "scale_head.onnx").graph
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    names = [node.input for node in graph.node if node.op_type == "Conv"]
    cast = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast"}
    pairs = [(arrays[cast.get(w, w)], arrays[cast.get(b, b)]) for _, w, b in names]
    for pair in pairs:
        for array in pair:
            assert np.array_equal(array, np.rint(array))
    return [(w.astype(np.int64), b.astype(np.int64)) for w, b in pairs]


def convolve(x: Ints, weight: Ints, bias: Ints) -> Ints:
    """x (C, h, w) with zero padding to (K, h, w)."""
    side = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    return np.einsum("chwij,kcij->khw", windows, weight) + bias[:, None, None]


def shift(x: Ints, bits: int) -> Ints:
    """Return round(x / 2^bits), half to even."""
    return np.rint(x / 2.0**bits).astype(np.int64)


def depth_to_space(x: Ints) -> Ints:
    c, h, w = x.shape
    return x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)


def scale_indexes(model_id: int, z_hat: Ints, multiplier: Ints, offset: Ints) -> Ints:
    """The scale head of SPEC.md, section 7, on integers alone."""
    first, second, third = load_weights(model_id)
    x = np.clip(shift(z_hat * multiplier[:, None, None], 8), -127, 127)
    for weight, bias in (first, second):
        x = depth_to_space(np.clip(shift(convolve(x, weight, bias), 8), 0, 255))
    return np.clip(shift(convolve(x, *third), 10) + offset[:, None, None], 0, 63)


@pytest.mark.parametrize("model_id", networks.MODELS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("level", [0, 90, 200])
def test_numpy_and_onnx_runtime_agree_on_every_index(
    model_id: int, threads: int, level: int
) -> None:
    model = networks.load(model_id, threads)
    entropy = np.load(networks.FOLDER / networks.MODELS[model_id] / "entropy.npz")
    rng = np.random.default_rng(level)
    for spread in (2, 30, 20000):
        z_hat = rng.integers(-spread, spread + 1, (model.hyper_latents, 3, 4))
        integers = entropy["multiplier_z"][level], entropy["offset_y"][level]
        expected = scale_indexes(model_id, z_hat, *integers)
        found = model.scale_indexes(z_hat.astype(np.float32), level)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("model_id", networks.MODELS)
def test_no_partial_sum_can_leave_the_exact_integers(model_id: int) -> None:
    for (weight, bias), limit in zip(load_weights(model_id), (127, 255, 255), strict=True):
        assert (np.abs(weight).sum((1, 2, 3)) * limit + np.abs(bias)).max() < 2**24
