"""Distortion as people see it: the loss measures what the bench does, and has gradients."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from npeg.bench.metrics import ssimulacra2  # noqa: E402
from npeg.bench.metrics.ssim import ms_ssim  # noqa: E402
from npeg.training import perception  # noqa: E402


def test_the_differentiable_measures_are_the_bench_s() -> None:
    from skimage.data import astronaut

    original = astronaut()[64:320, 100:357]  # an odd side
    for quality in (10, 50, 90, 98):
        buffer = io.BytesIO()
        Image.fromarray(original).save(buffer, "JPEG", quality=quality)
        decoded = np.array(Image.open(buffer))
        found = 100 - float(perception.ssimulacra2_distance(batch(original), batch(decoded)))
        assert abs(found - ssimulacra2.score(original, decoded)) < 0.1
        even = (Image.fromarray(v[:, :256]).convert("L") for v in (original, decoded))
        greys = [np.array(image.convert("RGB")) for image in even]
        found = 1 - float(perception.ms_ssim_distance(*map(batch, greys)))
        assert abs(found - ms_ssim(*greys)) < 1e-4


def batch(pixels: np.ndarray) -> Tensor:
    """Return an image as a batch (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def test_what_people_see_has_a_gradient_even_outside_of_the_range() -> None:
    x = torch.rand(1, 3, 192, 192)
    x_hat = (x + 0.3).requires_grad_()  # above 1 in places
    perception.cost(x, x_hat, torch.tensor([0.5])).sum().backward()
    assert x_hat.grad is not None and bool(torch.isfinite(x_hat.grad).all())
    assert bool((x_hat.grad[x_hat > 1] != 0).any())
