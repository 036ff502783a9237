"""Where a training step's time goes: milliseconds of each kind of work, by PyTorch's profiler.

python step_profile.py IMAGES [--threads 1] [--steps 6]

step-profile.tsv has the tables of one and of two threads.
Batches are drawn by another thread during the step before and are not counted.
"""

import argparse
import itertools
from collections import Counter
from pathlib import Path

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from npeg.training import loop
from npeg.training.data import load_images
from npeg.training.rate_distortion import Settings, Trainer

OPTIMISERS = "optimisers"
KINDS = {
    "convolutions by Winograd's method": ("Winograd",),
    "other convolutions": ("convolution", "conv2d"),
    "shuffles of pixels": ("shuffle",),
    "copies and changes of layout": ("copy_", "cat", "fill_", "empty"),
}


def kind_of(event: FunctionEvent) -> str:
    """Return what an operator works for."""
    inside: FunctionEvent | None = event
    while inside is not None:
        if inside.name == OPTIMISERS:
            return OPTIMISERS
        inside = inside.cpu_parent
    for kind, parts in KINDS.items():
        if any(part in event.name for part in parts):
            return kind
    return "elementwise operations and the rest"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    loop.keep_freed_memory()
    torch.set_num_threads(args.threads)
    nowhere = Path("/nonexistent")
    trainer = Trainer(Settings(nowhere, nowhere, decay=0, winograd=True))
    for optimizer in trainer.optimizers:
        optimizer.step = record_function(OPTIMISERS)(optimizer.step)  # type: ignore[method-assign]
    images = load_images(args.images, 272, progress=False, most=12)
    batches = list(itertools.islice(trainer.batches(images), 3 + args.steps))
    for batch in batches[:3]:
        trainer.train_step(batch)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for batch in batches[3:]:
            trainer.train_step(batch)
    times: Counter[str] = Counter()
    for event in found.events():
        times[kind_of(event)] += event.self_cpu_time_total / 1e3 / args.steps
    print("threads", "work", "ms_a_step", "share", sep="\t")
    total = sum(times.values())
    for kind, ms in times.most_common():
        print(args.threads, kind, f"{ms:.0f}", f"{ms / total:.3f}", sep="\t")


if __name__ == "__main__":
    main()
