"""What a flat learning rate costs, part by part: the latest weights against their running mean.

python jitter.py CHECKPOINT VAL [--images 4]

Prints the loss on photographs with the averaged weights, with all of the latest, and with the
latest of one part beside the averaged of the others. A part that loses much has too high a rate;
one that gains is still on its way.
"""

import argparse
from pathlib import Path

from npeg.training.checkpoint import load_checkpoint
from npeg.training.data import load_images
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture
from npeg.training.rate_distortion import PAD, validate

PARTS = {
    "linear analysis": ("g_a.shortcut",),
    "rest of the analysis": ("g_a.head", "g_a.modulation", "g_a.pairs", "g_a.tail"),
    "linear synthesis": ("g_s.shortcut",),
    "rest of the synthesis": ("g_s.head", "g_s.modulation", "g_s.pairs", "g_s.tail"),
    "hyper-analysis": ("h_a",),
    "scale head": ("scale_head",),
    "mean head": ("mean_head",),
    "context": ("context",),
    "gains and tables": ("gains", "mixture"),
}


def main() -> None:
    """Print a row a part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--images", type=int, default=4)
    args = parser.parse_args()
    state = load_checkpoint(args.checkpoint)
    images = load_images(args.val, PAD, progress=False, most=args.images)
    codec = Codec(Architecture(**state["arch"])).eval()
    rows: dict[str, tuple[str, ...]] = {"none": (), "all": ("",), **PARTS}
    base = 0.0
    print("step", "latest_weights_of", "loss", "ratio", sep="\t")
    for name, prefixes in rows.items():
        source = {
            key: state["model" if key.startswith(prefixes) else "average"][key]
            for key in state["average"]
        }
        codec.load_state_dict(source)
        loss = validate(codec, images)["loss"]
        base = base or loss
        print(state["step"], name, f"{loss:.4f}", f"{loss / base:.4f}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
