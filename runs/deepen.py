"""Give a network more residual pairs, at no loss, for they start without effect; or take some out.

python runs/deepen.py CHECKPOINT OUT.safetensors 8 5                    # codec: analysis, synthesis
python runs/deepen.py CHECKPOINT OUT.safetensors 1 2 4 --codec restorer # finest to coarsest scale

New pairs come after those that are there. Train what comes out with `npeg train --resume`.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from npeg.training import checkpoint, restorer
from npeg.training.model import Codec
from npeg.training.transforms import Architecture


def main() -> None:
    """Read, deepen, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=int, nargs="+")
    parser.add_argument("--codec", choices=("npeg", "restorer"), default="npeg")
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.codec == "restorer":
        state = restorer.load_checkpoint(args.weights)
        shape = replace(restorer.Shape(**state["shape"]), pairs=tuple(args.pairs))
        model: nn.Module = restorer.Restorer(shape)
        about = {"shape": asdict(shape)}
    else:
        state = checkpoint.load_checkpoint(args.weights)
        analysis, synthesis = args.pairs
        pairs = {"analysis_pairs": analysis, "synthesis_pairs": synthesis}
        arch = replace(Architecture(**state["arch"]), **pairs)
        model = Codec(arch)
        about = {"arch": asdict(arch)}
    model.load_state_dict(state["average"], strict=False)
    checkpoint.save_weights(args.out, state | about | {"average": model.state_dict()})


if __name__ == "__main__":
    main()
