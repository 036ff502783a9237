"""Training of npeg's own networks: what its batches, its loss and its validation are."""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import Pixels
from ..encoder_rule import TUNES, EncoderOptions
from ..errors import InputError
from . import loop, perception
from .checkpoint import about_codec, load_checkpoint
from .correction import corrected
from .data import draw_batch, draw_noise
from .loop import ALONE, Group, first_state, join_group, prepare, psnr_db
from .networks.model import Codec, distortion_weight
from .networks.transforms import STRIDE, Architecture

PAD = 64  # images are padded to multiples of the hyper-latents' stride
WEIGHT_EXPONENT = -0.3
HYPER_WEIGHT = 0.05  # of the hyper-latents' bits, at the start of a ramp
VALIDATION_QUALITIES = (0.1, 0.3, 0.5, 0.7, 0.9)

Batch = tuple[Tensor, Tensor, list[Tensor]]
"""x (B, 3, c, c) in [0, 1], qualities t (B,), noise of latents and hyper-latents."""


@dataclass(frozen=True)
class Settings(loop.Settings):
    """One run of the codec."""

    warmup: int = 200
    batch: int = 8
    crop: int = 256
    clip: float = 3.0
    only_entropy: bool = False  # train the entropy model by its rate, transforms as they are
    only_synthesis: bool = False  # train the synthesis on what the encoder codes, all else as it is
    ramp: int = 0  # steps until the hyper-latents' bits count in full
    downscale: float = 1.0  # up to which every other sample is scaled down: busier crops
    vivid: float = 0.0  # share of samples that are made more colourful and sharper
    tune: str = "psnr"  # what distortion is: mean squared error, or mostly what people see


class MeanSquaredError(torch.autograd.Function):
    """mean((x_hat - x)^2) of each sample (B,), for x_hat's gradient alone, in few passes."""

    @staticmethod
    def forward(ctx: Any, x_hat: Tensor, x: Tensor) -> Tensor:
        error = x_hat - x
        ctx.save_for_backward(error)
        return torch.linalg.vector_norm(error, dim=(1, 2, 3)).square() / error[0].numel()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (error,) = ctx.saved_tensors
        scale = gradients[0] * (2 / error[0].numel())
        return error * scale[:, None, None, None], None


def sample_losses(
    x: Tensor,
    x_hat: Tensor,
    rate_bits: Tensor,
    t: Tensor,
    exponent: float = WEIGHT_EXPONENT,
    tune: str = "psnr",
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, bits per pixel and MSE of each sample (B,).

    loss = (R + D) * (lmbda * 255^2 / 600)^exponent, so that high rates do not drown low ones;
    D = lmbda * 255^2 * MSE, of which tune visual mixes a share with `perception.cost`.
    """
    mse: Tensor = MeanSquaredError.apply(x_hat, x)
    rate_bpp = rate_bits / (x.shape[-1] * x.shape[-2])
    weight = distortion_weight(t)
    cost = weight * mse
    if tune == "visual":
        cost = perception.MSE_SHARE * cost + perception.cost(x, x_hat, t)
    return (rate_bpp + cost) * (weight / 600) ** exponent, rate_bpp, mse


@torch.no_grad()
def validate(
    model: Codec, images: list[Pixels], correct: bool = False, tune: str = "psnr"
) -> dict[str, float]:
    """Return the loss on whole images, and bpp and PSNR at VALIDATION_QUALITIES.

    If `correct`, of latents as the encoder codes them, else of latents rounded as they come.
    """
    rows = []
    device = next(model.parameters()).device
    for pixels in images:
        x = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 255
        h, w = x.shape[-2:]
        padded = F.pad(x, (0, -w % PAD, 0, -h % PAD), mode="replicate")
        for t in torch.tensor(VALIDATION_QUALITIES, device=device)[:, None]:
            if correct:
                y_hat, bits = corrected(model, padded, t, TUNES[tune])
                x_hat = model.g_s(y_hat, t)
            else:
                x_hat, bits = model(padded, t)
            x_hat = (x_hat[..., :h, :w].clamp(0, 1) * 255).round() / 255
            loss, rate, mse = sample_losses(x, x_hat, bits, t, tune=tune)
            rows.append((loss, rate, psnr_db(mse)))
    table = torch.tensor(rows).view(len(images), len(VALIDATION_QUALITIES), 3).mean(0)
    result = {"loss": float(table[:, 0].mean())}
    for t, (_, rate, psnr) in zip(VALIDATION_QUALITIES, table.tolist(), strict=True):
        result |= {f"bpp@{t}": rate, f"psnr@{t}": psnr}
    return result


class Trainer(loop.Trainer[Codec, Batch]):
    """A run of the codec, one of several processes."""

    COLUMNS = ("loss", "rate_bpp", "psnr_db")
    MULTIPLE = PAD
    exponent = WEIGHT_EXPONENT
    only_entropy, only_synthesis = Settings.only_entropy, Settings.only_synthesis
    ramp, tune = Settings.ramp, Settings.tune
    downscale, vivid = Settings.downscale, Settings.vivid

    def __init__(
        self, settings: Settings, group: Group = ALONE, arch: Architecture | None = None
    ) -> None:
        state = first_state(settings, load_checkpoint)
        torch.manual_seed(settings.seed)
        arch = Architecture(**state["arch"]) if state else arch or Architecture()
        model = Codec(arch)
        self.only_entropy, self.ramp = settings.only_entropy, settings.ramp
        self.downscale, self.vivid = settings.downscale, settings.vivid
        self.only_synthesis, self.tune = settings.only_synthesis, settings.tune
        if self.only_entropy:
            model.freeze_transforms()
        if self.only_synthesis:
            model.freeze_all_but_synthesis()
        super().__init__(settings, model, state, group)
        # What the synthesis learns from is coded with the one it began as: a correction by its own
        # decoding would make up for whatever it drifts to.
        self.coder = copy.deepcopy(self.average) if self.only_synthesis else None

    def about(self) -> dict[str, Any]:
        """Return what names the checkpoint as one of this network."""
        return about_codec(asdict(self.model.arch)) | {"tune": self.tune}

    def batch_at(self, images: list[Pixels], step: int) -> Batch:
        """Return the samples of a step."""
        s, arch, group = self.settings, self.model.arch, self.group
        side = s.crop // STRIDE
        shapes = [
            (s.batch, arch.latents, side, side),
            (s.batch, arch.hyper_latents, side // 4, side // 4),
        ]
        x, t = draw_batch(
            images,
            s.crop,
            s.batch,
            s.seed,
            step,
            group.rank,
            group.world,
            max_downscale=self.downscale,
            vivid=self.vivid,
        )
        return x, t, draw_noise(shapes, s.seed, step, group.rank * s.batch)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss, and the means of COLUMNS."""
        x, t, noise = batch
        hyper_weight = self.hyper_weight()
        if self.only_entropy:
            y = self.model.g_a(x, t)
            _, bits = self.model.code(y, t, (noise[0], noise[1]), hyper_weight)
            rate = bits / (x.shape[-1] * x.shape[-2])
            loss = (rate * (distortion_weight(t) / 600) ** self.exponent).mean()
            unknown = torch.full_like(loss, torch.nan).detach()
            return loss, torch.stack([loss.detach(), rate.detach().mean(), unknown])
        if self.coder is not None:
            y_hat, bits = corrected(self.coder, x, t, TUNES[self.tune])
            x_hat = self.model.g_s(y_hat, t)
        else:
            x_hat, bits = self.model(x, t, (noise[0], noise[1]), hyper_weight)
        loss, rate, mse = sample_losses(x, x_hat, bits, t, self.exponent, self.tune)
        means = torch.stack([loss.detach(), rate.detach(), psnr_db(mse.detach())]).mean(1)
        return loss.mean(), means

    def hyper_weight(self) -> float:
        """Return how much of the hyper-latents' bits counts: all, but at a run's start.

        Before the networks that read them have learned what they are good for, they only cost.
        """
        if self.step >= self.ramp:
            return 1.0
        return HYPER_WEIGHT + (1 - HYPER_WEIGHT) * self.step / self.ramp

    def validate(self, images: list[Pixels]) -> dict[str, float]:
        """Return figures on whole images."""
        return validate(self.average, images, self.only_synthesis, self.tune)


def train(settings: Settings, arch: Architecture | None = None) -> Trainer:
    """Train the codec; see `loop.run`.

    Raises:
        InputError: there is no such tune, or crops are too small for what it measures.
    """
    EncoderOptions(tune=settings.tune)  # refused if there is no such tune
    if settings.tune == "visual" and settings.crop < perception.SMALLEST_CROP:
        smallest = perception.SMALLEST_CROP
        raise InputError(f"--crop is {settings.crop}, --tune visual needs {smallest} or more")
    prepare(settings, Trainer.MULTIPLE)
    trainer = Trainer(settings, join_group(), arch)
    loop.run(trainer)
    return trainer
