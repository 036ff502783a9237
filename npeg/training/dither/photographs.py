"""Training of the strided teaching network on a folder of photographs.

Enters: a folder, settings.  Leaves: a checkpoint, a log, progress.  Stopped at any moment, the
same command goes on exactly where it was: batch and noise are functions of (seed, step) alone.

The loss is that of the teaching program, the squared error and a penalty on ones; both smaller:
here a plane of ones costs bits, and nothing else.  The noise rises first, until the code is
nearly binary; then it falls to nothing while the decoder sees thresholded bits, as in use.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arrays import Pixels
from ...teaching.network import binarize
from .. import loop
from ..checkpoint import read_state
from ..data import draw_sample
from ..loop import Settings, first_state, learning_rate, prepare, psnr_db
from .strided import STRIDE, StridedAutoencoder, noisy_code, planes_of

FORMAT = "strided teaching autoencoder"
NOISE = (0.3, 4.0)  # standard deviation at the start and at its height
RISE, HARD = 0.4, 0.6  # parts of the run at which the noise is highest, and begins to fall
SPARSITY = 1e-4  # of mean(code^2): the original's 0.01 would outweigh the error at 1.5 bit a pixel
VALIDATION_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


Batch = tuple[Tensor, Tensor, Tensor]
"""x (B, 3, c, c) in [0, 1], kept planes (B,) and noise (B, planes, c/8, c/8)."""


def draw_batch(images: list[Pixels], s: Settings, planes: int, step: int) -> Batch:
    """Return batch number `step`."""
    rng = np.random.default_rng((s.seed, step))
    samples = [draw_sample(images, s.crop, rng) for _ in range(s.batch)]
    x = torch.from_numpy(np.stack(samples)).float() / 255
    # stratified over the qualities, which steadies the loss
    t = (rng.permutation(s.batch) + rng.random(s.batch)) / s.batch
    shape = (s.batch, planes, s.crop // STRIDE, s.crop // STRIDE)
    noise = torch.from_numpy(rng.standard_normal(shape, np.float32))
    return x, planes_of(torch.from_numpy(t), planes), noise


def schedule(progress: float) -> tuple[float, bool]:
    """Return the noise, and whether the code is thresholded, at a progress in [0, 1]."""
    low, high = NOISE
    if progress < HARD:
        return low * (high / low) ** min(1.0, progress / RISE), False
    return high * (1 - progress) / (1 - HARD), True


class Trainer(loop.Trainer[StridedAutoencoder, Batch]):
    """A run of the strided network; one that resumes from another's weights starts at step 0."""

    COLUMNS = ("loss", "psnr_db", "ones")
    MULTIPLE = STRIDE

    def __init__(self, settings: Settings, model: StridedAutoencoder | None = None) -> None:
        state = first_state(settings, load_checkpoint)
        if state and not settings.checkpoint.exists():
            state |= {"step": 0, "seconds": 0.0, "optimizers": []}
        torch.manual_seed(settings.seed)
        super().__init__(settings, model or StridedAutoencoder(), state)

    def about(self) -> dict[str, Any]:
        """Return what names the checkpoint as one of this network."""
        return {"format": FORMAT}

    def rate(self) -> float:
        """Return the learning rate, which falls over the whole run."""
        return learning_rate(replace(self.settings, decay=self.settings.steps), self.step)

    def batch_at(self, images: list[Pixels], step: int) -> Batch:
        """Return the samples of a step."""
        return draw_batch(images, self.settings, self.model.planes, step)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, and the means of COLUMNS."""
        x, kept, noise = batch
        cnoise, hard = schedule(self.step / self.settings.steps)
        code = noisy_code(self.model.features(x), cnoise, hard, noise)
        mse = (self.model.decode(code, kept) - x).square().mean((1, 2, 3))
        # the error falls about as the root of the planes: so no rate drowns the others
        weight = (kept / self.model.planes).sqrt()
        loss = (weight * mse).mean() + SPARSITY * code.square().mean()
        ones = binarize(code.detach()).mean()
        return loss, torch.stack([loss.detach(), psnr_db(mse.detach()).mean(), ones])

    def validate(self, images: list[Pixels]) -> dict[str, float]:
        """Return figures on whole images."""
        return validate(self.model, images)


@torch.no_grad()
def validate(model: StridedAutoencoder, images: list[Pixels]) -> dict[str, float]:
    """Return the PSNR in dB of the binary code at VALIDATION_QUALITIES, mean over the images."""
    rows = []
    device = next(model.parameters()).device
    for pixels in images:
        h, w = (side // STRIDE * STRIDE for side in pixels.shape[:2])
        x = torch.from_numpy(pixels[:h, :w]).to(device).permute(2, 0, 1)[None].float() / 255
        code = binarize(torch.sigmoid(model.features(x)))
        kept = planes_of(torch.tensor(VALIDATION_QUALITIES, device=device), model.planes)
        outputs = [model.decode(code, k[None]).clamp(0, 1) for k in kept]
        rows.append([float(psnr_db((x_hat - x).square().mean())) for x_hat in outputs])
    means = np.mean(rows, axis=0)
    return {f"psnr@{t}": float(v) for t, v in zip(VALIDATION_QUALITIES, means, strict=True)}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this network; see `read_state` for what it raises."""
    return read_state(path, FORMAT)


def train(settings: Settings, model: StridedAutoencoder | None = None) -> Trainer:
    """Train the strided network; see `loop.run`."""
    prepare(settings, STRIDE)
    trainer = Trainer(settings, model)
    loop.run(trainer)
    return trainer
