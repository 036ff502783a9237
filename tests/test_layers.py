"""The layers that keep training well conditioned."""

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from npeg.training.networks.layers import Centre, Centred, LinearTransform, fold  # noqa: E402
from npeg.training.networks.transforms import opponent_dct, whitening  # noqa: E402
from npeg.training.optimizer import build_optimizers  # noqa: E402

CHANNELS = 32


def lopsided(batch: int = 4) -> Tensor:
    """Return features whose channels have means far from zero."""
    return torch.randn(batch, CHANNELS, 6, 5) + torch.linspace(-9, 9, CHANNELS)[:, None, None]


def test_means_are_learned_in_training_alone() -> None:
    torch.manual_seed(0)
    centre = Centre(CHANNELS)
    for _ in range(300):
        centre(lopsided())
    learned = centre.mean.clone()
    torch.testing.assert_close(learned, torch.linspace(-9, 9, CHANNELS), atol=0.1, rtol=0.01)
    assert centre(lopsided()).mean((0, 2, 3)).abs().max() < 0.5
    assert not torch.equal(centre.mean, learned)
    learned = centre.mean.clone()
    x = lopsided()
    torch.testing.assert_close(centre.eval()(x), x - learned[:, None, None])
    assert torch.equal(centre.mean, learned)


def test_no_gradient_moves_the_mean_of_a_channel() -> None:
    x = lopsided().requires_grad_(True)
    weight = torch.randn(4, CHANNELS, 6, 5)
    (Centre(CHANNELS)(x) * weight).sum().backward()
    expected = weight - weight.mean((0, 2, 3), keepdim=True)
    torch.testing.assert_close(x.grad, expected)


def test_a_linear_transform_begins_as_its_first_matrix() -> None:
    first, whiten = opponent_dct(CHANNELS, 8), whitening(192, 8)
    transform = LinearTransform(first, whiten)
    torch.testing.assert_close(transform.matrix()[:, :, 0, 0], first, atol=1e-5, rtol=1e-4)


def test_folded_layers_compute_the_same() -> None:
    torch.manual_seed(0)
    transform = LinearTransform(torch.randn(8, CHANNELS), 2 * torch.eye(CHANNELS), bias=True)
    centred = (Centred(CHANNELS, CHANNELS, size) for size in (3, 1))
    network = nn.Sequential(*centred, transform)
    network(lopsided()).sum().backward()
    network.eval()
    folded = fold(network)
    assert [type(layer) for layer in folded] == [nn.Conv2d] * 3
    x = lopsided()
    torch.testing.assert_close(folded(x), network(x), atol=1e-4, rtol=1e-4)


def weights(layer: LinearTransform) -> Tensor:
    """Return all of a layer's parameters in one vector."""
    return torch.cat([p.detach().flatten() for p in layer.parameters()])


@pytest.mark.parametrize("optimizer", [0, 1])
def test_layers_may_take_a_part_of_the_learning_rate(optimizer: int) -> None:
    torch.manual_seed(0)
    first, whiten = torch.randn(CHANNELS, CHANNELS), torch.eye(CHANNELS)
    pair = [LinearTransform(first, whiten, rate, bias=True) for rate in (1.0, 0.25)]
    network = nn.ModuleList(pair)
    before = [weights(layer) for layer in pair]
    x = lopsided()
    sum(layer(x).square().mean() for layer in pair).backward()
    chosen = build_optimizers(network, 1e-3)[optimizer]
    for group in chosen.param_groups:
        group["lr"] = 1e-3 * group["factor"]  # as the training loop does
    chosen.step()
    moved = [weights(layer).dist(old) for layer, old in zip(pair, before, strict=True)]
    assert moved[0] > 0
    assert moved[1] / moved[0] == pytest.approx(0.25, rel=0.01)
