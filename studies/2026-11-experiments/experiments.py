"""Short controlled experiments: what helps at equal training time, judged on validation images.

python experiments.py TRAIN VAL OUT CANDIDATE... [--steps 2400] [--seed 0]
python experiments.py --list
python experiments.py --compare   (training times and BD-rates against the baseline's)

Each candidate is trained from scratch for as long as the baseline takes for `--steps` steps: how
long a step takes is measured for both in turns, which a busy machine disturbs less than the clock
of a whole run. So is the time of the networks that decode. The rate is flat, then falls to zero
over the second half. A row a run is added to experiments.tsv; a run that was interrupted goes
on. Two runs side by side with a thread each (OMP_NUM_THREADS=1) get more done than one with two.
What wins moves to npeg/training.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from npeg.bench.metrics.bdrate import bd_rate
from npeg.training import loop
from npeg.training.checkpoint import load_checkpoint
from npeg.training.data import load_images
from npeg.training.loop import first_state
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
    VALIDATION_QUALITIES,
    WEIGHT_EXPONENT,
    Settings,
    Trainer,
    validate,
)

BASELINE = Architecture()
TABLE = Path(__file__).with_name("experiments.tsv")
NOWHERE = Path("/nonexistent")  # no checkpoint there
TIMED_IMAGES = 12
DECODED = (64, 48)  # latents in height and width: 1024x768 pixels


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


class Experiment(Trainer):
    """A run of a candidate."""

    def __init__(self, settings: Settings, candidate: Candidate) -> None:
        state = first_state(settings, load_checkpoint)
        torch.manual_seed(settings.seed)
        loop.Trainer.__init__(self, settings, build(candidate), None)
        self.optimizers = candidate.optimizers(self.model, settings.lr)
        self.exponent = candidate.weight_exponent
        if state:
            self.restore(state)


def settings_for(args: argparse.Namespace, name: str, steps: int) -> Settings:
    """Return the settings of a candidate's run."""
    base = Settings(args.train, args.out / f"{name}-{args.seed}", val=args.val, seed=args.seed)
    base = replace(base, steps=steps, decay=steps // 2, bf16=True)
    return replace(base, **CANDIDATES[name].settings)


def time_in_turns(functions: list[Callable[[], object]], rounds: int = 12) -> list[float]:
    """Return the median seconds of each function, called in turns, after two that warm up."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 2):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 2:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


@torch.no_grad()
def decode(model: Codec) -> Tensor:
    """Run the float networks of the decoder."""
    height, width = DECODED
    y = torch.zeros(1, model.arch.latents, height, width)
    z = torch.zeros(1, model.arch.hyper_latents, height // 4, width // 4)
    y_hat, _ = model.quantize(y, z, torch.ones(1, model.arch.latents, 1, 1))
    return model.g_s(y_hat, torch.full((1,), 0.5))


def time_ratios(args: argparse.Namespace, name: str) -> tuple[float, float]:
    """Return how much longer the candidate's step and its decoder take than the baseline's."""
    images, runs = load_images(args.train, 272, progress=False, most=TIMED_IMAGES), []
    for one in ("baseline", name):
        settings = replace(settings_for(args, one, 100), out=NOWHERE)
        runs.append(Experiment(settings, CANDIDATES[one]))
    batches = [next(run.batches(images)) for run in runs]
    steps = time_in_turns(
        [lambda r=r, b=b: r.train_step(b) for r, b in zip(runs, batches, strict=True)]
    )
    plain = [build(CANDIDATES[one]) for one in ("baseline", name)]  # without Winograd's method
    decoders = time_in_turns([lambda model=model: decode(model) for model in plain])
    return steps[1] / steps[0], decoders[1] / decoders[0]


def compare() -> None:
    """Print the table's losses, and BD-rates against the baseline of the same seed."""
    with TABLE.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    curves = {
        (row["candidate"], row["seed"]): [
            (float(row[f"val_bpp@{t}"]), float(row[f"val_psnr@{t}"])) for t in VALIDATION_QUALITIES
        ]
        for row in rows
    }
    usual = {row["seed"]: int(row["steps"]) for row in rows if row["candidate"] == "baseline"}
    print("candidate", "seed", "time", "val_loss", "bd_rate", sep="\t")
    for row in rows:
        name, seed = row["candidate"], row["seed"]
        rate = bd_rate(curves["baseline", seed], curves[name, seed])
        spent = int(row["steps"]) * float(row["step_time_ratio"]) / usual[seed]
        print(name, seed, f"{spent:.2f}", row["val_loss"], f"{rate:+.2f}", sep="\t")


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("val", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("candidates", nargs="*")
    parser.add_argument("--steps", type=int, default=2400, help="of the baseline (2400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--compare", action="store_true", help="print BD-rates of the table")
    args = parser.parse_args()
    if args.compare:
        compare()
        return
    if args.list or not args.candidates:
        print(*CANDIDATES, sep="\n")
        return
    loop.keep_freed_memory()
    val = load_images(args.val, 1)
    for name in args.candidates:
        plan = args.out / f"{name}-{args.seed}" / "ratios.txt"  # for a run that goes on
        ratios = (1.0, 1.0)
        if plan.exists():
            ratios = tuple(map(float, plan.read_text().split()))
        elif not CANDIDATES[name].takes_usual_time():
            ratios = time_ratios(args, name)
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text("{} {}".format(*ratios))
        step_ratio, decoder_ratio = ratios
        steps = round(args.steps / step_ratio)
        run = Experiment(settings_for(args, name, steps), CANDIDATES[name])
        loop.run(run)
        if run.step < steps:
            return  # interrupted
        result = validate(run.average, val)
        parameters = sum(p.numel() for p in run.model.parameters())
        row = [name, args.seed, steps, f"{run.seconds / 60:.1f}", parameters]
        row += [f"{step_ratio:.3f}", f"{decoder_ratio:.3f}"]
        row += [f"{value:.4f}" for value in result.values()]
        if not TABLE.exists():
            heads = ["candidate", "seed", "steps", "minutes", "parameters"]
            heads += ["step_time_ratio", "decoder_time_ratio"]
            TABLE.write_text("\t".join([*heads, *(f"val_{key}" for key in result)]) + "\n")
        with TABLE.open("a") as file:
            file.write("\t".join(map(str, row)) + "\n")
        print(f"{name}: validation loss {result['loss']:.4f} after {steps} steps")


if __name__ == "__main__":
    main()
