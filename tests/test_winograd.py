"""Winograd's convolutions: the same results and gradients as PyTorch's own, in the same places."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, memory_format, nn  # noqa: E402

from npeg.errors import InputError  # noqa: E402
from npeg.training.networks import winograd  # noqa: E402
from npeg.training.networks.transforms import Architecture  # noqa: E402
from npeg.training.networks.winograd import (  # noqa: E402
    PointwiseConv2d,
    Winograd,
    WinogradConv2d,
    use_winograd,
)
from npeg.training.rate_distortion import Settings, train  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile the transforms, or skip where there is no compiler."""
    try:
        winograd.compiled()
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "height", "width"),
    [(2, 80, 80, 32, 32), (3, 16, 24, 30, 17), (1, 8, 8, 1, 2), (4, 64, 128, 5, 6)],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_of_conv2d(
    batch: int, inputs: int, outputs: int, height: int, width: int, layout: memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, inputs, height, width).contiguous(memory_format=layout)
    kernels, bias = torch.randn(outputs, inputs, 3, 3), torch.randn(outputs)
    leaves = [tensor.requires_grad_() for tensor in (x, kernels, bias)]
    expected = F.conv2d(x, kernels, bias, padding=1)
    found = Winograd.apply(*leaves)
    back = torch.randn_like(expected)
    pairs = [(expected, found)]
    pairs += zip(
        torch.autograd.grad(expected, leaves, back),
        torch.autograd.grad(found, leaves, back),
        strict=True,
    )
    for one, other in pairs:
        assert one.shape == other.shape
        assert float((one - other).detach().abs().max() / one.detach().abs().max()) < 3e-5


@pytest.mark.parametrize("bias", [False, True])
def test_a_product_of_matrices_is_a_1x1_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(24, 40, 1, bias=bias)
    x = torch.randn(2, 24, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_()
    expected = conv(x)
    use_winograd(conv)
    found = conv(x)
    assert type(conv) is PointwiseConv2d
    assert found.is_contiguous(memory_format=torch.channels_last)
    leaves, back = [x, *conv.parameters()], torch.randn_like(expected)
    ours = torch.autograd.grad(found, leaves, back)
    theirs = torch.autograd.grad(expected, leaves, back)
    for one, other in [(expected, found), *zip(theirs, ours, strict=True)]:
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_only_what_the_transforms_know_is_changed() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),  # too few channels
        nn.Conv2d(32, 32, 3, padding=1),
        nn.Conv2d(32, 32, 3, padding=1, stride=2),
        nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 36, 3, padding=1),  # no multiple of 8
        nn.Conv2d(32, 32, 3, padding=1, groups=2),
        nn.Conv2d(32, 32, 3, padding=1, padding_mode="replicate"),
        nn.Conv2d(32, 32, 1),
    )
    changed = copy.deepcopy(network)
    assert use_winograd(changed) == 1
    kinds = [type(layer) is WinogradConv2d for layer in changed]
    assert kinds == [False, True, False, False, False, False, False, False]
    assert changed.state_dict().keys() == network.state_dict().keys()


def test_a_copy_computes_with_its_own_weights() -> None:
    network = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1))
    use_winograd(network)
    copied = copy.deepcopy(network)
    for parameter in copied.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(1, 16, 8, 8)
    assert not copied(x).any()
    assert network(x).any()


def test_without_a_compiler_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Ninja is required to load C++ extensions\nand more lines")

    monkeypatch.setattr("torch.utils.cpp_extension.load", fail)
    monkeypatch.setattr(winograd, "compiled", winograd.compiled.__wrapped__)
    with pytest.raises(InputError, match=r"--winograd: .*Ninja is required.*pip install ninja"):
        use_winograd(nn.Conv2d(16, 16, 3, padding=1))


@pytest.mark.parametrize(("side", "used"), [(31, False), (32, True)])
def test_few_positions_are_convolved_directly(
    side: int, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    direct = Winograd.apply

    def counted(*given: Tensor) -> Any:
        calls.append(1)
        return direct(*given)

    monkeypatch.setattr(Winograd, "apply", counted)
    conv = nn.Conv2d(16, 16, 3, padding=1)
    x = torch.randn(2, 16, side, 32)
    expected = conv(x)
    use_winograd(conv)
    torch.testing.assert_close(conv(x), expected, atol=1e-4, rtol=1e-4)
    assert bool(calls) == used


def test_a_training_run_has_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "LEAST_POSITIONS", 1)
    rows = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    for name, row in zip("ab", rows, strict=True):
        Image.fromarray(row).save(tmp_path / f"{name}.png")
    arch = Architecture(16, 1, 16, 1, 16, 8, 8, 8)
    losses = []
    for winograd_used in (False, True):
        out = tmp_path / f"run{winograd_used}"
        settings = Settings(tmp_path, out, steps=5, batch=2, crop=64, winograd=winograd_used)
        trainer = train(settings, arch)
        assert any(isinstance(m, WinogradConv2d) for m in trainer.model.modules()) == winograd_used
        losses.append(np.loadtxt(out / "train.tsv", skiprows=1)[:, 2])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
