"""Which ReLUs of a checkpoint's residual pairs still live.

python dead_units.py CHECKPOINT IMAGES [--codec restorer]

On crops of the images, for each pair: channels of the ReLU that are never above zero, the share of
its values that are, and the deviations of what enters the pair and of what it adds.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from npeg.training import checkpoint, restorer
from npeg.training.data import draw_batch, load_images
from npeg.training.export.eight_bits import Activations, observe
from npeg.training.loop import Settings
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture

IMAGES, CROPS = 16, 8


def activations(path: Path, images: Path, codec: str) -> tuple[nn.Module, Activations]:
    """Return the network of a checkpoint and its pairs' activations on crops."""
    tiles = load_images(images, 256 + restorer.Trainer.MARGIN, progress=False, most=IMAGES)
    if codec == "restorer":
        state = restorer.load_checkpoint(path)
        model: nn.Module = restorer.Restorer(restorer.Shape(**state["shape"]))
        settings = Settings(images=images, out=images, batch=CROPS, crop=256)
        inputs = [restorer.draw_batch(tiles, settings, step=0)[1]]
    else:
        state = checkpoint.load_checkpoint(path)
        model = Codec(Architecture(**state["arch"]))
        inputs = list(draw_batch(tiles, 256, CROPS, seed=0, step=0))
    model.load_state_dict(state["average"])
    return model, observe(model, *inputs)


@torch.no_grad()
def main() -> None:
    """Print a row a pair."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--codec", choices=("npeg", "restorer"), default="npeg")
    args = parser.parse_args()
    model, seen = activations(args.checkpoint, args.images, args.codec)
    print("pair\tchannels\tdead\tactive\tentering\tadded")
    for name, module in model.named_modules():
        if module in seen:
            entering, between, added = seen[module]
            dead = int((between.amax((0, 2, 3)) <= 0).sum())
            active = float((between > 0).float().mean())
            figures = f"{active:.3f}\t{float(entering.std()):.3f}\t{float(added.std()):.3f}"
            print(f"{name}\t{between.shape[1]}\t{dead}\t{figures}")


if __name__ == "__main__":
    main()
