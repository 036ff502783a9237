"""ST-LPIPS: how far apart two images are to a network that was trained on people's choices.

Enters: two images of one size, (H, W, 3) uint8. Leaves: a distance, 0 for no difference.

It is LPIPS in its variant that is not upset by shifts of a pixel: AlexNet whose strides are
preceded by a blur. The package `stlpips-pytorch` brings its weights, but its own code needs
packages that are not needed for this.

Source: Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022,
arXiv:2207.13686; Zhang et al., arXiv:1801.03924.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npeg.arrays import Pixels
from npeg.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "stlpips_pytorch"
WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
SMALLEST_SIDE = 24  # below, the last blur has fewer samples than it mirrors at a border
LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
PADDING = (2, 2, 1, 1, 1)  # of AlexNet's convolutions, in samples


def distance(original: Pixels, decoded: Pixels) -> float:
    """Return 0 for no difference, more as it grows; near 1 for images that share nothing.

    Raises:
        InputError: a side is under 24 pixels, or the package's weights are not as expected.
    """
    import torch

    if min(original.shape[:2]) < SMALLEST_SIDE:
        height, width = original.shape[:2]
        raise InputError(f"ST-LPIPS needs 24x24 pixels or more, found {width}x{height}")
    weights = _weights()
    with torch.inference_mode(), _one_thread():
        pairs = zip(_features(original), _features(decoded), strict=True)
        terms = [
            ((a - b) ** 2 * weights[f"lin{i}.model.1.weight"].view(1, -1, 1, 1)).sum(1).mean()
            for i, (a, b) in enumerate(pairs)
        ]
        return float(torch.stack(terms).sum())


@cache
def package_version() -> str:
    """Return the package that brings the weights, with its version, and torch's."""
    names = ("stlpips-pytorch", "torch")
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        return f"{error.name} missing"


def _features(image: Pixels) -> "list[Tensor]":
    """Return what five layers of AlexNet say of an image, (1, C, h, w), of length 1 at a place."""
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    weights = _weights()
    # np.array copies: the bench's photographs cannot be written, which torch warns of
    x = torch.from_numpy(np.array(image.transpose(2, 0, 1)[None], np.float32)) / 127.5 - 1
    x = (x - weights["scaling_layer.shift"]) / weights["scaling_layer.scale"]
    features = []
    for layer, (name, padding) in enumerate(zip(LAYERS, PADDING, strict=True)):
        if layer in (1, 2):
            x = _halve(max_pool2d(x, 3, stride=1))
        x = conv2d(x, weights[f"net.{name}.weight"], weights[f"net.{name}.bias"], padding=padding)
        x = (_halve(x) if layer == 0 else x).relu()
        features.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
    return features


def _halve(x: "Tensor") -> "Tensor":
    """Blur with [1 2 1] / 4 in both directions, and take every other sample."""
    import torch
    from torch.nn.functional import conv2d, pad

    taps = torch.tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    return conv2d(pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread for a while: the bench measures in as many processes as cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _weights() -> "dict[str, Tensor]":
    """Read AlexNet and the five heads from the installed package, without running its code.

    Raises InputError if they are not there.
    """
    import torch

    spec = find_spec(PACKAGE)
    roots = list(spec.submodule_search_locations or []) if spec else []
    path = next((p for root in roots if (p := Path(root, WEIGHTS)).exists()), None)
    if path is None:
        raise InputError(f"ST-LPIPS found no {WEIGHTS}: pip install stlpips-pytorch")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
