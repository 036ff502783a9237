"""How long a training step takes: PyTorch's convolutions, Winograd's, bfloat16; memory kept or not.

python step_times.py IMAGES [--rounds 8] > step-times.tsv   (a CPU with AVX2)
python step_times.py IMAGES --bf16 > step-times-avx512.tsv   (with AVX512_BF16)

Each network takes its default batch. The variants take their steps in turns, so a machine whose
speed changes disturbs all alike; the median of the rounds is shown. Freed memory, once kept, stays
kept, so those variants are measured in a process of their own.
"""

import argparse
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from turns import time_in_turns

from npeg.teaching.losses import original
from npeg.teaching.network import Autoencoder, augment
from npeg.training import loop, rate_distortion, restorer
from npeg.training.data import load_images
from npeg.training.networks.winograd import use_winograd

NETWORKS = ("npeg", "restorer", "teaching")
IMAGES = 12


def teaching_step(winograd: bool) -> Any:
    """Return a function that takes a step of the teaching network on 20 images of 32x32."""
    model = Autoencoder()
    if winograd:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        use_winograd(model)
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        x = augment(torch.rand(20, 3, 32, 32))
        x_hat, code = model(x, 15.0)
        optimizer.zero_grad()
        torch.autograd.backward(original(x, x_hat, code, 15.0).total())
        optimizer.step()

    return step


def trainer_step(network: str, images: list[Any], **convolutions: Any) -> Any:
    """Return a function that takes a step of the codec or the restorer on one batch."""
    kind, settings = {
        "npeg": (rate_distortion.Trainer, rate_distortion.Settings),
        "restorer": (restorer.Trainer, loop.Settings),
    }[network]
    nowhere = Path("/nonexistent")
    trainer = kind(settings(nowhere, nowhere, decay=0, **convolutions))
    batch = next(itertools.islice(trainer.batches(images), 1))
    return lambda: trainer.train_step(batch)


def main() -> None:
    """Measure, in this process or in one for each handling of memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--memory", choices=("returned", "kept"))
    parser.add_argument("--bf16", action="store_true", help="measure bfloat16 too")
    args = parser.parse_args()
    if not args.memory:
        print("network", "memory", "convolutions", "seconds_a_step", sep="\t", flush=True)
        for memory in ("returned", "kept"):
            subprocess.run([sys.executable, *sys.argv, "--memory", memory], check=True)
        return
    if args.memory == "kept":
        loop.keep_freed_memory()
    images = load_images(args.images, 272, progress=False, most=IMAGES)
    for network in NETWORKS:
        if network == "teaching":
            steps = {"pytorch": teaching_step(False), "winograd": teaching_step(True)}
        else:
            steps = {
                "pytorch": trainer_step(network, images),
                "winograd": trainer_step(network, images, winograd=True),
            }
            if args.bf16:
                steps["bf16"] = trainer_step(network, images, bf16=True)
        times = time_in_turns(list(steps.values()), args.rounds)
        for name, seconds in zip(steps, times, strict=True):
            print(network, args.memory, name, f"{seconds:.3f}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
