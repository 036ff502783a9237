"""The restorer: one small network that makes decoded photographs more like their originals.

Enters: a folder of photographs, settings. Leaves: a checkpoint, a log, progress; an ONNX graph.
It is blind: it is told neither the codec nor the quality. It works at a quarter of the
resolution, where dense 3x3 convolutions are cheap, and at an eighth, whose samples are the 8x8
blocks of JPEG: images are taken to start at a corner of a block, as whole files do.
"""

import io
import math
import signal
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import InputError
from .checkpoint import replace_file
from .data import Pixels, draw_sample, load_images, prefetch
from .export import write_graph
from .loop import Log, interrupt, psnr_db
from .optimizer import build_optimizers
from .transforms import ResidualPair, start_at_zero

FORMAT = "restorer"
PATCH = 4  # pixels a sample of the network's finer scale covers in each direction
MULTIPLE = 2 * PATCH  # of the sides that it takes
LUMA = np.array([65.481, 128.553, 24.966], np.float32) / 255  # BT.601, 16..235, as the field has it
GREY, WEBP, SHIFTED = 0.35, 0.15, 0.1  # parts of the samples
LEAST_MSE = 1e-6  # 60 dB: better is not rewarded
WARMUP = 100  # steps
EMA = 0.999
CLIP = 1.0  # gradient norm
VALIDATION = ((10, True), (20, True), (30, True), (40, True), (10, False), (30, False))
"""Quality and whether grey, of the JPEGs that are validated on."""


@dataclass(frozen=True)
class Shape:
    """Widths and depths of the network; written into every checkpoint."""

    width: int = 64
    pairs: int = 3
    coarse_width: int = 128
    coarse_pairs: int = 2


@dataclass(frozen=True)
class Settings:
    """One run.  The rate stays at `lr` and falls linearly to 0 over the last `decay` steps."""

    images: Path
    out: Path
    val: Path | None = None
    resume: Path | None = None
    steps: int = 20_000
    decay: int = 10_000
    batch: int = 16
    crop: int = 128
    lr: float = 1e-3
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    validate_every: int = 2000


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
        luma = grey_of(whole)
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


def grey_of(image: Pixels) -> Pixels:
    """Return BT.601 luma of RGB (H, W, 3) in 16..235, rounded, (H, W): as the field measures."""
    return np.asarray(16 + image @ LUMA + 0.5, dtype=np.uint8)


def as_colour(plane: Pixels) -> Pixels:
    """Return a plane (H, W) as three equal ones, (H, W, 3)."""
    return np.repeat(plane[..., None], 3, axis=2)


def draw_batch(images: list[Pixels], s: Settings, step: int) -> tuple[Tensor, Tensor]:
    """Return originals and their degraded copies of batch `step`, (B, 3, c, c) in [0, 1]."""
    pairs = []
    for i in range(s.batch):
        rng = np.random.default_rng((s.seed, step, i))
        sample = draw_sample(images, s.crop + 8, rng).transpose(1, 2, 0)
        pairs.append(degrade(np.ascontiguousarray(sample), rng))
    originals, degraded = (
        np.stack(side).transpose(0, 3, 1, 2) for side in zip(*pairs, strict=True)
    )
    return tuple(torch.from_numpy(v.copy()).float() / 255 for v in (originals, degraded))  # type: ignore[return-value]


class Trainer:
    """Network, its running mean, optimisers and the step they have reached."""

    def __init__(self, settings: Settings, shape: Shape | None = None) -> None:
        self.settings = settings
        own = self.checkpoint.exists()
        path = self.checkpoint if own else settings.resume
        state = load_checkpoint(path) if path else None
        torch.manual_seed(settings.seed)
        model = Restorer(Shape(**state["shape"]) if state else shape or Shape())
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = deepcopy(self.model).requires_grad_(False).eval()
        self.optimizers = build_optimizers(self.model, settings.lr)
        self.step, self.seconds = 0, 0.0
        if state:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.seconds = state["step"], state["seconds"]

    @property
    def checkpoint(self) -> Path:
        """Where the run keeps its state."""
        return self.settings.out / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "format": FORMAT,
            "shape": asdict(self.model.shape),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        replace_file(self.checkpoint, state)

    def batches(self, images: list[Pixels]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches from this step on, without end."""
        step = self.step
        while True:
            yield draw_batch(images, self.settings, step)
            step += 1

    def train_step(self, original: Tensor, degraded: Tensor) -> tuple[float, float]:
        """Take one step; return the mean PSNR in dB of the outputs, and their gain."""
        s, started = self.settings, time.monotonic()
        x = degraded.contiguous(memory_format=torch.channels_last)
        mse = (self.model(x) - original).square().mean((1, 2, 3))
        loss = torch.log(mse + LEAST_MSE).mean()  # a decibel counts the same at every quality
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        rate = min((self.step + 1) / WARMUP, 1.0, (s.steps - self.step) / max(1, s.decay))
        for optimizer in self.optimizers:
            for parameters in optimizer.param_groups:
                parameters["lr"] = s.lr * rate
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self._update_average()
        self.seconds += time.monotonic() - started
        before = psnr_db((degraded - original).square().mean((1, 2, 3))).mean()
        after = psnr_db(mse.detach()).mean()
        return float(after), float(after - before)

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(EMA, self.step / (self.step + 10))
        ours: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(ours, list(self.model.parameters()), 1 - keep)


@torch.no_grad()
def validate(model: Restorer, images: list[Pixels]) -> dict[str, float]:
    """Return the mean gain in dB on whole images, at each quality of VALIDATION, and their mean."""
    gains: dict[str, list[float]] = {}
    for pixels in images:
        h, w = (side // MULTIPLE * MULTIPLE for side in pixels.shape[:2])
        for quality, grey in VALIDATION:
            whole = np.ascontiguousarray(pixels[:h, :w])
            original = grey_of(whole) if grey else whole
            decoded = decoded_as(original, "JPEG", quality)
            sides = [as_colour(v) if grey else v for v in (original, decoded)]
            x, y = (torch.from_numpy(v.copy()).permute(2, 0, 1)[None].float() / 255 for v in sides)
            found = (model(y).clamp(0, 1) * 255).round() / 255
            before, after = (float(psnr_db((v - x).square().mean())) for v in (y, found))
            gains.setdefault(f"{'grey' if grey else 'colour'}@{quality}", []).append(after - before)
    means = {name: float(np.mean(values)) for name, values in gains.items()}
    return {"gain": float(np.mean(list(means.values())))} | means


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted.

    Raises:
        InputError: it is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything
        raise InputError(f"{path}: not a checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path}: not a checkpoint of the {FORMAT}")
    return state


def train(settings: Settings, shape: Shape | None = None) -> Trainer:
    """Run training to settings.steps, or until interrupted; both end with a checkpoint.

    Raises:
        InputError: a setting or an image is not usable, or the loss grew without bound.
    """
    if settings.crop % MULTIPLE:
        raise InputError(f"--crop is {settings.crop}, expected a multiple of {MULTIPLE}")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    trainer = Trainer(settings, shape)
    images = load_images(settings.images, settings.crop + 8)
    val = load_images(settings.val, MULTIPLE) if settings.val else []
    signal.signal(signal.SIGTERM, interrupt)
    try:
        _loop(trainer, images, val)
    except KeyboardInterrupt:
        print(f"\nstopped at step {trainer.step}; the same command goes on from there")
    trainer.save()
    return trainer


def _loop(trainer: Trainer, images: list[Pixels], val: list[Pixels]) -> None:
    s, saved = trainer.settings, time.monotonic()
    log, val_log = Log(s.out / "train.tsv", True), Log(s.out / "val.tsv", True)
    sums, count = np.zeros(2), 0
    bar = tqdm(total=s.steps, initial=trainer.step, desc="training", unit="step")
    for original, degraded in prefetch(trainer.batches(images), depth=4):
        if trainer.step >= s.steps:
            break
        sums += (means := trainer.train_step(original, degraded))
        count += 1
        if not math.isfinite(means[0]):
            raise InputError(f"loss is {means[0]} at step {trainer.step}: lower --lr")
        bar.update()
        if trainer.step % 50 == 0 or trainer.step == s.steps:
            psnr, gain = sums / count
            bar.set_postfix_str(f"{psnr:.2f} dB, {gain:+.3f} dB")
            row = {"step": trainer.step, "hours": trainer.seconds / 3600}
            log.write(row | {"psnr_db": psnr, "gain_db": gain})
            sums, count = np.zeros(2), 0
        if val and (trainer.step % s.validate_every == 0 or trainer.step == s.steps):
            result = validate(trainer.average, val)
            val_log.write({"step": trainer.step, "hours": trainer.seconds / 3600} | result)
            bar.write(f"step {trainer.step}: validation gain {result['gain']:.3f} dB")
        if time.monotonic() - saved > 60 * s.checkpoint_minutes:
            trainer.save()
            saved = time.monotonic()
    bar.close()


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
