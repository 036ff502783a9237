"""Make a trained network wider or deeper, so that training goes on from what it has learned.

python -m npeg.training.steps.reshape CHECKPOINT OUT.safetensors hyper_width=192 hyper_latents=128
python -m npeg.training.steps.reshape CHECKPOINT OUT.safetensors pairs=6,2,3 --codec restorer

Sizes not named stay. What was there computes what it did: it does not see new channels, and new
residual pairs, behind the old ones, begin without effect. Fewer pairs or channels: the last ones
are left out. Train what comes out with `npeg train --resume`, and --ramp for new hyper-latents.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from npeg.training import checkpoint, restorer
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture

HALVES = ("context.mix.0.weight",)  # their inputs are two halves that widen each


def numbers(text: str) -> int | tuple[int, ...]:
    """Read 96 or 6,2,3."""
    found = tuple(int(part) for part in text.split(","))
    return found if len(found) > 1 else found[0]


def place(old: Tensor, new: Tensor, halves: bool) -> None:
    """Write old weights into larger or smaller new ones; rows that are new stay as they are."""
    if halves:
        for ours, theirs in zip(old.chunk(2, 1), new.chunk(2, 1), strict=True):
            place(ours, theirs, False)
        return
    if new.ndim == 4:
        new[: old.shape[0]] = 0  # what was there does not see what is new
    corner = tuple(slice(0, min(sides)) for sides in zip(old.shape, new.shape, strict=True))
    new[corner] = old[corner]


@torch.no_grad()
def reshape(old: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of `model` with those of a network of other sizes inside."""
    weights = model.state_dict()
    for name in weights.keys() & old.keys():
        place(old[name], weights[name], name in HALVES)
    return weights


def main() -> None:
    """Read, reshape, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("sizes", nargs="+", metavar="NAME=SIZE")
    parser.add_argument("--codec", choices=("npeg", "restorer"), default="npeg")
    args = parser.parse_args()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        name: numbers(size) for name, _, size in (pair.partition("=") for pair in args.sizes)
    }
    if args.codec == "restorer":
        state = restorer.load_checkpoint(args.checkpoint)
        shape = replace(restorer.Shape(**state["shape"]), **sizes)
        model: nn.Module = restorer.Restorer(shape)
        about = {"shape": asdict(shape)}
    else:
        state = checkpoint.load_checkpoint(args.checkpoint)
        arch = replace(Architecture(**state["arch"]), **sizes)
        model = Codec(arch)
        about = {"arch": asdict(arch)}
    weights = reshape(state["average"], model)
    checkpoint.save_weights(args.out, state | about | {"average": weights})


if __name__ == "__main__":
    main()
