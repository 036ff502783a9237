"""Networks of perceptual losses: read from ONNX, TorchScript and torchvision."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

pytest.importorskip("safetensors")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from npeg.errors import InputError  # noqa: E402
from npeg.teaching import losses  # noqa: E402
from npeg.teaching.feature_networks import load_features  # noqa: E402

CPU = torch.device("cpu")


class Features(nn.Module):
    """A small network like the first layers of those that perceptual losses use."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.b(F.relu(self.a(x))), 3, 2, 1)


def write_onnx(network: Features, path: Path, last: str = "MaxPool") -> None:
    """Write the network as ONNX, node by node."""
    onnx = pytest.importorskip("onnx")
    helper, to_tensor = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        helper.make_node("Conv", ["x", "a.weight", "a.bias"], ["1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("Conv", ["2", "b.weight", "b.bias"], ["3"], strides=[2, 2]),
        helper.make_node(
            last, ["3"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "features",
        [value("x", 1, ["b", 3, "h", "w"])],
        [value("y", 1, None)],
        [to_tensor(v.numpy(), k) for k, v in network.state_dict().items()],
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())


def test_features_of_onnx_and_torchscript_files_are_those_of_the_network(tmp_path: Path) -> None:
    network = Features().eval()
    write_onnx(network, tmp_path / "features.onnx")
    with pytest.warns(DeprecationWarning):
        torch.jit.script(network).save(str(tmp_path / "features.pt"))
    x, x_hat = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32, requires_grad=True)
    expected = losses.feature_distance(network)(x, x_hat)
    for name in ("features.onnx", "features.pt"):
        loaded = load_features(tmp_path / name, CPU)
        distance = losses.feature_distance(loaded)(x, x_hat)
        torch.testing.assert_close(distance, expected)
        (gradient,) = torch.autograd.grad(distance, x_hat)
        assert gradient.abs().max() > 0
        assert float(losses.feature_distance(loaded)(x, x)) == 0


def test_feature_files_that_cannot_be_differentiated_are_refused(tmp_path: Path) -> None:
    write_onnx(Features(), tmp_path / "odd.onnx", last="LpPool")
    write_onnx(Features(), tmp_path / "padded.onnx", last="AveragePool")
    (tmp_path / "text.onnx").write_text("nothing")
    (tmp_path / "text.pt").write_text("nothing")
    (tmp_path / "text.txt").write_text("nothing")
    for name, message in {
        "odd.onnx": "cannot be differentiated here: it has operator LpPool",
        "padded.onnx": "AveragePool with pads",
        "text.onnx": "not an ONNX file",
        "text.pt": "not a TorchScript file",
        "text.txt": "expected .onnx, .pt or .ts",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            load_features(tmp_path / name, CPU)
        assert "\n" not in str(caught.value)


def test_vgg16_is_read_from_where_torchvision_keeps_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match="weights are not at .* torchvision"):
        load_features("vgg16", CPU)
    (tmp_path / "checkpoints").mkdir()
    weights = {"features.0": nn.Conv2d(3, 64, 3), "features.2": nn.Conv2d(64, 64, 3)}
    state = {f"{k}.{n}": v for k, conv in weights.items() for n, v in conv.state_dict().items()}
    torch.save(state, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    found = load_features("vgg16", CPU)(torch.rand(1, 3, 32, 32))
    assert isinstance(found, Tensor) and found.shape == (1, 64, 32, 32)
