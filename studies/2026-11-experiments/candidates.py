# mypy: ignore-errors
"""The candidates of experiments.py: how each differs from the baseline, the network of its time.

Ran at commit 67534cc, where it is part of `runs/experiments.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npeg.training.networks.model import Codec, anchor_mask
from npeg.training.networks.pairs import SLOPE, ResidualPair, start_at_zero
from npeg.training.networks.transforms import (
    DETAIL,
    PATCH,
    STRIDE,
    Architecture,
    MeanHead,
    Modulation,
    usual_deviations,
)
from npeg.training.optimizer import Muon, build_optimizers
from npeg.training.rate_distortion import (
    WEIGHT_EXPONENT,
)

BASELINE = Architecture()


# --- networks that differ by more than widths ---


def with_activation(name: str) -> Callable[[Codec], None]:
    """Return a change of the activation in the residual pairs of both transforms."""
    act = {"silu": F.silu, "gelu": F.gelu}[name]

    def forward(self: ResidualPair, x: Tensor) -> Tensor:
        return x + self.conv2(act(self.conv1(x)))

    def change(codec: Codec) -> None:
        for module in codec.modules():
            if isinstance(module, ResidualPair):
                module.forward = MethodType(forward, module)

    return change


def without_shortcuts(codec: Codec) -> None:
    """Start the linear transforms at zero and keep them there; the networks start at random."""
    for transform in (codec.g_a, codec.g_s):
        transform.shortcut.weight.data.zero_()
        transform.shortcut.requires_grad_(False)
        nn.init.kaiming_normal_(transform.tail.weight, 0.1)


class Finer(nn.Module):
    """Residual pairs at 1/4 between two 1x1 convolutions, after or before those at 1/8."""

    def __init__(self, width: int, fine: int, pairs: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, 4 * fine, 1)
        self.pairs = nn.Sequential(*(ResidualPair(fine) for _ in range(pairs)))
        self.leave = nn.Conv2d(fine, 3 * 4**2, 1)
        start_at_zero(self.leave)

    def forward(self, h: Tensor) -> Tensor:
        """Return 8x8 patches (B, 192, H/8, W/8) of features (B, width, H/8, W/8)."""
        image: Tensor = self.leave(self.pairs(F.pixel_shuffle(self.enter(h), 2)))
        return F.pixel_unshuffle(F.pixel_shuffle(image, 4), PATCH)


class Finest(nn.Module):
    """The mirror of `Finer`: 8x8 patches by way of 1/4 to features at 1/8."""

    def __init__(self, width: int, fine: int, pairs: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3 * 4**2, fine, 1)
        self.pairs = nn.Sequential(*(ResidualPair(fine) for _ in range(pairs)))
        self.leave = nn.Conv2d(4 * fine, width, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """Return features (B, width, H/8, W/8) of patches (B, 192, H/8, W/8)."""
        x = F.pixel_unshuffle(F.pixel_shuffle(patches, PATCH), 4)
        x = x.contiguous(memory_format=torch.channels_last)
        h: Tensor = self.leave(F.pixel_unshuffle(self.pairs(self.enter(x)), 2))
        return h


def two_scales(codec: Codec) -> None:
    """Let two of the residual pairs on each side work at 1/4, on half as many channels."""
    arch = codec.arch
    codec.g_s.tail = Finer(arch.synthesis_width, arch.synthesis_width // 2, 2)
    codec.g_a.head = Finest(arch.analysis_width, arch.analysis_width // 2, 2)

    def analyse(self, x, t):
        patches, blocks = F.pixel_unshuffle(x - 0.5, PATCH), F.pixel_unshuffle(x - 0.5, STRIDE)
        return self.finish(self.head(patches), self.shortcut(blocks), t)

    def synthesise(self, y_hat, t):
        detail = DETAIL * F.pixel_shuffle(self.tail(self.features(y_hat, t)), PATCH)
        return F.pixel_shuffle(self.shortcut(y_hat), STRIDE) + detail + 0.5

    codec.g_a.forward = MethodType(analyse, codec.g_a)
    codec.g_s.forward = MethodType(synthesise, codec.g_s)


class FourPasses(nn.Module):
    """Means in four passes: the anchors' first half of channels, their second, then the others'."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        width, m = arch.hyper_width, arch.latents
        self.neighbours = nn.ModuleList(nn.Conv2d(m, width, 3, padding=1) for _ in range(3))
        self.mix = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(3))
        self.means = nn.ModuleList(nn.Conv2d(width, m // 2, 1) for _ in range(3))
        for conv in self.means:
            start_at_zero(conv)
        self.register_buffer("deviations", usual_deviations(m)[:, None, None], persistent=False)

    def forward(self, k: int, psi: Tensor, known: Tensor) -> Tensor:
        """Return the means of half the channels, (B, M/2, H/16, W/16), in pass k + 2."""
        neighbours = self.neighbours[k](known / self.deviations)
        h = F.leaky_relu(torch.cat([psi, neighbours], dim=1), SLOPE)
        means = self.means[k](F.leaky_relu(self.mix[k](h), SLOPE))
        first = 0 if k == 1 else known.shape[1] // 2  # passes 2 and 4 are for the second half
        return means * self.deviations[first : first + means.shape[1]]


def four_passes(codec: Codec) -> None:
    """Replace the checkerboard by four passes over channel halves."""
    codec.context = FourPasses(codec.arch)

    def quantize(self: Codec, y: Tensor, z_hat: Tensor, gain_y: Tensor) -> tuple[Tensor, Tensor]:
        psi, first = self.mean_head(z_hat)
        anchor = anchor_mask(y).bool()
        half = y.shape[1] // 2
        channels = torch.arange(y.shape[1])[:, None, None]
        y_hat, residual = torch.zeros_like(y), torch.zeros_like(y)
        places = [
            (at, part) for at in (anchor, ~anchor) for part in (channels < half, channels >= half)
        ]
        for k, (at, part) in enumerate(places):
            if k == 0:
                means = first
            else:
                found = self.context(k - 1, psi, y_hat / gain_y)
                means = torch.cat([found, found], dim=1)
            left = y - means.float() * gain_y
            mask = (at & part).to(y.dtype)
            residual = residual + left * mask
            y_hat = y_hat + (y + (left.round() - left).detach()) * mask
        return y_hat, residual

    codec.quantize = MethodType(quantize, codec)


class Conditioned(nn.Module):
    """A convolution whose outputs are scaled and shifted by the quality."""

    def __init__(self, conv: nn.Sequential) -> None:
        super().__init__()
        self.conv = conv
        self.modulation = Modulation(conv[0].out_channels)
        self.t = torch.full((1,), 0.5)  # set for each batch

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution (B, K, H, W) as the quality has it."""
        found: Tensor = self.modulation(self.conv(x), self.t)
        return found


def conditioned(codec: Codec) -> None:
    """Tell the quality to every residual pair, and to the networks of the entropy model's means."""
    for pair in [*codec.g_a.pairs, *codec.g_s.pairs]:
        pair.conv1 = Conditioned(pair.conv1)
    codec.h_a.conv1 = Conditioned(codec.h_a.conv1)
    codec.mean_head.conv1 = Conditioned(codec.mean_head.conv1)
    codec.mean_head.conv2 = Conditioned(codec.mean_head.conv2)
    codec.context.neighbours = Conditioned(codec.context.neighbours)
    codec.context.mix = Conditioned(codec.context.mix)

    def forward(self, x, t, noise=None):
        for module in self.modules():
            if isinstance(module, Conditioned):
                module.t = t
        return Codec.forward(self, x, t, noise)

    codec.forward = MethodType(forward, codec)


def side_information(codec: Codec) -> None:
    """Let the synthesis see the hyper-latents' features beside the latents."""
    arch, g_s = codec.arch, codec.g_s
    g_s.head = nn.Conv2d(arch.latents + arch.hyper_width, 4 * arch.synthesis_width, 1)

    def mean_head(self, z_hat):
        self.psi, means = MeanHead.forward(self, z_hat)
        return self.psi, means

    def quantize(self, y, z_hat, gain_y):
        found = Codec.quantize(self, y, z_hat, gain_y)
        self.g_s.psi = self.mean_head.psi
        return found

    def features(self, y_hat, t):
        y_hat = y_hat / self.deviations
        h = F.pixel_shuffle(self.head(torch.cat([y_hat, self.psi], dim=1)), 2)
        h = self.modulation(h, t)
        for pair in self.pairs:
            h = pair(h)
        return h

    codec.mean_head.forward = MethodType(mean_head, codec.mean_head)
    codec.quantize = MethodType(quantize, codec)
    g_s.features = MethodType(features, g_s)


# --- optimisers ---


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of Shampoo's preconditioner, for matrices; Adam for the rest.

    Source: Vyas et al., arXiv:2409.11321, algorithm 3.
    """

    def __init__(self, params, lr, betas=(0.95, 0.95), every=10, largest=1024):
        super().__init__(params, {"lr": lr})
        self.betas, self.every, self.largest = betas, every, largest

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; the first one only builds the basis."""
        b1, b2 = self.betas
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad.reshape(p.shape[0], -1)
                state = self.state[p]
                if not state:
                    state.update(k=0, m=torch.zeros_like(g), v=torch.zeros_like(g))
                    for side, n in zip("lr", g.shape, strict=True):
                        if n <= self.largest:
                            state[side] = torch.zeros(n, n)
                state["k"] += 1
                k = state["k"]
                for side, gram in (("l", g @ g.T), ("r", g.T @ g if "r" in state else None)):
                    if side in state and gram is not None:
                        state[side].lerp_(gram, 1 - b2)
                        if k == 1:
                            state["q" + side] = torch.linalg.eigh(state[side] + 1e-12)[1]
                        elif k % self.every == 0:
                            power = state[side] @ state["q" + side]
                            state["q" + side] = torch.linalg.qr(power)[0]

                def rotate(x, back=False, state=state):
                    left, right = state.get("ql"), state.get("qr")
                    if left is not None:
                        x = (left if back else left.T) @ x
                    return x if right is None else x @ (right.T if back else right)

                if k == 1:
                    continue  # the first step only builds the basis
                turned = rotate(g)
                state["m"].lerp_(g, 1 - b1)
                state["v"].lerp_(turned.square(), 1 - b2)
                scale = (1 - b2 ** (k - 1)) ** 0.5 / (1 - b1 ** (k - 1))
                update = rotate(rotate(state["m"]) / (state["v"].sqrt() + 1e-8), back=True)
                p.add_(update.reshape(p.shape), alpha=-group["lr"] * scale)


def soap(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return SOAP where Muon would be, and Adam."""
    muon, adam = build_optimizers(model, lr)
    return [Soap([p for g in muon.param_groups for p in g["params"]], lr), adam]


class TwiceMuon(Muon):
    """Muon at twice the learning rate that the loop sets."""

    def step(self, closure=None):
        """Take a step."""
        for group in self.param_groups:
            group["lr"] *= 2  # the loop sets it before each step
        super().step()


def muon_twice(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return Muon at twice the rate, and Adam at the rate."""
    muon, adam = build_optimizers(model, lr)
    return [TwiceMuon([p for g in muon.param_groups for p in g["params"]], lr), adam]


def adam_only(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return Adam for everything."""
    return [torch.optim.Adam(model.parameters(), lr, betas=(0.9, 0.99))]


# --- candidates ---


@dataclass(frozen=True)
class Candidate:
    """How a run differs from the baseline."""

    arch: dict[str, int] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    change: Callable[[Codec], None] | None = None
    optimizers: Callable[[nn.Module, float], list[torch.optim.Optimizer]] = build_optimizers
    weight_exponent: float = WEIGHT_EXPONENT  # of the samples' weights

    def takes_usual_time(self) -> bool:
        """Return whether only numbers differ from the baseline, not the work of a step."""
        usual = replace(self, settings={}, weight_exponent=WEIGHT_EXPONENT) == Candidate()
        return usual and self.settings.keys() <= {"lr", "ema"}


CANDIDATES = {
    "baseline": Candidate(),
    "adam": Candidate(optimizers=adam_only),
    "soap": Candidate(optimizers=soap),
    "muon-2": Candidate(optimizers=muon_twice),
    "ema-0.9995": Candidate(settings={"ema": 0.9995}),
    "batch-4": Candidate(settings={"batch": 4}),
    "batch-14-crop-192": Candidate(settings={"batch": 14, "crop": 192}),
    "batch-32-crop-128": Candidate(settings={"batch": 32, "crop": 128}),
    "weights-0.2": Candidate(weight_exponent=-0.2),
    "weights-0.4": Candidate(weight_exponent=-0.4),
    "silu": Candidate(change=with_activation("silu")),
    "no-shortcuts": Candidate(change=without_shortcuts),
    "four-passes": Candidate(change=four_passes),
    "conditioned": Candidate(change=conditioned),
    "side-information": Candidate(change=side_information),
    "two-scales": Candidate(arch={"analysis_pairs": 4, "synthesis_pairs": 3}, change=two_scales),
    "latents-192": Candidate(arch={"latents": 192}),
    "latents-320": Candidate(arch={"latents": 320}),
    "hyper-latents-64": Candidate(arch={"hyper_latents": 64}),
    "hyper-width-96": Candidate(arch={"hyper_width": 96}),
}


def build(candidate: Candidate) -> Codec:
    """Return the candidate's network at its start."""
    codec = Codec(replace(BASELINE, **candidate.arch))
    if candidate.change:
        candidate.change(codec)
    return codec.to(memory_format=torch.channels_last)
