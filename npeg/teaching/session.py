"""What a conversation with the teaching program is about: images, network, optimiser, pictures.

Enters: what the learner typed.  Leaves: printed lines, PNG and safetensors files, figures.
Does not know: how the commands are spelled; that is `npeg/train.py`.
"""

import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ..errors import InputError
from ..training.loop import keep_freed_memory
from . import losses
from .cifar import load_cifar
from .feature_networks import check_gradient, load_features
from .network import Autoencoder, augment, binarize, soften
from .picture import Sample, draw_sample, show_in_notebook, show_picture, write_picture

BATCH = 20
PICTURE_EVERY = 250  # batches: ten pictures an epoch of 50,000 images
PICTURE_IMAGES = 8
PROGRESS_PICTURE = Path("teaching-progress.png")
AVERAGED = 100  # batches in the loss that the bar shows
CHECKED = 100  # test images on which the binary code is tried after an epoch
SECOND_CTRL_C = 2.0  # seconds in which it leaves a loop around r(), not only the epoch
UNDECIDED = (0.1, 0.9)  # a code between these carries more than its threshold will keep
FORMAT = "teaching autoencoder"


class Data(NamedTuple):
    """Training and test images on the device, (N, 3, 32, 32) uint8 each."""

    train: Tensor
    test: Tensor


@dataclass(frozen=True)
class Evaluation:
    """Original losses of one set of images, not augmented, and what its binary code is like."""

    images: int
    noisy: float  # the loss with the training's noise, as r() minimises it
    continuous: float  # without noise and threshold
    binary: float  # with the threshold: what a codec would do
    psnr_db: float  # of the binary path, mean over the images
    ones: float  # fraction of ones in the binary code


@dataclass(frozen=True, repr=False)
class Report:
    """The evaluation of training and test images; its repr is a table."""

    cnoise: float
    train: Evaluation
    test: Evaluation

    def __repr__(self) -> str:
        noisy = f"cnoise={self.cnoise:g}"
        head = f"{'loss':>16}{noisy:>15}{'unquantised':>13}{'binary':>11}{'PSNR':>10}{'ones':>8}"
        rows = [head]
        for name, e in (("train", self.train), ("test", self.test)):
            label = f"{name} ({e.images})"
            rows.append(
                f"{label:>16}{e.noisy:15.5f}{e.continuous:13.5f}{e.binary:11.5f}"
                f"{e.psnr_db:7.2f} dB{e.ones:8.1%}"
            )
        return "\n".join(rows)


class Session:
    """The network being trained and everything around it; built by the first command."""

    def __init__(self) -> None:
        keep_freed_memory()
        self.device = torch.accelerator.current_accelerator(check_available=True) or torch.device(
            "cpu"
        )
        self.model = Autoencoder().to(self.device)
        self.history: list[tuple[float, float]] = []  # (cnoise, mean loss) of each epoch
        self._optimizer = torch.optim.Adam(self.model.parameters())
        self._data: Data | None = None
        self._losses: dict[object, losses.Loss] = {"mse": losses.original}
        self._stopped = -math.inf  # when Ctrl-C last stopped an epoch
        self._told_picture = False
        weights = sum(p.numel() for p in self.model.parameters())
        where = f"{self.device}, {torch.get_num_threads()} threads"
        print(f"a new network of {weights:,} weights, on {where}")

    def data(self, source: str | Path | None = None) -> Data:
        """Return the images, read at the first call or when a source is given."""
        if self._data is None or source is not None:
            images = load_cifar(source)
            train, test = torch.from_numpy(images.train), torch.from_numpy(images.test)
            self._data = Data(train.to(self.device), test.to(self.device))
            counts = f"{len(train):,} training and {len(test):,} test images"
            print(f"CIFAR-10: {counts} from {images.source.absolute()}")
        return self._data

    def train(self, ep: int, cnoise: float, loss: object, lr: float) -> float | None:
        """Train for `ep` epochs; Ctrl-C ends it after the batch at hand and keeps the weights.

        Returns:
            The mean loss of the last epoch, or None if it was stopped before the first batch.
        """
        if not (ep >= 1 and cnoise >= 0 and lr > 0):
            found = f"found ep={ep}, cnoise={cnoise}, lr={lr}"
            raise InputError(f"{found}; expected ep >= 1, cnoise >= 0 and lr > 0")
        terms, data, before = self._loss(loss), self.data(), len(self.history)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        try:
            for _ in range(ep):
                self._train_epoch(data, cnoise, terms)
        except KeyboardInterrupt:
            if time.monotonic() - self._stopped < SECOND_CTRL_C:
                raise
            self._stopped = time.monotonic()
            again = "Ctrl-C again at once leaves a loop around r"
            print(f"stopped; the weights are kept, and r() goes on from here ({again})")
        return self.history[-1][1] if len(self.history) > before else None

    def _train_epoch(self, data: Data, cnoise: float, loss: losses.Loss) -> None:
        """Go through the training images once, or as far as Ctrl-C allows, and note the loss."""
        batches = _split(torch.randperm(len(data.train), device=self.device))
        sums, recent, done = torch.zeros(3), deque[float](maxlen=AVERAGED), 0
        title, started = f"epoch {len(self.history) + 1}, cnoise {cnoise:g}", time.monotonic()
        try:
            with tqdm(batches, desc=title, unit="batch") as bar:
                for batch in bar:
                    terms = self._train_step(data.train[batch], cnoise, loss)
                    sums, done = sums + terms, done + 1
                    recent.append(float(terms.sum()))
                    bar.set_postfix_str(f"loss {sum(recent) / len(recent):.5f}", refresh=False)
                    if done % PICTURE_EVERY == 0:
                        self._draw_progress(data, bar.write)
        finally:
            if done:
                self.history.append((cnoise, float(sums.sum()) / done))
        self._tell_epoch(data, (sums / done).tolist(), time.monotonic() - started)

    def _train_step(self, images: Tensor, cnoise: float, loss: losses.Loss) -> Tensor:
        """Take one step of Adam on uint8 images; return the terms of the loss, (3,)."""
        self.model.train()
        x = augment(images.float() / 255)
        x_hat, code = self.model(x, cnoise)
        terms = loss(x, x_hat, code, cnoise)
        self._optimizer.zero_grad()
        torch.autograd.backward(terms.total())
        self._optimizer.step()
        return torch.stack(terms).detach().cpu()

    def _tell_epoch(self, data: Data, means: list[float], seconds: float) -> None:
        """Say what an epoch came to, and how its code does when it is made binary."""
        names = ("error", "sparsity", "perception")
        parts = " + ".join(f"{n} {m:.5f}" for n, m in zip(names, means, strict=True) if m)
        print(f"epoch {len(self.history)} in {seconds:.0f} s: loss {sum(means):.5f} = {parts}")
        sample, undecided = self._sample(data.test[:CHECKED], 0.5)
        error = float(F.mse_loss(sample.from_binary, sample.x))
        ones = float(sample.binary.mean())
        bits = f"error {error:.5f} ({_decibel(error):.1f} dB), {ones:.1%} ones"
        advice = ", which the threshold loses: train on, or with more cnoise"
        print(f"  as bits: {bits}; {undecided:.1%} of the code is grey{advice * (undecided > 0.1)}")
        self._draw_progress(data, print)

    @torch.no_grad()
    def _sample(self, images: Tensor, threshold: float) -> tuple[Sample, float]:
        """Run uint8 images through; return what came out and how much of the code is grey."""
        self.model.eval()
        x = images.float() / 255
        from_unquantised, code = self.model(x)
        binary = binarize(code, threshold)
        undecided = ((code > UNDECIDED[0]) & (code < UNDECIDED[1])).float().mean()
        sample = Sample(x, self.model.decode(binary), from_unquantised, code[0], binary[0])
        return sample, float(undecided)

    def _draw_progress(self, data: Data, tell: Callable[[str], object]) -> None:
        """Draw the same test images as always; a folder that takes no file stops no training."""
        picture = draw_sample(self._sample(data.test[:PICTURE_IMAGES], 0.5)[0], 0.5)
        if show_in_notebook(picture):
            return
        try:
            path = write_picture(picture, PROGRESS_PICTURE)
            said = f"  picture, drawn anew as the training goes on: {path}"
        except InputError as error:
            said = f"  no picture: {error}"
        if not self._told_picture:
            tell(said)
        self._told_picture = True

    def show(self, threshold: float, path: str | Path) -> Path:
        """Draw random test images; show the picture where there is a screen, write it anyway."""
        _check_threshold(threshold)
        images = self.data().test
        chosen = torch.randperm(len(images), device=self.device)[:PICTURE_IMAGES]
        picture = draw_sample(self._sample(images[chosen], threshold)[0], threshold)
        written = write_picture(picture, Path(path).expanduser())
        show_picture(picture)
        print(f"picture: {written}")
        return written

    @torch.no_grad()
    def evaluate(self, cnoise: float | None, n: int | None, threshold: float) -> Report:
        """Measure the original loss on the first n images of each set, with fixed noise.

        Args:
            cnoise: of the noisy path; None for that of the last epoch.
            n: None for all images.
            threshold: of the binary path.
        """
        _check_threshold(threshold)
        if n is not None and n < 1:
            raise InputError(f"found n={n}, expected at least 1, or None for all images")
        if cnoise is None:
            cnoise = self.history[-1][0] if self.history else 0.1
        data = self.data()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            train, test = (self._evaluate(x[:n], cnoise, threshold) for x in data)
        return Report(cnoise, train, test)

    def _evaluate(self, images: Tensor, cnoise: float, threshold: float) -> Evaluation:
        self.model.eval()
        sums = torch.zeros(5, dtype=torch.float64)
        for batch in tqdm(_split(images), desc="evaluating", unit="batch", leave=False):
            x = batch.float() / 255
            features = self.model.features(x)
            code = soften(features)
            binary = binarize(code, threshold)
            figures = []
            for path in (soften(features, cnoise), code, binary):
                x_hat = self.model.decode(path)
                figures.append(losses.original(x, x_hat, path, cnoise).total())
            errors = (x - x_hat).square().mean((1, 2, 3)).clamp(min=1e-10)
            figures += [-10 * errors.log10().mean(), binary.mean()]
            sums += len(x) * torch.stack(figures).cpu().double()
        return Evaluation(len(images), *(sums / len(images)).tolist())

    def save(self, path: str | Path) -> Path:
        """Write the weights as safetensors, whole or not at all; say where."""
        path = Path(path).expanduser().absolute()
        state = {k: v.cpu().contiguous() for k, v in self.model.state_dict().items()}
        partial = path.with_name(path.name + ".partial")
        about = {"format": FORMAT, "history": self.history}
        try:
            save_file(state, partial, {"npeg": json.dumps(about)})
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be written ({error})") from None
        print(f"saved {len(self.history)} epochs of training to {path}")
        return path

    def load(self, path: str | Path) -> Path:
        """Read weights that `save` wrote; say where from.

        Raises:
            InputError: there is no such file, or it has something else in it; the network stays
                as it was.
        """
        path = Path(path).expanduser().absolute()
        if not path.is_file():
            raise InputError(f"{path}: no such file; save() writes one, or give another path")
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get("npeg", "{}"))
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"{path}: not a safetensors file ({error})") from None
        _check_weights(path, state, self.model.state_dict())
        self.model.load_state_dict(state)
        self._optimizer = torch.optim.Adam(self.model.parameters())
        self.history = _read_history(about)
        last = f", the last with a loss of {self.history[-1][1]:.5f}" if self.history else ""
        print(f"loaded {len(self.history)} epochs of training{last}, from {path}")
        return path

    def _loss(self, loss: object) -> losses.Loss:
        """Return the loss of this name, of this feature network's file, or of this callable."""
        key = str(loss) if isinstance(loss, (str, Path)) else loss
        if key not in self._losses:
            distance: losses.Distance
            if key == "ms-ssim":
                distance = losses.ms_ssim_distance
            elif isinstance(loss, (str, Path)):
                distance = losses.feature_distance(load_features(loss, self.device))
            elif callable(loss):
                check_gradient(loss, "the feature network", self.device)
                distance = losses.feature_distance(loss)
            else:
                raise InputError(f"found loss={loss!r}, expected a name, a file or a network")
            self._losses[key] = losses.perceptual(distance)
        return self._losses[key]


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"found threshold={threshold}, expected a number between 0 and 1")


def _split(x: Tensor) -> list[Tensor]:
    """Cut a tensor into batches; the last may be smaller."""
    return [x[first : first + BATCH] for first in range(0, len(x), BATCH)]


def _read_history(about: object) -> list[tuple[float, float]]:
    """Return the noise and loss of each epoch, as far as a file tells them."""
    try:
        return [(float(noise), float(loss)) for noise, loss in about["history"]]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return []


def _check_weights(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Raise InputError unless both have the same tensors of the same shapes."""
    for name in sorted(found.keys() | expected.keys()):
        a, b = (tuple(d[name].shape) if name in d else "nothing" for d in (found, expected))
        if a != b:
            raise InputError(f"{path}: other weights: found {a} as {name}, expected {b}")


def _decibel(mse: float) -> float:
    return -10 * math.log10(mse) if mse else math.inf
