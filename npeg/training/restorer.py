"""The restorer: one small network that makes decoded photographs more like their originals.

Enters: a folder of photographs, settings. Leaves: a checkpoint, a log, progress; an ONNX graph.
It is blind: it is told neither the codec nor the quality. It works at a half, a quarter and an
eighth of the resolution, where dense 3x3 convolutions are cheap; the samples of the last are the
8x8 blocks of JPEG: images are taken to start at a corner of a block, as whole files do.
"""

import copy
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..arrays import Pixels
from ..bench.metrics.luma import studio_luma
from ..weights import write_sums
from . import loop
from .checkpoint import read_state
from .data import draw_sample
from .export.eight_bits import (
    Activations,
    equalize_pairs,
    for_export,
    multiply,
    observe,
    with_steps,
)
from .export.model_folder import write_graph
from .loop import Settings, first_state, prepare, psnr_db
from .networks import layout
from .networks.pairs import EightBitPair, ResidualPair, start_at_zero
from .networks.transforms import DETAIL, whitening

FORMAT = "restorer 2"  # those before began with smaller features
PATCH = 2  # pixels that a sample of the finest scale covers in each direction
MULTIPLE = 8  # of the sides that it takes
GREY, WEBP, SHIFTED = 0.5, 0.15, 0.1  # parts of the samples
STEPS_CROPS = 64  # crops that 8-bit steps fit
FLOAT_PAIRS = 2  # the first pairs, which stay in float: 8 bits lose most where the image enters
MAX_DOWNSCALE = 2.0  # of samples: small pictures are sharper and busier
VALIDATION = ((10, True), (20, True), (30, True), (40, True), (10, False), (30, False))
"""Quality and whether grey, of the JPEGs that are validated on."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Originals and their degraded copies, (B, 3, c, c) in [0, 1]; their usual errors (B,)."""


@dataclass(frozen=True)
class Shape:
    """Channels from the finest scale to the coarsest, and residual pairs on each.

    On all but the coarsest there are as many pairs again on the way back. Written into every
    checkpoint.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    pairs: tuple[int, ...] = (3, 2, 3)
    eight_bits: bool = False  # whether the residual pairs but the first work on 8-bit integers


class Scale(nn.Module):
    """One scale of the network, with the next coarser one inside: (B, width, h, w) to the same.

    If `eight_bits`, all pairs but the first `in_float` of the way in work on 8-bit integers.
    """

    def __init__(
        self, widths: Sequence[int], pairs: Sequence[int], eight_bits: bool, in_float: int = 0
    ) -> None:
        super().__init__()
        width = widths[0]
        kind = EightBitPair if eight_bits else ResidualPair
        self.before = nn.Sequential(
            *((kind if i >= in_float else ResidualPair)(width) for i in range(pairs[0]))
        )
        self.inner = Scale(widths[1:], pairs[1:], eight_bits) if len(widths) > 1 else None
        if self.inner:
            self.down = nn.Conv2d(width, widths[1], 2, stride=2)
            self.up = nn.Conv2d(widths[1], 4 * width, 1)
            self.after = nn.Sequential(*(kind(width) for _ in range(pairs[0])))
            self.shuffle: Callable[[Tensor, int], Tensor] = F.pixel_shuffle
            start_at_zero(self.up)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.before(x)
        if self.inner is None:
            return h
        coarse = self.inner(F.relu(self.down(h)))
        found: Tensor = self.after(h + self.shuffle(self.up(F.relu(coarse)), 2))
        return found


class Restorer(nn.Module):
    """x (B, 3, H, W) in [0, 1], sides multiples of 8, to an estimate of the original."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        # The exporter has faster ones.
        self.unshuffle: Callable[[Tensor, int], Tensor] = F.pixel_unshuffle
        self.shuffle: Callable[[Tensor, int], Tensor] = F.pixel_shuffle
        width = shape.widths[0]
        colours = 3 * PATCH**2
        self.head = nn.Conv2d(colours, width, 3, padding=1)
        mixed = torch.einsum("kcij,cp->kpij", self.head.weight, whitening(colours, PATCH))
        self.head.weight.data = math.sqrt(3) * mixed  # PyTorch's own leave a third of the variance
        self.body = Scale(shape.widths, shape.pairs, shape.eight_bits, FLOAT_PAIRS)
        self.tail = nn.Conv2d(width, 3 * PATCH**2, 3, padding=1)
        start_at_zero(self.tail)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.unshuffle(x - 0.5, PATCH).contiguous(memory_format=torch.channels_last)
        h = self.body(self.head(patches))
        return x + self.shuffle(DETAIL * self.tail(F.relu(h)), PATCH)


def usual_mse(quality: int) -> float:
    """Return about the mean squared error, on [0, 1], of a photograph as JPEG.

    Fitted to 43 training tiles in grey: 62 / 255^2 at quality 10, with libjpeg's scale of its
    quantisation tables to the power of 0.75.
    """
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return float(1e-3 * (scale / 500) ** 0.75)


def degrade(original: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels, float]:
    """Return a crop's original and what a codec makes of it, (H, W, 3) each, and the usual error.

    original: (H + 8, W + 8, 3); the crop is of H x W. Most are whole JPEGs of their own, of
    quality 5 to 95, more of them poor, in 4:2:0 and 4:4:4; some are grey, some WebP, and of
    some the grid of blocks starts elsewhere.
    """
    height, width = (side - 8 for side in original.shape[:2])
    kind, shift = rng.random(2)
    offset = rng.integers(1, 8, size=2) if shift < SHIFTED else np.zeros(2, np.int64)
    top, left = (int(v) for v in offset)
    whole = original[: height + top, : width + left]
    part = slice(top, top + height), slice(left, left + width)
    quality = round(5 + 90 * float(rng.random()) ** 1.5)
    if kind < GREY:
        luma = studio_luma(whole)
        decoded = decoded_as(luma, "JPEG", quality)
        return as_colour(luma)[part], as_colour(decoded)[part], usual_mse(quality)
    if kind < GREY + WEBP:
        decoded = decoded_as(whole, "WEBP", quality, method=2)
    else:
        subsampling = 2 if rng.random() < 0.6 else 0
        decoded = decoded_as(whole, "JPEG", quality, subsampling=subsampling)
    return whole[part], decoded[part], usual_mse(quality)


def decoded_as(image: Pixels, kind: str, quality: int, **options: int) -> Pixels:
    """Return what comes back of an image from a file of this kind."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, quality=quality, **options)
    return np.asarray(Image.open(file).convert("RGB" if image.ndim == 3 else "L"))


def as_colour(plane: Pixels) -> Pixels:
    """Return a plane (H, W) as three equal ones, (H, W, 3)."""
    return np.repeat(plane[..., None], 3, axis=2)


def draw_batch(images: list[Pixels], s: Settings, step: int) -> Batch:
    """Return batch number `step`."""
    samples = []
    for i in range(s.batch):
        rng = np.random.default_rng((s.seed, step, i))
        sample = draw_sample(images, s.crop + Trainer.MARGIN, rng, MAX_DOWNSCALE)
        samples.append(degrade(np.ascontiguousarray(sample.transpose(1, 2, 0)), rng))
    originals, degraded, usual = zip(*samples, strict=True)
    pixels = (np.stack(side).transpose(0, 3, 1, 2) for side in (originals, degraded))
    x, y = (torch.from_numpy(v.copy()).float() / 255 for v in pixels)
    return x, y, torch.tensor(usual)


class Trainer(loop.Trainer[Restorer, Batch]):
    """A run of the restorer."""

    COLUMNS = ("psnr_db", "gain_db")
    MULTIPLE = MULTIPLE
    MARGIN = 8  # so that the grid of blocks can start anywhere

    def __init__(self, settings: Settings, shape: Shape | None = None) -> None:
        state = first_state(settings, load_checkpoint)
        torch.manual_seed(settings.seed)
        shape = Shape(**state["shape"]) if state else shape or Shape()
        super().__init__(settings, Restorer(shape), state)

    def about(self) -> dict[str, Any]:
        """Return what names the checkpoint as one of this network."""
        return {"format": FORMAT, "shape": asdict(self.model.shape)}

    def batch_at(self, images: list[Pixels], step: int) -> Batch:
        """Return the samples of a step."""
        return draw_batch(images, self.settings, step)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, and the means of COLUMNS."""
        original, degraded, usual = batch
        x = degraded.contiguous(memory_format=torch.channels_last)
        mse = (self.model(x) - original).square().mean((1, 2, 3))
        loss = torch.log(mse + usual).mean()  # all qualities alike, but no more for empty skies
        before = psnr_db((degraded - original).square().mean((1, 2, 3))).mean()
        after = psnr_db(mse.detach()).mean()
        return loss, torch.stack([after, after - before])

    def validate(self, images: list[Pixels]) -> dict[str, float]:
        """Return figures on whole images."""
        return validate(self.average, images)


@torch.no_grad()
def validate(model: Restorer, images: list[Pixels]) -> dict[str, float]:
    """Return the mean gain in dB on whole images, at each quality of VALIDATION, and their mean."""
    gains: dict[str, list[float]] = {}
    device = next(model.parameters()).device
    for pixels in images:
        h, w = (side // MULTIPLE * MULTIPLE for side in pixels.shape[:2])
        for quality, grey in VALIDATION:
            whole = np.ascontiguousarray(pixels[:h, :w])
            original = studio_luma(whole) if grey else whole
            decoded = decoded_as(original, "JPEG", quality)
            sides = [as_colour(v) if grey else v for v in (original, decoded)]
            x, y = (
                torch.from_numpy(v.copy()).to(device).permute(2, 0, 1)[None].float() / 255
                for v in sides
            )
            found = (model(y).clamp(0, 1) * 255).round() / 255
            before, after = (float(psnr_db((v - x).square().mean())) for v in (y, found))
            gains.setdefault(f"{'grey' if grey else 'colour'}@{quality}", []).append(after - before)
    means = {name: float(np.mean(values)) for name, values in gains.items()}
    return {"gain": float(np.mean(list(means.values())))} | means


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of the restorer; see `read_state` for what it raises."""
    return read_state(path, FORMAT)


def train(settings: Settings, shape: Shape | None = None) -> Trainer:
    """Train the restorer; see `loop.run`."""
    prepare(settings, MULTIPLE)
    trainer = Trainer(settings, shape)
    loop.run(trainer)
    return trainer


def with_eight_bits(restorer: Restorer, images: list[Pixels]) -> Restorer:
    """Return the restorer with 8-bit residual pairs, whose steps fit crops of the images."""
    side = min(min(image.shape[:2]) for image in images) - Trainer.MARGIN
    crop = min(Settings.crop, side // MULTIPLE * MULTIPLE)
    settings = Settings(images=Path(), out=Path(), batch=STEPS_CROPS, crop=crop)
    return to_eight_bits(restorer, draw_batch(images, settings, step=0)[1])


@torch.no_grad()
def to_eight_bits(restorer: Restorer, x: Tensor) -> Restorer:
    """Return a restorer with 8-bit residual pairs that computes nearly what `restorer` does.

    Args:
        restorer: with pairs in float.
        x: degraded images (B, 3, H, W) in [0, 1] that show how large features are.
    """
    restorer = copy.deepcopy(restorer)
    equalize(restorer, observe(restorer, x))
    found = Restorer(replace(restorer.shape, eight_bits=True))
    return with_steps(found, restorer, observe(restorer, x))


def equalize(restorer: Restorer, seen: Activations) -> None:
    """Scale the channels of each scale to be about equally large; the network stays the same."""
    enters: Sequence[nn.Conv2d] = [restorer.head]
    leaves: nn.Conv2d = restorer.tail
    scale: Scale | None = restorer.body
    while scale:
        inner = scale.inner
        pairs = [*scale.before, *scale.after] if inner else [*scale.before]
        factors = equalize_pairs([pair for pair in pairs if isinstance(pair, ResidualPair)], seen)
        multiply([values for conv in enters for values in conv.parameters()], 1 / factors)
        multiply([leaves.weight.transpose(0, 1)], factors)
        if inner:
            multiply(
                [values.unflatten(0, (-1, 4)) for values in scale.up.parameters()], 1 / factors
            )
            multiply([scale.down.weight.transpose(0, 1)], factors)
            enters, leaves = [scale.down], scale.up
        scale = inner


class ChannelsLast(nn.Module):
    """What enters, which ONNX Runtime must lay out with the channels last from here on.

    Left free, it prefers to move the channels before and behind each 8-bit pair.
    """

    def forward(self, x: Tensor) -> Tensor:
        last = layout.channels_last(x)
        return layout.channels_first(last.flatten(1, 2).reshape(last.shape))


class Down(nn.Module):
    """A 2x2 convolution of stride 2 with the channels last, where 8-bit pairs have them."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.permute(0, 2, 3, 1).flatten(1), requires_grad=False)
        self.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        blocks = layout.space_to_depth(layout.channels_last(x), 2)
        return layout.channels_first(F.linear(blocks, self.weight, self.bias))


class RestorerGraph(nn.Module):
    """Pixels (1, H, W, 3) uint8 to the estimate, float in 0..255, neither rounded nor clipped."""

    def __init__(self, model: Restorer) -> None:
        super().__init__()
        self.model = model
        model.unshuffle, model.shuffle = layout.unshuffle, layout.shuffle
        layout.reorder_inputs(model.head, PATCH)
        layout.reorder_outputs(model.tail, PATCH)
        for scale in model.modules():
            if isinstance(scale, Scale) and scale.inner:
                scale.shuffle = layout.shuffle
                layout.reorder_outputs(scale.up, 2)
                if model.shape.eight_bits:
                    scale.down = Down(scale.down)  # type: ignore[assignment]
        for_export(model)
        if model.shape.eight_bits:
            first = model.body.before
            first.insert(min(FLOAT_PAIRS, len(first)), ChannelsLast())

    def forward(self, pixels: Tensor) -> Tensor:
        x_hat: Tensor = self.model(pixels.permute(0, 3, 1, 2).float() / 255)
        return (x_hat * 255).permute(0, 2, 3, 1)


def export(checkpoint: Path, folder: Path, images: list[Pixels]) -> None:
    """Write a checkpoint's averaged network as folder/restorer.onnx.

    Args:
        checkpoint: of a restorer.
        folder: where to write.
        images: training images that the steps of 8-bit residual pairs are fitted to; may be
            empty, then the pairs stay in float, stored in half precision.

    Raises:
        InputError: the checkpoint is not one of a restorer.
    """
    state = load_checkpoint(checkpoint)
    model = Restorer(Shape(**state["shape"]))
    model.load_state_dict(state["average"])
    if images and not model.shape.eight_bits:
        model = with_eight_bits(model, images)
    folder.mkdir(parents=True, exist_ok=True)
    pixels = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    path = folder / "restorer.onnx"
    graph = RestorerGraph(model.eval().requires_grad_(False))
    write_graph(graph, {"pixels": pixels}, ["estimate"], path, half=True)
    write_sums(folder)
