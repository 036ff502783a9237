"""The training loop that all networks share: batches in, checkpoints, a log and progress out.

One process, or several under torchrun: each draws its own samples of the common batch and the
gradients are averaged, so two processes give the losses of one with the doubled batch.
"""

import copy
import ctypes
import math
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from ..arrays import Pixels
from ..errors import InputError
from .checkpoint import replace_file
from .data import draw_in_processes, load_images, moved, prefetch
from .networks.winograd import use_winograd
from .optimizer import build_optimizers

B = TypeVar("B")  # a batch
M = TypeVar("M", bound=nn.Module)
S = TypeVar("S")  # a dataclass of settings


@dataclass(frozen=True)
class Settings:
    """One run.  `batch` is per process; `decay` steps at the end fall linearly to rate 0."""

    images: Path
    out: Path
    val: Path | None = None
    resume: Path | None = None
    steps: int = 20_000
    decay: int = 10_000
    warmup: int = 100
    batch: int = 16
    crop: int = 128
    lr: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    threads: int = 0
    checkpoint_minutes: float = 5.0
    validate_every: int = 2000
    winograd: bool = False
    bf16: bool = False
    device: str = "cpu"
    workers: int = 0  # processes that draw batches; 0 is a thread of this one

    @property
    def checkpoint(self) -> Path:
        """Where the run keeps its state."""
        return self.out / "checkpoint.pt"


@dataclass(frozen=True)
class Group:
    """This process among those of the run."""

    rank: int = 0
    world: int = 1


ALONE = Group()


def join_group() -> Group:
    """Join the processes started by torchrun; alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    dist.init_process_group("gloo")
    return Group(dist.get_rank(), world)


def average_gradients(model: nn.Module, group: Group) -> None:
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


def psnr_db(mse: Tensor) -> Tensor:
    """Return the PSNR in dB of a mean squared error on [0, 1]."""
    return -10 * torch.log10(mse.clamp(min=1e-10))


def first_state(
    settings: Settings, load: Callable[[Path], dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the run's own checkpoint, else the one to resume from, else None."""
    path = settings.checkpoint if settings.checkpoint.exists() else settings.resume
    return load(path) if path else None


class Trainer(ABC, Generic[M, B]):
    """A network, the running mean of its weights, its optimisers and the step they have reached.

    A subclass says what is trained on what. A batch is a function of (seed, step) alone, so a
    run that was stopped ends with the weights of one that was not.
    """

    COLUMNS: tuple[str, ...]  # of what `losses` reports
    MULTIPLE: int  # of the sides of a crop and of an image to validate on
    MARGIN = 0  # pixels beyond the crop that a sample needs

    def __init__(
        self, settings: Settings, model: M, state: dict[str, Any] | None, group: Group = ALONE
    ) -> None:
        self.settings, self.group = settings, group
        self.device = torch.device(settings.device)
        self.model: M = model.to(self.device).to(  # type: ignore[call-overload]
            memory_format=torch.channels_last
        )
        if settings.winograd:
            use_winograd(self.model)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        kept, ours = self.model.state_dict(), dict(self.average.named_buffers())
        theirs = self.model.named_buffers()
        self.running = [(ours[name], value) for name, value in theirs if name in kept]
        self.optimizers = build_optimizers(self.model, settings.lr)
        self.step, self.seconds = 0, 0.0
        if state:
            self.restore(state)

    @abstractmethod
    def batch_at(self, images: list[Pixels], step: int) -> B:
        """Return this process's part of a step's batch."""

    @abstractmethod
    def losses(self, batch: B) -> tuple[Tensor, Tensor]:
        """Return the loss to descend, and means over the batch, one for each of COLUMNS."""

    @abstractmethod
    def validate(self, images: list[Pixels]) -> dict[str, float]:
        """Return figures on whole images by name."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return what a checkpoint says besides weights, optimisers and step."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; from its averaged weights alone if its optimisers do not fit.

        They do not where it has none, or where another part of the network was trained.
        """
        ours = [group_sizes(optimizer.state_dict()) for optimizer in self.optimizers]
        fits = [group_sizes(saved) for saved in state["optimizers"]] == ours
        average = state.get("average", state["model"])
        self.model.load_state_dict(state["model"] if fits else average)
        self.average.load_state_dict(average)
        if fits:
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.step, self.seconds = state["step"], state["seconds"]

    def rate(self) -> float:
        """Return the learning rate of this step."""
        return learning_rate(self.settings, self.step)

    def save(self) -> None:
        """Write the checkpoint, on one process."""
        if self.group.rank == 0:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            }
            replace_file(self.settings.checkpoint, self.about() | state)

    def batches(self, images: list[Pixels]) -> Iterator[B]:
        """Yield the batches from this step on, without end."""
        step = self.step
        while True:
            yield self.batch_at(images, step)
            step += 1

    def drawn_ahead(self, images: list[Pixels]) -> Generator[B, None, None]:
        """Yield the batches of this step and of all after it, drawn while steps are taken."""
        s = self.settings
        if not s.workers:
            return prefetch(self.batches(images))
        numbers, pin = range(self.step, s.steps + 1), self.device.type == "cuda"
        return draw_in_processes(partial(self.batch_at, images), numbers, s.workers, pin)

    def train_step(self, batch: B) -> Tensor:
        """Take one step; return the means of COLUMNS over the whole batch."""
        started = time.monotonic()
        batch = moved(batch, self.device)
        kind = self.device.type
        with torch.autocast(kind, torch.bfloat16) if self.settings.bf16 else nullcontext():
            loss, means = self.losses(batch)
        torch.autograd.backward(loss)
        average_gradients(self.model, self.group)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        rate = self.rate()
        for optimizer in self.optimizers:
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate * parameters.get("factor", 1.0)
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self._update_average()
        if self.group.world > 1:
            dist.all_reduce(means)
            means /= self.group.world
        self.seconds += time.monotonic() - started
        return means

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.settings.ema, self.step / (self.step + 10))
        ours: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(ours, list(self.model.parameters()), 1 - keep)
        for mine, its in self.running:
            mine.lerp_(its, 1 - keep)


def group_sizes(state: dict[str, Any]) -> list[int]:
    """Return how many tensors each group of an optimiser's state has."""
    return [len(group["params"]) for group in state["param_groups"]]


class Log:
    """Appends rows to a TSV file."""

    def __init__(self, path: Path, enabled: bool) -> None:
        self.path, self.enabled = path, enabled

    def write(self, row: dict[str, float]) -> None:
        """Append a row, after the names of its columns if the file is new."""
        if not self.enabled:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a") as file:
            if new:
                file.write("\t".join(row) + "\n")
            file.write("\t".join(f"{value:.6g}" for value in row.values()) + "\n")


def keep_freed_memory() -> None:
    """Let malloc keep what is freed, where it is glibc's.

    Large tensors otherwise go back to the system each time, and every page of a new one is cleared
    when it is first touched.
    """
    if sys.platform == "linux":
        m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3  # malloc.h
        with suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(m_mmap_threshold, 2**31 - 1)
            mallopt(m_trim_threshold, 2**31 - 1)
            mallopt(m_top_pad, 2**26)


def prepare(settings: Settings, multiple: int) -> None:
    """Check the crop, set the number of threads and the handling of memory.

    Raises:
        InputError: the crop is not a multiple of `multiple`, there is no such device, or --winograd
            meets --bf16 or a GPU.
    """
    check_device(settings.device)
    if settings.device != "cpu" and settings.winograd:
        raise InputError(f"--winograd is for the CPU: leave it out for --device {settings.device}")
    if settings.bf16 and settings.winograd:
        raise InputError("found --bf16 and --winograd, whose transforms need float32: give one")
    if settings.crop % multiple:
        raise InputError(f"--crop is {settings.crop}, expected a multiple of {multiple}")
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)


def check_device(name: str) -> None:
    """Raise InputError if PyTorch cannot compute on a device."""
    try:
        torch.zeros(1, device=name) + 1
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # AssertionError: no CUDA
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"--device {name}: PyTorch cannot use it here ({reason})") from None


def run(trainer: Trainer[M, B]) -> None:
    """Train to settings.steps, or until interrupted; both end with a checkpoint.

    Raises:
        InputError: a folder is not usable, or the loss grew without bound.
    """
    s, chief = trainer.settings, trainer.group.rank == 0
    images = load_images(s.images, s.crop + trainer.MARGIN, progress=chief)
    val = load_images(s.val, trainer.MULTIPLE, progress=chief) if s.val and chief else []
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _loop(trainer, images, val)
    except KeyboardInterrupt:
        if chief:
            print(f"\nstopped at step {trainer.step}; the same command goes on from there")
    trainer.save()
    if trainer.group.world > 1:
        dist.destroy_process_group()


def _interrupt(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt


def _loop(trainer: Trainer[M, B], images: list[Pixels], val: list[Pixels]) -> None:
    s, chief = trainer.settings, trainer.group.rank == 0
    log, val_log = Log(s.out / "train.tsv", chief), Log(s.out / "val.tsv", chief)
    saved = tick = time.monotonic()
    sums, count = torch.zeros(len(trainer.COLUMNS), device=trainer.device), 0
    bar = tqdm(total=s.steps, initial=trainer.step, desc="training", unit="step", disable=not chief)
    with closing(trainer.drawn_ahead(images)) as batches:
        for batch in batches:
            if trainer.step >= s.steps:
                break
            sums += (means := trainer.train_step(batch))
            count += 1
            due = trainer.step <= 100 or trainer.step % 50 == 0
            if due or trainer.device.type == "cpu":  # a GPU is not waited for at each step
                _check_finite(trainer, float(means[0]))
            bar.update()
            reached = {"step": trainer.step, "hours": trainer.seconds / 3600}
            if due:
                now = time.monotonic()
                row = dict(zip(trainer.COLUMNS, (sums / count).tolist(), strict=True))
                row["images_per_s"] = s.batch * trainer.group.world * count / (now - tick)
                bar.set_postfix_str(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
                log.write(reached | row | {"lr": trainer.rate()})
                tick, sums, count = now, torch.zeros_like(sums), 0
            if val and (trainer.step % s.validate_every == 0 or trainer.step == s.steps):
                result = trainer.validate(val)
                val_log.write(reached | result)
                figures = ", ".join(f"{name} {value:.4f}" for name, value in result.items())
                bar.write(f"step {trainer.step}: validation {figures}")
            if due and time.monotonic() - saved > 60 * s.checkpoint_minutes:
                trainer.save()
                saved = time.monotonic()
    bar.close()


def _check_finite(trainer: Trainer[M, B], value: float) -> None:
    if not math.isfinite(value):
        name = trainer.COLUMNS[0]
        raise InputError(f"{name} is {value} at step {trainer.step}: lower --lr")


def settings_from(kind: type[S], arguments: dict[str, Any]) -> S:
    """Build a dataclass from command-line arguments, leaving unset ones at their defaults."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    given = {k: v for k, v in arguments.items() if k in names and v is not None}
    return kind(**given)
