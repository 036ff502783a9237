"""Checkpoint to a model folder that NumPy and ONNX Runtime run without PyTorch.

Writes seven ONNX graphs and `entropy.npz`: every integer that the bitstream depends on.  Float
weights are stored in half precision, which moves no decoded pixel by more than rounding.
"""

import copy
import io
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ...arrays import Pixels
from ...container import LEVELS
from ...encoder import symbols_of
from ...encoder_rule import TUNES, Tune
from ...entropy import (
    LOW_BITS,
    MAGNITUDE_OF_TOKEN,
    TOKEN_OF_MAGNITUDE,
    TOKENS,
    quantize_probabilities,
)
from ...networks import Model
from ...threads import thread_count
from ...weights import write_sums
from .. import correction
from ..data import draw_batch
from ..networks import layout
from ..networks.adaptive_filter import PATCH
from ..networks.entropy_model import TABLES
from ..networks.layers import fold
from ..networks.model import Codec, distortion_weight
from ..networks.transforms import DETAIL, STEP, Architecture
from ..rate_distortion import PAD
from .eight_bits import constant, for_export, to_eight_bits, zero_point
from .preview import write_preview

Floats = NDArray[np.float64]

OPSET = 17
SKIPPED_ZERO_PROBABILITY = 0.9995  # latents surer than this to be 0 are not coded
STEPS_CROP, STEPS_CROPS = 256, 32  # side in pixels and number of crops that 8-bit steps fit
HALF_MIN_SIZE = 64  # smaller initialisers stay float32: nothing to gain


class AnalysisGraph(nn.Module):
    """Levels of 255 (1, H, W, 3), float, to y (1, M, H/16, W/16) and z, a quarter as high."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.g_a = copy.deepcopy(codec.g_a)
        layout.reorder_inputs(self.g_a.head, PATCH)
        layout.reorder_inputs(self.g_a.shortcut, PATCH, STEP)
        for_export(self.g_a)

    def forward(self, pixels: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        c = self.codec
        patches = layout.space_to_depth(pixels, PATCH) / 255 - 0.5
        features = self.g_a.head(layout.channels_first(patches))
        linear = self.g_a.shortcut(layout.channels_first(layout.space_to_depth(patches, STEP)))
        y = self.g_a.finish(features, linear, t)
        return y * c.gains.gain_y(t), c.h_a(y) * c.gains.gain_z(t)


class LatentErrorGraph(nn.Module):
    """Pixels and what was decoded of them, (1, H, W, 3) in levels of 255, to the latents' error.

    The linear part of the synthesis stands for all of it: its columns, projected on the error, say
    by how many symbols (1, M, H/16, W/16) a latent should be larger, and their norms how many bits
    a squared symbol is worth there. See `correction.latent_error`.
    """

    norms: Tensor

    def __init__(self, codec: Codec, tune: Tune) -> None:
        super().__init__()
        self.codec = codec
        columns = codec.g_s.shortcut.weight  # (3 * STRIDE^2, M, 1, 1), folded
        norms = columns.square().sum(0)
        projection = columns / norms * correction.shares(len(norms), tune)
        self.projection = nn.Conv2d(len(columns), len(norms), 1, bias=False)
        self.projection.weight = nn.Parameter(projection.transpose(0, 1), False)
        layout.reorder_inputs(self.projection, PATCH, STEP)
        self.register_buffer("norms", norms[None])

    def forward(
        self, pixels: Tensor, decoded: Tensor, t: Tensor, chroma: Tensor, masking: Tensor
    ) -> tuple[Tensor, Tensor]:
        gain = self.codec.gains.gain_y(t)
        b, h, w, _ = pixels.shape
        thirds = torch.full((1, 1, 1, 3), 1 / 3)
        grey = F.conv2d(pixels.view(b, 1, h, 3 * w), thirds, stride=(1, 3))
        within, blocks = correction.visibility(grey, masking)
        error = (pixels - decoded).view(b, h // 2, 2, w // 2, 2, 3)
        error = (error * within.view(b, h // 2, 1, w // 2, 1, 1)).view(b, h, w, 3)
        patches = layout.space_to_depth(layout.space_to_depth(error, PATCH), STEP)
        weight = correction.counts(self.norms.shape[1], chroma)
        weight = weight * distortion_weight(t)[:, None, None, None] / 3 * self.norms / gain.square()
        return self.projection(layout.channels_first(patches)) * (gain / 255), weight * blocks


class ScaleHeadGraph(nn.Module):
    """Integers z_hat, multiplier (1, Z, 1, 1), offset (1, M, 1, 1) to table indexes, uint8."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.head = copy.deepcopy(codec.scale_head)
        with torch.no_grad():  # the rounded weights become the graph's constants
            for conv in (self.head.conv1, self.head.conv2, self.head.conv3):
                conv.weight = nn.Parameter(conv.integer_weight())
                conv.bias = nn.Parameter(conv.integer_bias())

    def forward(self, z_hat: Tensor, multiplier: Tensor, offset: Tensor) -> Tensor:
        x = (z_hat * multiplier * (1 / 256)).round().clamp(-127, 127)
        for conv in (self.head.conv1, self.head.conv2):
            x = F.conv2d(x, conv.weight, conv.bias, padding=1)
            x = F.pixel_shuffle((x * (1 / 256)).round().clamp(0, 255), 2)
        x = F.conv2d(x, self.head.conv3.weight, self.head.conv3.bias)
        x = (x * (1 / 1024)).round() + offset
        return x.clamp(0, TABLES - 1).to(torch.uint8)


class MeanHeadGraph(nn.Module):
    """z_hat to the features psi, the scaled means of the anchors, and all steps if they adapt."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.mean_head = copy.deepcopy(codec.mean_head)
        for_export(self.mean_head)

    def forward(self, z_hat: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        psi, means, widths = self.mean_head(z_hat / self.codec.gains.gain_z(t))
        steps = (1 / widths,) if self.codec.arch.adaptive_width else ()
        return psi, means * self.codec.gains.gain_y(t), *steps


class ContextGraph(nn.Module):
    """psi and the scaled anchors (zero elsewhere) to the scaled means of the other latents."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.context = copy.deepcopy(codec.context)
        for_export(self.context)

    def forward(self, psi: Tensor, anchors: Tensor, t: Tensor) -> Tensor:
        gain = self.codec.gains.gain_y(t)
        return self.context(psi, anchors / gain) * gain


class SynthesisGraph(nn.Module):
    """Scaled y_hat to pixels (1, H, W, 3) uint8, and what they are rounded from.

    That is patches (1, H/8, W/8, 8 * 8 * 3) in [0, 1] and somewhat beyond, of which an 8-bit image
    needs nothing: who asks for the pixels alone pays for them alone.
    """

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.g_s = copy.deepcopy(codec.g_s)
        self.g_s.shuffle = layout.shuffle
        layout.reorder_outputs(self.g_s.head, 2)
        layout.reorder_outputs(self.g_s.tail, PATCH)
        layout.reorder_outputs(self.g_s.shortcut, PATCH, STEP)
        for parameter in self.g_s.tail.parameters():
            parameter.mul_(DETAIL)
        self.filter, self.g_s.filter = self.g_s.filter, None  # faster as convolutions, as it is
        for_export(self.g_s)

    def forward(self, y_hat: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        y_hat = y_hat / self.codec.gains.gain_y(t)
        detail, blocks = self.g_s.tail(self.g_s.features(y_hat, t)), self.g_s.shortcut(y_hat)
        linear = layout.depth_to_space(layout.channels_last(blocks), STEP)
        patches = linear + layout.channels_last(detail) + 0.5
        if self.filter is not None:
            added = self.filter(layout.channels_first(patches), t)
            patches = patches + layout.channels_last(added)
        levels: Tensor = ToLevels.apply(patches)
        return layout.depth_to_space(levels, PATCH), patches


class ToLevels(torch.autograd.Function):
    """[0, 1] to uint8, rounded and clipped, which ONNX has one operator for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x * 255).round().clamp(0, 255).to(torch.uint8)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        return g.op("QuantizeLinear", x, constant(g, torch.tensor(1 / 255)), zero_point(g, 0))


def write_graph(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], path: Path, half: bool
) -> None:
    """Trace a module with free image dimensions and write it as ONNX."""
    axes = {}
    for name in (*inputs, *outputs):
        if name not in ("t", "multiplier", "offset", "chroma", "masking"):
            first = 1 if name in ("pixels", "decoded", "estimate", "patches") else 2
            size = "" if name in inputs else f"{name}_"  # the same name would mean the same size
            axes[name] = {first: f"{size}h", first + 1: f"{size}w"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on constants are expected
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]  # the tracing exporter takes streams
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    store_half(model, exact=not half)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def store_half(model: onnx.ModelProto, exact: bool = False) -> None:
    """Keep large float initialisers as float16 behind a Cast, folded when a session loads.

    If `exact`, those alone that lose nothing, as integers up to 2048 do not.
    """
    graph = model.graph
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < HALF_MIN_SIZE:
            continue
        whole = numpy_helper.to_array(tensor)
        values = whole.astype(np.float16)
        if exact and not np.array_equal(values, whole):
            continue
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_half"))
        cast = helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)
        graph.node.insert(0, cast)


def levels_to_t(knots: Sequence[float]) -> Tensor:
    """Return t of each level, (LEVELS,): between knots at equal steps of the level."""
    levels = np.linspace(0, 1, LEVELS)
    return torch.from_numpy(np.interp(levels, np.linspace(0, 1, len(knots)), knots)).float()


def level_tables(codec: Codec, t: Tensor) -> dict[str, NDArray[Any]]:
    """Return the integers that depend on the quality t (LEVELS,), one row a level."""
    gains = codec.gains
    rows = {
        "index_z": gains.index_z(t),
        "multiplier_z": gains.multiplier_z(t),
        "offset_y": gains.index_offset_y(t),
    }
    found = {name: v[:, :, 0, 0].round().numpy().astype(np.int32) for name, v in rows.items()}
    return found | {"t": t.numpy()}


def token_histogram(
    model: Model, images: list[Pixels], qualities: list[float], tune: str
) -> Floats:
    """Count the tokens that each table codes when the encoder codes images, (TABLES, TOKENS)."""
    counts = np.zeros(TABLES * TOKENS)
    for pixels in images:
        for t in qualities:
            for symbols, tables in symbols_of(model, pixels, round(t * (LEVELS - 1)), tune):
                token = TOKEN_OF_MAGNITUDE[np.abs(symbols).astype(np.int64)]
                counts += np.bincount(
                    tables.astype(np.int64) * TOKENS + token, minlength=counts.size
                )
    return counts.reshape(TABLES, TOKENS)


@torch.no_grad()
def model_probabilities(codec: Codec) -> Floats:
    """Return the mixture's probability of each token under each table, (TABLES, TOKENS)."""
    tables = torch.arange(TABLES)[:, None].float()
    rows = []
    for first, bits in zip(MAGNITUDE_OF_TOKEN.tolist(), LOW_BITS.tolist(), strict=True):
        values = torch.arange(first, first + (1 << bits)).float()[None]
        length = codec.mixture(values.expand(TABLES, -1), tables.expand(-1, 1 << bits))
        rows.append((1 if first == 0 else 2) * torch.exp2(-length).double().sum(1))
    p = torch.stack(rows, 1).numpy()
    return np.asarray(p / p.sum(1, keepdims=True))


def fit_tables(prior: Floats, counts: Floats, prior_weight: float = 200.0) -> Floats:
    """Blend the model's probabilities with what was counted; rare tables stay near the model."""
    blended = counts + prior_weight * prior
    return blended / blended.sum(1, keepdims=True)


def with_eight_bits(codec: Codec, images: list[Pixels]) -> Codec:
    """Return the codec with 8-bit residual pairs, whose steps fit crops of the images."""
    side = min(STEPS_CROP, min(min(image.shape[:2]) for image in images) // PAD * PAD)
    return to_eight_bits(codec, *draw_batch(images, side, STEPS_CROPS, seed=0, step=0))


def export(
    codec: Codec,
    folder: Path,
    images: list[Pixels],
    qualities: list[float],
    eight_bits: bool = True,
    tune: str = "psnr",
    knots: Sequence[float] = (0.0, 1.0),
) -> None:
    """Write the model folder, atomically.

    Args:
        codec: the (averaged) model in float32.
        folder: where to write; replaced if it exists.
        images: training images whose symbols the tables are fitted to, and the steps of 8-bit
            residual pairs; may be empty, then all stays in float.
        qualities: the t in [0, 1] at which they are coded.
        eight_bits: whether the residual pairs work on 8-bit integers.
        tune: what it was trained for: the tables are fitted to what the encoder then codes.
        knots: t at equal steps of the quality that users give, 0 to 100; see steps/calibrate.py.

    Raises:
        ValueError: the scale head could leave the exact integers.
    """
    if images and eight_bits and not codec.arch.eight_bits:
        codec = with_eight_bits(codec, images)
    codec = fold(codec.eval()).requires_grad_(False)
    codec.scale_head.assert_exact()
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_graphs(codec, partial, TUNES[tune])
    prior = model_probabilities(codec)
    t = levels_to_t(knots)
    write_entropy(codec, prior, 0, t, partial)
    write_sums(partial)
    model = Model(partial, thread_count())
    counts = token_histogram(model, images, qualities, tune)
    probabilities = fit_tables(prior, counts)
    first_coded = int(np.argmax(probabilities[:, 0] < SKIPPED_ZERO_PROBABILITY))
    write_entropy(codec, probabilities, first_coded, t, partial)
    write_sums(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def write_entropy(
    codec: Codec, probabilities: Floats, first_coded: int, t: Tensor, folder: Path
) -> None:
    """Write the integers of the bitstream: tables, the first one in use, rows of all levels."""
    tables = np.stack([quantize_probabilities(p) for p in probabilities])
    integers = {"tables": tables, "first_coded": np.array(first_coded)} | level_tables(codec, t)
    np.savez_compressed(folder / "entropy.npz", allow_pickle=False, **integers)


def write_graphs(codec: Codec, folder: Path, tune: Tune) -> None:
    """Write the seven ONNX graphs of a codec in evaluation mode."""
    arch: Architecture = codec.arch
    t = torch.tensor([0.5])
    z = torch.zeros(1, arch.hyper_latents, 2, 3)
    y = torch.zeros(1, arch.latents, 8, 12)
    psi = torch.zeros(1, arch.hyper_width, 8, 12)
    pixels = torch.zeros(1, 128, 192, 3)
    row_z, row_y = z[..., :1, :1], y[..., :1, :1]
    head_inputs = {"z_hat": z, "multiplier": row_z, "offset": row_y}
    means = ["psi", "means", *(["steps"] if arch.adaptive_width else [])]
    for name, module, inputs, outputs in (
        ("analysis", AnalysisGraph(codec), {"pixels": pixels, "t": t}, ["y", "z"]),
        ("mean_head", MeanHeadGraph(codec), {"z_hat": z, "t": t}, means),
        ("context", ContextGraph(codec), {"psi": psi, "anchors": y, "t": t}, ["means"]),
        ("synthesis", SynthesisGraph(codec), {"y_hat": y, "t": t}, ["pixels", "patches"]),
        ("scale_head", ScaleHeadGraph(codec), head_inputs, ["indexes"]),
    ):
        half = name != "scale_head"
        write_graph(module, inputs, outputs, folder / f"{name}.onnx", half)
    write_latent_error(codec, folder, tune)
    write_preview(folder)


def write_latent_error(codec: Codec, folder: Path, tune: Tune) -> None:
    """Write the graph of the encoder's correction alone, which no decoder runs."""
    pixels, one = torch.zeros(1, 128, 192, 3), torch.ones(1)
    inputs = {"pixels": pixels, "decoded": pixels.clone(), "t": one / 2}
    inputs |= {"chroma": one.clone(), "masking": one / 2}
    graph, path = LatentErrorGraph(codec, tune), folder / "latent_error.onnx"
    write_graph(graph, inputs, ["error", "weight"], path, half=True)
