"""Exporting: the ONNX graphs compute what the PyTorch networks compute."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

onnx = pytest.importorskip("onnx")

from npeg import latents  # noqa: E402
from npeg.container import Header  # noqa: E402
from npeg.encoder import _quantised as quantised  # noqa: E402
from npeg.encoder_rule import TUNES, EncoderOptions  # noqa: E402
from npeg.networks import Model  # noqa: E402
from npeg.training.correction import corrected, visibility  # noqa: E402
from npeg.training.export.eight_bits import equalize_transform, observe, to_eight_bits  # noqa: E402
from npeg.training.export.model_folder import export  # noqa: E402
from npeg.training.networks.layers import Centre, LinearTransform, fold  # noqa: E402
from npeg.training.networks.model import Codec, anchor_mask, distortion_weight  # noqa: E402
from npeg.training.networks.transforms import Architecture  # noqa: E402
from npeg.training.steps.calibrate import knots_of  # noqa: E402

LEVEL = 120
SMALL: dict[str, Any] = {
    "analysis_width": 16,
    "synthesis_width": 24,
    "analysis_pairs": 2,
    "synthesis_pairs": 1,
}
HYPER: dict[str, Any] = {"latents": 32, "hyper_latents": 8, "hyper_width": 16, "scale_width": 8}
FILTER: dict[str, Any] = {"filter_kernels": 2, "adaptive_width": True}


@pytest.fixture(scope="module")
def codec() -> Codec:
    """Return a small codec in which no layer is still zero, with weights that halves can hold."""
    torch.manual_seed(0)
    codec = Codec(Architecture(**SMALL, **HYPER, **FILTER))
    for name, parameter in codec.named_parameters():
        spread = 0.2 if name.startswith(("scale_head", "mean_head.widths")) else 0.02
        spread = 2e-4 if "shortcut" in name else spread  # noise is large when it is whitened
        if name.endswith("kernels.taps"):
            parameter.data /= 8  # what is stored of filters in halves is not exact
        noise = spread * torch.randn_like(parameter)
        parameter.data = (parameter + noise).half().float()
    for module in codec.modules():
        if isinstance(module, LinearTransform):
            halves = module.matrix()[:, :, 0, 0].detach().half().float()
            weight = torch.linalg.solve(module.whiten, halves, left=False)
            module.weight.data = weight[:, :, None, None]
        if isinstance(module, Centre):
            module.mean.normal_(std=0.1).copy_(module.mean.half())
    return codec.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def exported(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("models") / "small"
    export(codec, folder, [], [])
    return Model(folder, 1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(128, 192, 3), dtype=np.uint8)


T = torch.tensor([LEVEL / 200])


@pytest.fixture(scope="module")
def eight(codec: Codec) -> Codec:
    """The codec with 8-bit convolutions, whose steps fit noise."""
    torch.manual_seed(1)
    return to_eight_bits(codec, torch.rand(4, 3, 128, 128), torch.linspace(0, 1, 4)).eval()


def restored(codec: Codec, latents: Tensor) -> np.ndarray:
    """Return the pixels (H, W, 3) that a codec makes of latents, not rounded."""
    return (codec.g_s(latents, T)[0].permute(1, 2, 0) * 255).detach().numpy()


def test_equal_channels_leave_the_transforms_as_they_are(codec: Codec) -> None:
    x = torch.rand(2, 3, 128, 128)
    scaled, t = copy.deepcopy(codec), torch.tensor([0.1, 0.8])
    for transform in (scaled.g_a, scaled.g_s):
        transform.pairs = fold(transform.pairs)
    seen = observe(scaled, x, t)
    for transform in (scaled.g_a, scaled.g_s):
        equalize_transform(transform, seen)
    name = "g_a.pairs.0.conv2.weight"
    assert not torch.equal(scaled.state_dict()[name], codec.state_dict()[name])
    latents = codec.g_a(x, t)
    torch.testing.assert_close(scaled.g_a(x, t), latents, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scaled.g_s(latents, t), codec.g_s(latents, t), atol=1e-4, rtol=1e-4)


def test_8_bits_move_pixels_a_little(codec: Codec, eight: Codec) -> None:
    latents = codec.g_a(torch.rand(1, 3, 128, 128), T)
    detail = restored(codec, latents) - 255 * latents_alone(codec, latents)
    error = restored(eight, latents) - restored(codec, latents)
    assert 0 < error.std() < 0.02 * detail.std()


def latents_alone(codec: Codec, latents: Tensor) -> np.ndarray:
    """Return what the linear transform makes of latents, (H, W, 3)."""
    image = torch.pixel_shuffle(codec.g_s.shortcut(latents), 16) + 0.5
    return image[0].permute(1, 2, 0).numpy()


def test_the_graphs_compute_on_the_same_8_bits(eight: Codec, tmp_path: Path) -> None:
    export(eight, tmp_path / "eight", [], [])
    graph = onnx.load(tmp_path / "eight" / "synthesis.onnx").graph
    assert sum(node.op_type == "QLinearConv" for node in graph.node) == 2 * len(eight.g_s.pairs)
    model = Model(tmp_path / "eight", 1)
    pixels = np.random.default_rng(1).integers(256, size=(128, 192, 3), dtype=np.uint8)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    latents = eight.g_a(x, T)
    y, _ = model.analysis(pixels, LEVEL)
    gain = eight.gains.gain_y(T)
    expected = (latents * gain)[0].detach().numpy()
    error = np.abs(y - expected)  # here and there an integer is rounded the other way
    assert error.max() < 0.02 * expected.std()
    assert error.mean() < 0.001 * expected.std()
    levels = restored(eight, torch.from_numpy(y)[None] / gain).round().clip(0, 255)
    found = model.synthesis(y, LEVEL)
    assert np.abs(found - levels).max() <= 1
    assert np.mean(found != levels) < 0.02


@torch.no_grad()
def test_the_graphs_of_the_means_compute_on_the_same_8_bits(eight: Codec, tmp_path: Path) -> None:
    export(eight, tmp_path / "eight", [], [])
    for name in ("mean_head", "context"):
        graph = onnx.load(tmp_path / "eight" / f"{name}.onnx").graph
        assert sum(node.op_type == "QLinearConv" for node in graph.node) == 1
    model = Model(tmp_path / "eight", 1)
    z_hat = torch.randint(-9, 10, (1, 8, 2, 3)).float()
    expected_psi, expected_means, _ = eight.mean_head(z_hat / eight.gains.gain_z(T))
    psi, means, _ = model.anchor_means(z_hat[0].numpy(), LEVEL)
    anchors = torch.randn(1, 32, 8, 12) * anchor_mask(torch.zeros(8, 12))
    gain = eight.gains.gain_y(T)
    others = model.context_means(expected_psi.numpy(), (anchors * gain)[0].numpy(), LEVEL)
    for found, expected in (
        (psi, expected_psi),
        (means, (expected_means * gain)[0]),
        (others, (eight.context(expected_psi, anchors) * gain)[0]),
    ):
        error = np.abs(found - expected.numpy())  # here and there an integer is one off
        assert error.mean() < 0.003 * expected.std()


def test_steps_and_weights_of_8_bits_can_be_trained(eight: Codec) -> None:
    for part, channels in ((eight.g_s.pairs[0], 24), (eight.context.neighbours, 32)):
        layer = copy.deepcopy(part).requires_grad_(True)
        layer(torch.randn(1, channels, 8, 8)).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_export_fits_8_bits_to_images_unless_told_not_to(codec: Codec, tmp_path: Path) -> None:
    images = [np.random.default_rng(2).integers(256, size=(96, 130, 3), dtype=np.uint8)]
    for name, expected in (("eight", True), ("float", False)):
        export(codec, tmp_path / name, images, [0.5], eight_bits=expected)
        graph = onnx.load(tmp_path / name / "synthesis.onnx").graph
        assert any(node.op_type == "QLinearConv" for node in graph.node) == expected


def test_the_graphs_analyse_and_restore_as_the_networks(
    codec: Codec, exported: Model, pixels: np.ndarray
) -> None:
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    latents = codec.g_a(x, T)
    y, z = exported.analysis(pixels, LEVEL)
    expected_z = codec.h_a(latents) * codec.gains.gain_z(T)
    np.testing.assert_allclose(y, (latents * codec.gains.gain_y(T))[0], atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(z, expected_z[0], atol=2e-3, rtol=2e-3)
    levels = (codec.g_s(latents, T)[0].permute(1, 2, 0) * 255).round().clamp(0, 255).numpy()
    found = exported.synthesis(y, LEVEL)
    assert np.abs(found - levels).max() <= 1
    assert np.mean(found != levels) < 0.01


def test_the_graphs_foretell_as_the_networks(codec: Codec, exported: Model) -> None:
    gain_y, gain_z = codec.gains.gain_y(T), codec.gains.gain_z(T)
    z_hat = torch.randint(-9, 10, (1, 8, 2, 3)).float()
    anchors = torch.randn(1, 32, 8, 12) * anchor_mask(torch.zeros(8, 12))
    expected_psi, means, widths = codec.mean_head(z_hat / gain_z)
    psi, found, steps = exported.anchor_means(z_hat[0].numpy(), LEVEL)
    np.testing.assert_allclose(psi, expected_psi, atol=1e-4)
    np.testing.assert_allclose(steps, 1 / widths[0], rtol=1e-3)
    assert steps.std() > 0.1
    np.testing.assert_allclose(found, (means * gain_y)[0], atol=1e-4)
    context = codec.context(expected_psi, anchors / gain_y) * gain_y
    found = exported.context_means(psi, anchors[0].numpy(), LEVEL)
    np.testing.assert_allclose(found, context[0], atol=1e-4)


def test_a_graph_finds_the_error_of_latents(codec: Codec, exported: Model) -> None:
    """A few latents more, in the linear part's eyes, are found again; what they are worth, too."""
    more = torch.zeros(1, 32, 8, 12)
    more[0, 1, 2, 3], more[0, 7, 5, 6], more[0, 21, 0, 0] = 4, -3, 2.5
    gain = codec.gains.gain_y(T)[0]
    step = torch.where(torch.arange(32) < 20, *TUNES["psnr"].shares)[:, None, None]
    for luma in (True, False):
        part = more[0] * ((torch.arange(32) < 20) == luma)[:, None, None]
        image = torch.pixel_shuffle(codec.g_s.shortcut(part[None]), 16)[0].permute(1, 2, 0)
        decoded = (image * 255 + 128).round().numpy().astype(np.uint8)
        pixels = np.full_like(decoded, 128)  # flat: each pixel counts as much as the others
        error, weight = exported.latent_error(pixels, decoded, LEVEL, 1.5, 0.5)
        expected = -(part * gain * step).numpy()
        np.testing.assert_allclose(error, expected, atol=0.1 * float(gain.mean()))
        squared = float(np.square((pixels.astype(float) - decoded) / 255).sum())
        worth = float(distortion_weight(T)) / 3 * squared * (1 if luma else 1.5)
        found = (weight * np.square(error / step.numpy())).sum()
        assert found == pytest.approx(worth, rel=0.02)


def test_an_error_counts_more_in_flat_places() -> None:
    grey = torch.full((1, 1, 48, 64), 100.0)
    grey[..., 16:32, 20:26] = 200.0  # a bar in a block of 16x16
    within, blocks = visibility(grey, torch.tensor(0.25))
    assert within[0, 0, 12, 10] < 0.8 < 1.2 < within[0, 0, 12, 15]
    means = torch.nn.functional.avg_pool2d(within, 8)
    torch.testing.assert_close(means, torch.ones(1, 1, 3, 4))
    assert blocks[0, 0, 1, 1] < 0.9 < 1 < blocks[0, 0, 0, 3] == blocks[0, 0, 2, 0]
    assert float(blocks.log().mean()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("level", "name"), [(40, "psnr"), (120, "psnr"), (120, "visual")])
def test_training_corrects_latents_as_the_encoder_does(
    codec: Codec, tmp_path: Path, level: int, name: str
) -> None:
    export(codec, tmp_path / name, [], [], tune=name)
    exported, tune = Model(tmp_path / name, 1), TUNES[name]
    pixels = np.ascontiguousarray(astronaut()[:128, 160:352])
    header = Header(1, level, 192, 128, tile_size=192)
    ((first, _),), ((tile, _),) = (
        quantised(exported, pixels, header, EncoderOptions(effort, name), lambda _: None)
        for effort in (0, 1)
    )
    assert first and tile
    moved = np.mean(first.symbols != tile.symbols)
    assert 0.002 < moved < 0.4
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    t = torch.tensor([level / 200])
    y_hat, bits = corrected(codec, x, t, tune)
    found = (y_hat * codec.gains.gain_y(t))[0].numpy()
    other = np.abs(found - tile.y_hat) > 0.5  # a symbol more or less
    other &= np.abs(tile.symbols) < 14  # larger ones share tokens
    assert other.mean() < 0.02 * moved
    coded = sum(map(len, latents.code(exported, tile, level).values()))
    assert float(bits) / 8 == pytest.approx(coded, rel=0.02, abs=20)


def test_the_graph_chooses_exactly_the_networks_tables(codec: Codec, exported: Model) -> None:
    z_hat = torch.randint(-60, 61, (1, 8, 2, 3)).float()
    expected = codec.scale_head(z_hat, codec.gains.multiplier_z(T))
    expected = (expected + codec.gains.index_offset_y(T)).clamp(0, 63)[0]
    assert expected.unique().numel() > 5
    np.testing.assert_array_equal(exported.scale_indexes(z_hat[0].numpy(), LEVEL), expected)


def test_as_many_hyper_latents_as_hyper_channels_are_no_trouble(tmp_path: Path) -> None:
    small = Architecture(**SMALL | {"hyper_latents": 32, "hyper_width": 32, "scale_width": 8})
    codec = Codec(small).eval().requires_grad_(False)
    export(codec, tmp_path, [], [])
    z_hat = torch.randint(-9, 10, (1, 32, 2, 3)).float()
    psi, *_ = Model(tmp_path, 1).anchor_means(z_hat[0].numpy(), LEVEL)
    expected = codec.mean_head(z_hat / codec.gains.gain_z(T))[0]
    np.testing.assert_allclose(psi, expected, atol=1e-3, rtol=1e-2)


def test_a_calibrated_quality_is_the_score_where_it_can_be() -> None:
    scores = np.linspace(-5, 91, 13)  # at t = 0 to 1
    knots = knots_of(scores)
    assert (knots[0], knots[-1], len(knots)) == (0, 1, 11)
    assert all(b - a >= 0.0399 for a, b in pairwise(knots))
    assert np.interp(knots[5], np.linspace(0, 1, 13), scores) == pytest.approx(50, abs=0.1)


def test_the_networks_see_the_calibrated_quality(codec: Codec, tmp_path: Path) -> None:
    export(codec, tmp_path / "plain", [], [])
    export(codec, tmp_path / "bent", [], [], knots=(0.0, 0.2, 1.0))
    plain, bent = Model(tmp_path / "plain", 1), Model(tmp_path / "bent", 1)
    z_hat = np.random.default_rng(4).integers(-9, 10, (8, 2, 3)).astype(np.float32)
    for level, same in ((0, 0), (100, 40), (200, 200)):
        found, expected = bent.scale_indexes(z_hat, level), plain.scale_indexes(z_hat, same)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            bent.anchor_means(z_hat, level)[1], plain.anchor_means(z_hat, same)[1]
        )
