"""The synthesis' adaptive filter: what its matrices and convolutions over blocks stand for."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from npeg.training.checkpoint import about_codec, load_checkpoint, save_weights  # noqa: E402
from npeg.training.networks import layout  # noqa: E402
from npeg.training.networks.adaptive_filter import (  # noqa: E402
    BLOCK,
    DIRECTIONS,
    PATCH,
    REACH,
    TAPS,
    AdaptiveFilter,
    Kernels,
    luma_of_patches,
)
from npeg.training.networks.model import Codec  # noqa: E402
from npeg.training.networks.transforms import Architecture  # noqa: E402

STEP = "npeg.training.steps.fit_filter"
SMALL: dict[str, Any] = {
    "analysis_width": 8,
    "analysis_pairs": 1,
    "synthesis_width": 8,
    "synthesis_pairs": 1,
}
FEW: dict[str, Any] = {"latents": 16, "hyper_latents": 4, "hyper_width": 8, "scale_width": 4}

HEIGHT, WIDTH = 48, 64
T = torch.tensor([0.3])


def blocks_of(luma: Tensor) -> Tensor:
    """Return luma (B, 1, H, W) in blocks."""
    return layout.unshuffle(luma, BLOCK)


def waves(dy: int, dx: int) -> Tensor:
    """Return luma that changes along a direction alone."""
    i, j = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (0.1 * torch.sin(1.5 * (i * dy + j * dx)))[None, None]


@pytest.fixture
def trained() -> AdaptiveFilter:
    torch.manual_seed(0)
    adaptive = AdaptiveFilter(3)
    for parameter in adaptive.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return adaptive.requires_grad_(False)


def test_luma_of_patches_is_that_of_the_picture_in_blocks() -> None:
    picture = torch.rand(2, 3, HEIGHT, WIDTH)
    patches = layout.unshuffle(picture, PATCH)
    matrix = luma_of_patches()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(PATCH**2))
    luma = F.conv2d(patches, matrix[:, :, None, None])
    expected = picture.sum(1, keepdim=True) / 3**0.5
    torch.testing.assert_close(layout.shuffle(luma, PATCH // BLOCK), blocks_of(expected))


def test_kernels_over_blocks_are_symmetric_filters_of_the_picture() -> None:
    torch.manual_seed(1)
    kernels = Kernels(2).requires_grad_(False)
    size = 2 * REACH + 1
    filters = torch.zeros(2, 1, size, size)
    for (dy, dx), values in zip(TAPS, kernels.taps.T, strict=True):
        for sign in (1, -1):
            filters[:, 0, REACH + sign * dy, REACH + sign * dx] += values
        filters[:, 0, REACH, REACH] -= 2 * values
    luma = torch.rand(1, 1, HEIGHT, WIDTH)
    expected = F.conv2d(luma, filters)
    found = layout.shuffle(kernels(blocks_of(luma)).view(2, BLOCK**2, HEIGHT // 4, -1), BLOCK)
    inside = found[:, 0, REACH:-REACH, REACH:-REACH]
    torch.testing.assert_close(inside, expected[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(kernels.folded()(blocks_of(luma)), kernels(blocks_of(luma)))


def test_activity_tells_directions_apart(trained: AdaptiveFilter) -> None:
    for number, direction in enumerate(DIRECTIONS):
        activity = trained.activity(blocks_of(waves(*direction)))[0, :, 2:-2, 2:-2]
        # along its crests the wave of each direction stands still
        crests = {0: 1, 1: 0, 2: 3, 3: 2}[number]
        assert (activity[number] > activity[crests] + 1).all()


def test_a_filter_adds_nothing_at_first_and_to_flat_pictures(trained: AdaptiveFilter) -> None:
    patches = layout.unshuffle(torch.rand(1, 3, HEIGHT, WIDTH), PATCH)
    assert AdaptiveFilter(3)(patches, T).abs().max() == 0
    assert trained(patches, T).abs().max() > 0.01
    flat = torch.full((1, 3, HEIGHT, WIDTH), 0.4)
    assert trained(layout.unshuffle(flat, PATCH), T).abs().max() < 1e-5


def test_a_filter_changes_luma_alone_and_its_strength_with_the_quality(
    trained: AdaptiveFilter,
) -> None:
    patches = layout.unshuffle(torch.rand(1, 3, HEIGHT, WIDTH), PATCH)
    added = layout.shuffle(trained(patches, T), PATCH)
    torch.testing.assert_close(added, added[:, :1].expand_as(added))
    assert not torch.allclose(trained(patches, torch.tensor([0.9])), trained(patches, T))


def test_a_fitted_filter_lowers_the_error_and_leaves_the_rest(tmp_path: Path) -> None:
    images, start, out = (tmp_path / n for n in ("images", "a.safetensors", "b.safetensors"))
    images.mkdir()
    for name in ("coffee", "astronaut"):
        Image.fromarray(getattr(data, name)()).save(images / f"{name}.png")
    codec = Codec(Architecture(**SMALL, **FEW))
    about = about_codec({**SMALL, **FEW})
    save_weights(start, about | {"average": codec.state_dict()})
    command = [
        sys.executable,
        "-m",
        STEP,
        *map(str, (start, images, out)),
        "--crops",
        "2",
        "--steps",
        "150",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (left,) = re.findall(r"is ([\d.]+) of what it was", told)
    assert float(left) < 0.98
    state = load_checkpoint(out)
    assert state["arch"]["filter_kernels"] == 3
    for name, values in load_checkpoint(start)["average"].items():
        torch.testing.assert_close(state["average"][name], values)
