"""Training of the strided teaching network on a folder of photographs.

Enters: a folder, settings.  Leaves: a checkpoint, a log, progress.  Stopped at any moment, the
same command goes on exactly where it was: batch and noise are functions of (seed, step) alone.

The loss is that of the teaching program, the squared error and a penalty on ones; both smaller:
here a plane of ones costs bits, and nothing else.  The noise rises first, until the code is
nearly binary; then it falls to nothing while the decoder sees thresholded bits, as in use.
"""

import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..errors import InputError
from ..training.checkpoint import replace_file
from ..training.data import Pixels, draw_sample, load_images, prefetch
from ..training.loop import Log, interrupt, psnr_db
from ..training.optimizer import build_optimizers
from .network import binarize
from .strided import STRIDE, StridedAutoencoder, noisy_code, planes_of

FORMAT = "strided teaching autoencoder"
NOISE = (0.3, 4.0)  # standard deviation at the start and at its height
RISE, HARD = 0.4, 0.6  # parts of the run at which the noise is highest, and begins to fall
WARMUP = 100  # steps
SPARSITY = 1e-4  # of mean(code^2): the original's 0.01 would outweigh the error at 1.5 bit a pixel
VALIDATION_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Settings:
    """One run.  `lr` is reached after WARMUP steps and falls linearly to 0 over all others."""

    images: Path
    out: Path
    val: Path | None = None
    resume: Path | None = None
    steps: int = 20_000
    batch: int = 16
    crop: int = 128
    lr: float = 1e-3
    clip: float = 1.0
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    validate_every: int = 2000


class Batch:
    """One step's samples x (B, 3, c, c), kept planes (B,) and noise (B, planes, c/8, c/8)."""

    def __init__(self, images: list[Pixels], s: Settings, planes: int, step: int) -> None:
        rng = np.random.default_rng((s.seed, step))
        samples = [draw_sample(images, s.crop, rng) for _ in range(s.batch)]
        self.x = torch.from_numpy(np.stack(samples)).float() / 255
        # stratified over the qualities, which steadies the loss
        t = (rng.permutation(s.batch) + rng.random(s.batch)) / s.batch
        self.kept = planes_of(torch.from_numpy(t), planes)
        shape = (s.batch, planes, s.crop // STRIDE, s.crop // STRIDE)
        self.noise = torch.from_numpy(rng.standard_normal(shape, np.float32))


def schedule(progress: float) -> tuple[float, bool]:
    """Return the noise, and whether the code is thresholded, at a progress in [0, 1]."""
    low, high = NOISE
    if progress < HARD:
        return low * (high / low) ** min(1.0, progress / RISE), False
    return high * (1 - progress) / (1 - HARD), True


class Trainer:
    """Network, optimisers and the step they have reached."""

    def __init__(self, settings: Settings, model: StridedAutoencoder | None = None) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.model = model or StridedAutoencoder()
        self.optimizers = build_optimizers(self.model, settings.lr)
        self.step, self.seconds = 0, 0.0
        own = self.checkpoint.exists()
        if own or settings.resume:
            self._restore(self.checkpoint if own else settings.resume, own)  # type: ignore[arg-type]

    @property
    def checkpoint(self) -> Path:
        """Where the run keeps its state."""
        return self.settings.out / "checkpoint.pt"

    def _restore(self, path: Path, own: bool) -> None:
        """Go on from this run's checkpoint, or start a new run from another's weights."""
        state = load_checkpoint(path)
        self.model.load_state_dict(state["model"])
        if own:
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "format": FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        replace_file(self.checkpoint, state)

    def batches(self, images: list[Pixels]) -> Iterator[Batch]:
        """Yield the batches from this step on, without end."""
        step = self.step
        while True:
            yield Batch(images, self.settings, self.model.planes, step)
            step += 1

    def train_step(self, batch: Batch) -> tuple[float, float, float]:
        """Take one step; return loss, PSNR in dB and the fraction of ones, over the batch."""
        s, started = self.settings, time.monotonic()
        cnoise, hard = schedule(self.step / s.steps)
        code = noisy_code(self.model.features(batch.x), cnoise, hard, batch.noise)
        mse = (self.model.decode(code, batch.kept) - batch.x).square().mean((1, 2, 3))
        # the error falls about as the root of the planes: so no rate drowns the others
        weight = (batch.kept / self.model.planes).sqrt()
        loss = (weight * mse).mean() + SPARSITY * code.square().mean()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), s.clip)
        rate = min((self.step + 1) / WARMUP, 1.0) * (1 - self.step / s.steps)
        for optimizer in self.optimizers:
            for parameters in optimizer.param_groups:
                parameters["lr"] = s.lr * rate
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.seconds += time.monotonic() - started
        return (
            float(loss.detach()),
            float(psnr_db(mse.detach()).mean()),
            float(binarize(code.detach()).mean()),
        )


@torch.no_grad()
def validate(model: StridedAutoencoder, images: list[Pixels]) -> dict[str, float]:
    """Return the PSNR in dB of the binary code at VALIDATION_QUALITIES, mean over the images."""
    rows = []
    for pixels in images:
        h, w = (side // STRIDE * STRIDE for side in pixels.shape[:2])
        x = torch.from_numpy(pixels[:h, :w]).permute(2, 0, 1)[None].float() / 255
        code = binarize(torch.sigmoid(model.features(x)))
        kept = planes_of(torch.tensor(VALIDATION_QUALITIES), model.planes)
        outputs = [model.decode(code, k[None]).clamp(0, 1) for k in kept]
        rows.append([float(psnr_db((x_hat - x).square().mean())) for x_hat in outputs])
    means = np.mean(rows, axis=0)
    return {f"psnr@{t}": float(v) for t, v in zip(VALIDATION_QUALITIES, means, strict=True)}


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


def train(settings: Settings, model: StridedAutoencoder | None = None) -> Trainer:
    """Run training to settings.steps, or until interrupted; both end with a checkpoint.

    Raises:
        InputError: a setting or an image is not usable, or the loss grew without bound.
    """
    if settings.crop % STRIDE:
        raise InputError(f"--crop is {settings.crop}, expected a multiple of {STRIDE}")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    trainer = Trainer(settings, model)
    images = load_images(settings.images, settings.crop)
    val = load_images(settings.val, STRIDE) if settings.val else []
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
    sums, count = np.zeros(3), 0
    bar = tqdm(total=s.steps, initial=trainer.step, desc="training", unit="step")
    for batch in prefetch(trainer.batches(images)):
        if trainer.step >= s.steps:
            break
        sums += (means := trainer.train_step(batch))
        count += 1
        if not math.isfinite(means[0]):
            raise InputError(f"loss is {means[0]} at step {trainer.step}: lower --lr")
        bar.update()
        if trainer.step % 50 == 0 or trainer.step == s.steps:
            loss, psnr, ones = sums / count
            bar.set_postfix_str(f"loss {loss:.5f}, {psnr:.2f} dB, {ones:.0%} ones")
            row = {"step": trainer.step, "hours": trainer.seconds / 3600}
            log.write(row | {"loss": loss, "psnr_db": psnr, "ones": ones})
            sums, count = np.zeros(3), 0
        if val and (trainer.step % s.validate_every == 0 or trainer.step == s.steps):
            result = validate(trainer.model, val)
            val_log.write({"step": trainer.step, "hours": trainer.seconds / 3600} | result)
            bar.write(f"step {trainer.step}: " + ", ".join(f"{v:.2f} dB" for v in result.values()))
        if time.monotonic() - saved > 60 * s.checkpoint_minutes:
            trainer.save()
            saved = time.monotonic()
    bar.close()
