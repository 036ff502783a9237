"""Give a restorer more residual pairs, at no loss, for they start without effect; or take some out.

python runs/deepen_restorer.py CHECKPOINT OUT.safetensors 1 2 4

The numbers are the residual pairs of each scale, from the finest to the coarsest; the new ones
come after those that are there. Train what comes out with `npeg train --codec restorer --resume`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from npeg.training.checkpoint import save_weights
from npeg.training.restorer import Restorer, Shape, load_checkpoint


def main() -> None:
    """Read, deepen, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=int, nargs="+")
    args = parser.parse_args()
    state = load_checkpoint(args.weights)
    shape = replace(Shape(**state["shape"]), pairs=tuple(args.pairs))
    torch.manual_seed(0)
    model = Restorer(shape)
    model.load_state_dict(state["average"], strict=False)
    state["shape"]["pairs"] = list(args.pairs)
    save_weights(args.out, state | {"average": model.state_dict()})


if __name__ == "__main__":
    main()
