"""Exporting: the ONNX graphs compute what the PyTorch networks compute."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from npeg.networks import Model  # noqa: E402
from npeg.training.export import export  # noqa: E402
from npeg.training.model import Codec, anchor_mask  # noqa: E402
from npeg.training.transforms import Architecture  # noqa: E402

LEVEL = 120
SMALL = {"analysis_width": 16, "synthesis_width": 24, "analysis_pairs": 2, "synthesis_pairs": 1}
HYPER = {"latents": 32, "hyper_latents": 8, "hyper_width": 16, "scale_width": 8}


@pytest.fixture(scope="module", params=[1, 3])
def codec(request: pytest.FixtureRequest) -> Codec:
    """Return a small codec in which no layer is still zero, with weights that halves can hold."""
    torch.manual_seed(0)
    codec = Codec(Architecture(**SMALL, **HYPER, end_kernel=request.param))
    for name, parameter in codec.named_parameters():
        spread = 0.2 if name.startswith("scale_head") else 0.02  # its outputs are whole numbers
        noise = spread * torch.randn_like(parameter)
        parameter.data = (parameter + noise).half().float()
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
    expected_psi, means = codec.mean_head(z_hat / gain_z)
    psi, found = exported.anchor_means(z_hat[0].numpy(), LEVEL)
    np.testing.assert_allclose(psi, expected_psi, atol=1e-4)
    np.testing.assert_allclose(found, (means * gain_y)[0], atol=1e-4)
    context = codec.context(expected_psi, anchors / gain_y) * gain_y
    found = exported.context_means(psi, anchors[0].numpy(), LEVEL)
    np.testing.assert_allclose(found, context[0], atol=1e-4)


def test_the_graph_chooses_exactly_the_networks_tables(codec: Codec, exported: Model) -> None:
    z_hat = torch.randint(-60, 61, (1, 8, 2, 3)).float()
    expected = codec.scale_head(z_hat, codec.gains.multiplier_z(T))
    expected = (expected + codec.gains.index_offset_y(T)).clamp(0, 63)[0]
    assert expected.unique().numel() > 5
    np.testing.assert_array_equal(exported.scale_indexes(z_hat[0].numpy(), LEVEL), expected)
