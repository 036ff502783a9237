"""Turn a trained network's convolutions to 8-bit integers, to be trained on before the export.

python -m npeg.training.steps.to_eight_bits CHECKPOINT IMAGES OUT.safetensors [--codec restorer]

Train what comes out with `npeg train --resume`, falling to rate 0, and export it as it is.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from npeg.training import checkpoint, restorer
from npeg.training.data import load_images
from npeg.training.export.model_folder import with_eight_bits
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture

IMAGES = 64


def main() -> None:
    """Read, turn, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--codec", choices=("npeg", "restorer"), default="npeg")
    args = parser.parse_args()
    images = load_images(args.images, 256 + restorer.Trainer.MARGIN, progress=False, most=IMAGES)
    if args.codec == "restorer":
        state = restorer.load_checkpoint(args.checkpoint)
        network = restorer.Restorer(restorer.Shape(**state["shape"]))
        network.load_state_dict(state["average"])
        eight = restorer.with_eight_bits(network, images)
        about = {"shape": asdict(eight.shape), "average": eight.state_dict()}
    else:
        state = checkpoint.load_checkpoint(args.checkpoint)
        codec = Codec(Architecture(**state["arch"]))
        codec.load_state_dict(state["average"])
        coder = with_eight_bits(codec, images)
        about = {"arch": asdict(coder.arch), "average": coder.state_dict()}
    checkpoint.save_weights(args.out, state | about)


if __name__ == "__main__":
    main()
