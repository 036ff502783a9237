"""The training loop: batches in, checkpoints, a log and progress out.

One process, or several under torchrun: each draws its own samples of the common batch and the
gradients are averaged, so two processes give the losses of one with the doubled batch.
"""

import copy
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ..errors import InputError
from .checkpoint import load_checkpoint, save_checkpoint
from .data import Pixels, draw_batch, draw_noise, load_images, prefetch
from .model import Codec, distortion_weight
from .optimizer import build_optimizers
from .transforms import STRIDE, Architecture

S = TypeVar("S")  # a dataclass of settings

PAD = 64  # images are padded to multiples of the hyper-latents' stride
VALIDATION_QUALITIES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Settings:
    """One training run.  `batch` is per process; `decay` steps at the end fall linearly to 0."""

    images: Path
    out: Path
    val: Path | None = None
    resume: Path | None = None
    steps: int = 20_000
    decay: int = 10_000
    warmup: int = 200
    batch: int = 8
    crop: int = 256
    lr: float = 1e-3
    clip: float = 3.0
    ema: float = 0.999
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    validate_every: int = 2000


@dataclass(frozen=True)
class Group:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1


def join_group() -> Group:
    """Join the processes started by torchrun; alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Group()
    dist.init_process_group("gloo")
    return Group(dist.get_rank(), world)


def average_gradients(model: Codec, group: Group) -> None:
    """Replace every gradient by its mean over the processes, in one message."""
    if group.world == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= group.world
    for g, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(mean.view_as(g))


def learning_rate(settings: Settings, step: int) -> float:
    """Warm up, stay flat, then fall linearly to zero over the last `decay` steps."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup))
    fall = min(1.0, (settings.steps - step) / max(1, settings.decay))
    return settings.lr * min(rise, fall)


def sample_losses(
    x: Tensor, x_hat: Tensor, rate_bits: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, bits per pixel and MSE of each sample (B,).

    loss = (R + lmbda * 255^2 * MSE) * (lmbda * 255^2 / 600)^-0.3, so that high rates do not
    drown low ones.
    """
    mse = (x - x_hat).square().mean((1, 2, 3))
    rate_bpp = rate_bits / (x.shape[-1] * x.shape[-2])
    weight = distortion_weight(t)
    return (rate_bpp + weight * mse) * (weight / 600) ** -0.3, rate_bpp, mse


def psnr_db(mse: Tensor) -> Tensor:
    """Return the PSNR in dB of a mean squared error on [0, 1]."""
    return -10 * torch.log10(mse.clamp(min=1e-10))


@torch.no_grad()
def validate(model: Codec, images: list[Pixels]) -> dict[str, float]:
    """Return the loss on whole images, and bpp and PSNR at VALIDATION_QUALITIES."""
    rows = []
    for pixels in images:
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        h, w = x.shape[-2:]
        padded = F.pad(x, (0, -w % PAD, 0, -h % PAD), mode="replicate")
        for t in torch.tensor(VALIDATION_QUALITIES)[:, None]:
            x_hat, bits = model(padded, t)
            x_hat = (x_hat[..., :h, :w].clamp(0, 1) * 255).round() / 255
            loss, rate, mse = sample_losses(x, x_hat, bits, t)
            rows.append((loss, rate, psnr_db(mse)))
    table = torch.tensor(rows).view(len(images), len(VALIDATION_QUALITIES), 3).mean(0)
    result = {"loss": float(table[:, 0].mean())}
    for t, (_, rate, psnr) in zip(VALIDATION_QUALITIES, table.tolist(), strict=True):
        result |= {f"bpp@{t}": rate, f"psnr@{t}": psnr}
    return result


def channels_last(model: Codec) -> Codec:
    """Lay the weights out as the fast CPU kernels want them."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Trainer:
    """Model, averaged model, optimisers and the step they have reached."""

    def __init__(self, settings: Settings, group: Group, arch: Architecture | None = None) -> None:
        self.settings, self.group = settings, group
        state = self.read_checkpoint()
        torch.manual_seed(settings.seed)
        arch = Architecture(**state["arch"]) if state else arch or Architecture()
        self.model = channels_last(Codec(arch))
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimizers = build_optimizers(self.model, settings.lr)
        self.step = 0
        self.seconds = 0.0
        if state:
            self.restore(state)

    @property
    def checkpoint(self) -> Path:
        return self.settings.out / "checkpoint.pt"

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return the run's own checkpoint, else the one to resume from, else None."""
        path = self.checkpoint if self.checkpoint.exists() else self.settings.resume
        return load_checkpoint(path) if path else None

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=False):
            optimizer.load_state_dict(saved)  # bare weights come without
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint, on one process."""
        if self.group.rank == 0:
            save_checkpoint(
                self.checkpoint,
                {
                    "arch": asdict(self.model.arch),
                    "step": self.step,
                    "seconds": self.seconds,
                    "model": self.model.state_dict(),
                    "average": self.average.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                },
            )

    def batches(self, images: list[Pixels]) -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
        s, arch = self.settings, self.model.arch
        side, step = s.crop // STRIDE, self.step
        shapes = [
            (s.batch, arch.latents, side, side),
            (s.batch, arch.hyper_latents, side // 4, side // 4),
        ]
        while True:
            x, t = draw_batch(
                images, s.crop, s.batch, s.seed, step, self.group.rank, self.group.world
            )
            yield x, t, draw_noise(shapes, s.seed, step, self.group.rank * s.batch)
            step += 1

    def train_step(self, x: Tensor, t: Tensor, noise: list[Tensor]) -> Tensor:
        """Take one step; return the means of loss, bpp and PSNR over the whole batch."""
        started = time.monotonic()
        x = x.contiguous(memory_format=torch.channels_last)
        x_hat, bits = self.model(x, t, (noise[0], noise[1]))
        loss, rate, mse = sample_losses(x, x_hat, bits, t)
        loss.mean().backward()
        average_gradients(self.model, self.group)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            for parameters in optimizer.param_groups:
                parameters["lr"] = learning_rate(self.settings, self.step)
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.update_average()
        means = torch.stack([loss.detach(), rate.detach(), psnr_db(mse.detach())]).mean(1)
        if self.group.world > 1:
            dist.all_reduce(means)
            means /= self.group.world
        self.seconds += time.monotonic() - started
        return means

    @torch.no_grad()
    def update_average(self) -> None:
        keep = min(self.settings.ema, self.step / (self.step + 10))
        ours: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - keep)


class Log:
    """Appends rows to a TSV file and shows the latest on the progress bar."""

    def __init__(self, path: Path, enabled: bool) -> None:
        self.path, self.enabled = path, enabled

    def write(self, row: dict[str, float]) -> None:
        if not self.enabled:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a") as file:
            if new:
                file.write("\t".join(row) + "\n")
            file.write("\t".join(f"{value:.6g}" for value in row.values()) + "\n")


def train(settings: Settings, arch: Architecture | None = None) -> Trainer:
    """Run training to settings.steps, or until interrupted; both end with a checkpoint."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    group = join_group()
    trainer = Trainer(settings, group, arch)
    chief = group.rank == 0
    images = load_images(settings.images, settings.crop, progress=chief)
    val = load_images(settings.val, 1, progress=chief) if settings.val and chief else []
    signal.signal(signal.SIGTERM, interrupt)
    try:
        _loop(trainer, images, val)
    except KeyboardInterrupt:
        if chief:
            print(f"\nstopped at step {trainer.step}; the same command goes on from there")
    trainer.save()
    if group.world > 1:
        dist.destroy_process_group()
    return trainer


def interrupt(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt


def _loop(trainer: Trainer, images: list[Pixels], val: list[Pixels]) -> None:
    s, chief = trainer.settings, trainer.group.rank == 0
    log = Log(s.out / "train.tsv", chief)
    val_log = Log(s.out / "val.tsv", chief)
    saved, tick, sums, count = time.monotonic(), time.monotonic(), torch.zeros(3), 0
    bar = tqdm(total=s.steps, initial=trainer.step, desc="training", unit="step", disable=not chief)
    for x, t, noise in prefetch(trainer.batches(images)):
        if trainer.step >= s.steps:
            break
        sums += (means := trainer.train_step(x, t, noise))
        count += 1
        if not math.isfinite(float(means[0])):
            raise InputError(f"loss is {float(means[0])} at step {trainer.step}: lower --lr")
        bar.update()
        if trainer.step <= 100 or trainer.step % 50 == 0:
            now = time.monotonic()
            loss, rate, psnr = (sums / count).tolist()
            speed = s.batch * trainer.group.world * count / (now - tick)
            bar.set_postfix_str(
                f"loss {loss:.4f}, {rate:.3f} bpp, {psnr:.2f} dB, {speed:.1f} images/s"
            )
            log.write(
                {
                    "step": trainer.step,
                    "hours": trainer.seconds / 3600,
                    "loss": loss,
                    "rate_bpp": rate,
                    "psnr_db": psnr,
                    "images_per_s": speed,
                    "lr": learning_rate(s, trainer.step - 1),
                }
            )
            tick, sums, count = now, torch.zeros(3), 0
        if val and (trainer.step % s.validate_every == 0 or trainer.step == s.steps):
            result = validate(trainer.average, val)
            val_log.write({"step": trainer.step, "hours": trainer.seconds / 3600} | result)
            bar.write(f"step {trainer.step}: validation loss {result['loss']:.4f}")
        if time.monotonic() - saved > 60 * s.checkpoint_minutes:
            trainer.save()
            saved = time.monotonic()
    bar.close()


def settings_from(kind: type[S], arguments: dict[str, Any]) -> S:
    """Build a dataclass from command-line arguments, leaving unset ones at their defaults."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    given = {k: v for k, v in arguments.items() if k in names and v is not None}
    return kind(**given)
