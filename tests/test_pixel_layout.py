"""Graphs shuffle pixels by blocks: the same numbers as PyTorch's own order gives."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from npeg.training.networks import layout  # noqa: E402


@pytest.mark.parametrize(("size", "outer"), [(2, 1), (8, 1), (8, 2)])
def test_layers_beside_a_shuffle_compute_the_same(size: int, outer: int) -> None:
    torch.manual_seed(0)
    side = size * outer
    image = torch.randn(2, 3, 3 * side, 2 * side)
    conv = nn.Conv2d(3 * side**2, 16, 3, padding=1).double()
    expected = conv(F.pixel_unshuffle(image, side).double())
    layout.reorder_inputs(conv, size, outer)
    found = conv(layout.unshuffle(layout.unshuffle(image, size), outer).double())
    torch.testing.assert_close(found, expected)

    features = torch.randn(2, 16, 3, 2)
    conv = nn.Conv2d(16, 3 * side**2, 1)
    expected = F.pixel_shuffle(conv(features), side)
    layout.reorder_outputs(conv, size, outer)
    found = layout.shuffle(layout.shuffle(conv(features), outer), size)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_blocks_come_back() -> None:
    pixels = torch.arange(2 * 16 * 24 * 3).view(2, 16, 24, 3)
    blocks = layout.space_to_depth(pixels, 8)
    assert blocks.shape == (2, 2, 3, 192)
    assert torch.equal(blocks[0, 1, 2, :24], pixels[0, 8, 16:24].flatten())
    assert torch.equal(layout.depth_to_space(blocks, 8), pixels)
