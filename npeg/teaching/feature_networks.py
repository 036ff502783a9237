"""Networks whose features a perceptual loss compares: VGG16, TorchScript files, ONNX files.

Enters: a name, a path or a callable.  Leaves: a callable from images (B, 3, H, W) in [0, 1] to
features, through which gradients flow.  Does not know: losses.  Nothing here downloads anything.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from .losses import FeatureNetwork

VGG16_WEIGHTS = "vgg16-397923af.pth"  # torchvision's IMAGENET1K_V1, where torchvision puts it
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of R, G, B: what torchvision's networks expect
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
TORCHSCRIPT_SUFFIXES = {".pt", ".pth", ".ts", ".torchscript"}


def load_features(source: str | Path, device: torch.device) -> FeatureNetwork:
    """Load a feature network and make sure that gradients flow through it.

    Args:
        source: "vgg16", or the path of a TorchScript or ONNX file of a network that takes images
            (B, 3, 32, 32) in [0, 1] and returns features, one tensor or several.
        device: where it shall run.

    Raises:
        InputError: the file is missing or of another kind, or cannot be differentiated.
    """
    path = Path(source).expanduser()
    if source == "vgg16":
        network: nn.Module = Vgg16()
    elif not path.is_file():
        raise InputError(f"loss {str(source)!r}: neither mse, ms-ssim, vgg16 nor a file")
    elif path.suffix.lower() == ".onnx":
        network = OnnxNetwork(path)
    elif path.suffix.lower() in TORCHSCRIPT_SUFFIXES:
        network = _load_torchscript(path)
    else:
        raise InputError(f"{path}: found suffix {path.suffix!r}, expected .onnx, .pt or .ts")
    network = network.to(device).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    check_gradient(network, str(source), device)
    return network


def check_gradient(network: FeatureNetwork, name: str, device: torch.device) -> None:
    """Raise InputError unless features of 32x32 images can be differentiated."""
    x = torch.rand(2, 3, 32, 32, device=device, requires_grad=True)
    try:
        features = network(x)
        for tensor in [features] if isinstance(features, Tensor) else list(features):
            torch.autograd.grad(tensor.square().mean(), x, retain_graph=True)
    except InputError:
        raise
    except Exception as error:  # whatever a network of someone else raises
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise InputError(f"{name}: not differentiable on 32x32 images ({reason})") from None


class Vgg16(nn.Module):
    """The first block of torchvision's VGG16, two convolutions, as the original program used.

    Source: Simonyan and Zisserman, arXiv:1409.1556.
    """

    def __init__(self) -> None:
        super().__init__()
        path = Path(torch.hub.get_dir()) / "checkpoints" / VGG16_WEIGHTS
        if not path.is_file():
            raise InputError(
                f"VGG16's weights are not at {path}: with torchvision installed, "
                'torchvision.models.vgg16(weights="IMAGENET1K_V1") downloads them (528 MB)'
            )
        weights = torch.load(path, "cpu", weights_only=True, mmap=True)
        for name in ("features.0", "features.2"):
            for part in ("weight", "bias"):
                self.register_buffer(f"{name[-1]}_{part}", weights[f"{name}.{part}"].clone())
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (B, 64, H, W) of images in [0, 1]."""
        y = (x - self.get_buffer("mean")) / self.get_buffer("deviation")
        for name in ("0", "2"):
            weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
            y = F.conv2d(y, weight, bias, padding=1).relu()
        return y


def _load_torchscript(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch prefers torch.export
            jit: Any = torch.jit  # its load() has no annotations
            network: nn.Module = jit.load(path, "cpu")
    except RuntimeError:
        raise InputError(f"{path}: not a TorchScript file") from None
    return network


class OnnxNetwork(nn.Module):
    """An ONNX graph of a plain convolutional network, run by PyTorch so that gradients flow.

    ONNX Runtime only runs networks forwards; this covers the operators of which networks like
    VGG, SqueezeNet and ResNet consist, and refuses a file with any other.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = _read_onnx(path).graph
        from onnx import helper, numpy_helper

        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[str, str] = {}  # name in the graph -> name of the buffer
        for tensor in graph.initializer:
            self._keep(tensor.name, numpy_helper.to_array(tensor))
        for node in graph.node:
            options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant" and "value" in options:
                self._keep(node.output[0], numpy_helper.to_array(options["value"]))
                continue
            _check_operator(path, node.op_type, options)
            self.nodes.append((node.op_type, list(node.input), list(node.output), options))
        self.input = next(i.name for i in graph.input if i.name not in self.constants)
        self.outputs = [output.name for output in graph.output]

    def _keep(self, name: str, array: Any) -> None:
        self.constants[name] = f"constant{len(self.constants)}"
        self.register_buffer(self.constants[name], torch.from_numpy(array.copy()))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the graph's outputs for images in [0, 1]."""
        values = {name: self.get_buffer(buffer) for name, buffer in self.constants.items()}
        values[self.input] = x
        for operator, inputs, outputs, options in self.nodes:
            values[outputs[0]] = OPERATORS[operator]([values[n] for n in inputs if n], options)
        return [values[name] for name in self.outputs]


def _read_onnx(path: Path) -> Any:
    try:
        import onnx
    except ModuleNotFoundError:
        raise InputError(f"{path}: reading it needs: pip install onnx") from None
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's own, which nothing else here needs to know
        raise InputError(f"{path}: not an ONNX file ({type(error).__name__})") from None


def _check_operator(path: Path, operator: str, options: dict[str, Any]) -> None:
    """Raise InputError for what `OPERATORS` would not compute as the file means it."""
    reason = ""
    if operator not in OPERATORS:
        reason = f"operator {operator}; only {', '.join(sorted(OPERATORS))} are known"
    elif options.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        reason = f"{operator} with auto_pad"
    elif options.get("ceil_mode"):
        reason = f"{operator} with ceil_mode"
    elif operator == "AveragePool" and any(options.get("pads", ())):
        reason = "AveragePool with pads"
    if reason:
        raise InputError(
            f"{path}: cannot be differentiated here: it has {reason}; use a TorchScript file"
        )


def _pad(x: Tensor, options: dict[str, Any], value: float = 0.0) -> Tensor:
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    return F.pad(x, (left, right, top, bottom), value=value)


def _convolve(inputs: Sequence[Tensor], options: dict[str, Any]) -> Tensor:
    x, weight, *bias = inputs
    return F.conv2d(
        _pad(x, options),
        weight,
        bias[0] if bias else None,
        stride=tuple(options.get("strides", (1, 1))),
        dilation=tuple(options.get("dilations", (1, 1))),
        groups=options.get("group", 1),
    )


def _pool_max(inputs: Sequence[Tensor], options: dict[str, Any]) -> Tensor:
    x = _pad(inputs[0], options, float("-inf"))
    strides, dilations = options.get("strides", (1, 1)), options.get("dilations", (1, 1))
    return F.max_pool2d(x, tuple(options["kernel_shape"]), tuple(strides), 0, tuple(dilations))


def _pool_average(inputs: Sequence[Tensor], options: dict[str, Any]) -> Tensor:
    kernel, strides = options["kernel_shape"], options.get("strides", (1, 1))
    return F.avg_pool2d(inputs[0], tuple(kernel), tuple(strides))


def _normalize(inputs: Sequence[Tensor], options: dict[str, Any]) -> Tensor:
    x, scale, bias, mean, variance = inputs
    return F.batch_norm(x, mean, variance, scale, bias, eps=options.get("epsilon", 1e-5))


OPERATORS: dict[str, Callable[[Sequence[Tensor], dict[str, Any]], Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "AveragePool": _pool_average,
    "BatchNormalization": _normalize,
    "Concat": lambda inputs, options: torch.cat(list(inputs), options["axis"]),
    "Conv": _convolve,
    "Div": lambda inputs, _: inputs[0] / inputs[1],
    "Elu": lambda inputs, options: F.elu(inputs[0], options.get("alpha", 1.0)),
    "Identity": lambda inputs, _: inputs[0],
    "LeakyRelu": lambda inputs, options: F.leaky_relu(inputs[0], options.get("alpha", 0.01)),
    "MaxPool": _pool_max,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Relu": lambda inputs, _: inputs[0].relu(),
    "Sigmoid": lambda inputs, _: inputs[0].sigmoid(),
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Tanh": lambda inputs, _: inputs[0].tanh(),
}
