# mypy: ignore-errors
"""Short controlled experiments: what helps at equal training time, judged on validation images.

Ran at commit 67534cc, where it is `runs/experiments.py`; rows of model 3 at commit 487aca7. Since
then latents are quantised with a gain, and the candidates do not fit the networks.

    export PYTHONPATH=../2026-11-step-times  # time_in_turns
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
from dataclasses import replace
from pathlib import Path

import torch
from candidates import CANDIDATES, Candidate, build
from torch import Tensor
from turns import time_in_turns

from npeg.bench.metrics.bdrate import bd_rate
from npeg.training import loop
from npeg.training.checkpoint import load_checkpoint
from npeg.training.data import load_images
from npeg.training.loop import first_state
from npeg.training.networks.model import Codec
from npeg.training.rate_distortion import (
    VALIDATION_QUALITIES,
    Settings,
    Trainer,
    validate,
)

TABLE = Path(__file__).with_name("experiments.tsv")
NOWHERE = Path("/nonexistent")  # no checkpoint there
TIMED_IMAGES = 12
DECODED = (64, 48)  # latents in height and width: 1024x768 pixels


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
