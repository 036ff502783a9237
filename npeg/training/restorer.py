"""The restorer: one small network that makes decoded photographs more like their originals.

Enters: a folder of photographs, settings. Leaves: a checkpoint, a log, progress; an ONNX graph.
It is blind: it is told neither the codec nor the quality. It works at a quarter of the
resolution, where dense 3x3 convolutions are cheap, and at an eighth, whose samples are the 8x8
blocks of JPEG: images are taken to start at a corner of a block, as whole files do.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ..bench.luma import studio_luma
from . import loop
from .checkpoint import read_state
from .data import Pixels, draw_sample
from .export import write_graph
from .loop import Settings, first_state, prepare, psnr_db
from .transforms import ResidualPair, start_at_zero

FORMAT = "restorer"
PATCH = 4  # pixels a sample of the network's finer scale covers in each direction
MULTIPLE = 2 * PATCH  # of the sides that it takes
GREY, WEBP, SHIFTED = 0.35, 0.15, 0.1  # parts of the samples
LEAST_MSE = 1e-6  # 60 dB: better is not rewarded
VALIDATION = ((10, True), (20, True), (30, True), (40, True), (10, False), (30, False))
"""Quality and whether grey, of the JPEGs that are validated on."""

Batch = tuple[Tensor, Tensor]
"""Originals and their degraded copies, (B, 3, c, c) in [0, 1]."""


@dataclass(frozen=True)
class Shape:
    """Widths and depths of the network; written into every checkpoint."""

    width: int = 64
    pairs: int = 3
    coarse_width: int = 128
    coarse_pairs: int = 2


class Restorer(nn.Module):
    """x (B, 3, H, W) in [0, 1], sides multiples of 8, to an estimate of the original."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, coarse = shape.width, shape.coarse_width
        self.head = nn.Conv2d(3 * PATCH**2, width, 3, padding=1)
        self.before = nn.ModuleList(ResidualPair(width) for _ in range(shape.pairs // 2))
        self.down = nn.Conv2d(width, coarse, 2, stride=2)
        self.coarse = nn.ModuleList(ResidualPair(coarse) for _ in range(shape.coarse_pairs))
        self.up = nn.Conv2d(coarse, 4 * width, 1)
        self.after = nn.ModuleList(
            ResidualPair(width) for _ in range(shape.pairs - shape.pairs // 2)
        )
        self.tail = nn.Conv2d(width, 3 * PATCH**2, 3, padding=1)
        start_at_zero(self.up)
        start_at_zero(self.tail)

    def forward(self, x: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(x - 0.5, PATCH).contiguous(memory_format=torch.channels_last)
        h = self.head(patches)
        for pair in self.before:
            h = pair(h)
        g = F.relu(self.down(h))
        for pair in self.coarse:
            g = pair(g)
        h = h + F.pixel_shuffle(self.up(F.relu(g)), 2)
        for pair in self.after:
            h = pair(h)
        return x + F.pixel_shuffle(self.tail(F.relu(h)), PATCH)


def degrade(original: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Return a crop's original and what a codec makes of it, both (H, W, 3) of equal size.

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
        return as_colour(luma)[part], as_colour(decoded)[part]
    if kind < GREY + WEBP:
        return whole[part], decoded_as(whole, "WEBP", quality, method=2)[part]
    subsampling = 2 if rng.random() < 0.6 else 0
    return whole[part], decoded_as(whole, "JPEG", quality, subsampling=subsampling)[part]


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
    pairs = []
    for i in range(s.batch):
        rng = np.random.default_rng((s.seed, step, i))
        sample = draw_sample(images, s.crop + 8, rng).transpose(1, 2, 0)
        pairs.append(degrade(np.ascontiguousarray(sample), rng))
    originals, degraded = (
        np.stack(side).transpose(0, 3, 1, 2) for side in zip(*pairs, strict=True)
    )
    return tuple(torch.from_numpy(v.copy()).float() / 255 for v in (originals, degraded))  # type: ignore[return-value]


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
        original, degraded = batch
        x = degraded.contiguous(memory_format=torch.channels_last)
        mse = (self.model(x) - original).square().mean((1, 2, 3))
        loss = torch.log(mse + LEAST_MSE).mean()  # a decibel counts the same at every quality
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
    for pixels in images:
        h, w = (side // MULTIPLE * MULTIPLE for side in pixels.shape[:2])
        for quality, grey in VALIDATION:
            whole = np.ascontiguousarray(pixels[:h, :w])
            original = studio_luma(whole) if grey else whole
            decoded = decoded_as(original, "JPEG", quality)
            sides = [as_colour(v) if grey else v for v in (original, decoded)]
            x, y = (torch.from_numpy(v.copy()).permute(2, 0, 1)[None].float() / 255 for v in sides)
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


def export(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's averaged network as folder/restorer.onnx, in half precision.

    Raises:
        InputError: the checkpoint is not one of a restorer.
    """
    state = load_checkpoint(checkpoint)
    model = Restorer(Shape(**state["shape"])).eval().requires_grad_(False)
    model.load_state_dict(state["average"])
    folder.mkdir(parents=True, exist_ok=True)
    x = torch.zeros(1, 3, 64, 96)
    write_graph(model, {"x": x}, ["x_hat"], folder / "restorer.onnx", half=True)
