"""Let a trained codec's quality be what people mean by it: about the SSIMULACRA2 that it gives.

python -m npeg.training.steps.calibrate CHECKPOINT IMAGES... --out CALIBRATED.safetensors

Codes validation images at many t in [0, 1] and keeps with the weights, at each tenth quality, the t
whose mean score is that quality, as far as there is one: 0 stays t = 0 and 100 stays t = 1. What
comes out is to be exported.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ...arrays import Pixels
from .. import checkpoint, perception
from ..data import load_images
from ..networks.model import Codec
from ..networks.transforms import Architecture

CROP = 512
TRIED = np.linspace(0, 1, 13)
QUALITIES = np.linspace(0, 1, 11)
LEAST_STEP = 0.04  # of t between tenth qualities: every quality makes a difference


@torch.no_grad()
def mean_scores(codec: Codec, images: list[Pixels]) -> NDArray[np.float64]:
    """Return the mean SSIMULACRA2 of images at each t of TRIED."""
    rows = []
    for image in tqdm(images, unit="image"):
        x = torch.from_numpy(image[:CROP, :CROP]).permute(2, 0, 1)[None].float() / 255
        for t in torch.from_numpy(TRIED).float()[:, None]:
            x_hat = codec(x, t)[0]
            x_hat = (x_hat.clamp(0, 1) * 255).round() / 255
            rows.append(100 - float(perception.ssimulacra2_distance(x, x_hat)))
    return np.array(rows).reshape(len(images), len(TRIED)).mean(0)


def knots_of(scores: NDArray[np.float64]) -> list[float]:
    """Return the t of each tenth quality: where the score is the quality, at least so far apart."""
    rising = np.maximum.accumulate(scores)
    knots = np.interp(100 * QUALITIES, rising, TRIED)
    knots[0], knots[-1] = 0, 1
    for k in range(1, len(knots) - 1):
        highest = 1 - LEAST_STEP * (len(knots) - 1 - k)
        knots[k] = min(max(knots[k], knots[k - 1] + LEAST_STEP), highest)
    return [round(float(knot), 4) for knot in knots]


def main() -> None:
    """Read, code, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    state = checkpoint.load_checkpoint(args.checkpoint)
    codec = Codec(Architecture(**state["arch"])).eval()
    codec.load_state_dict(state["average"])
    images = [image for path in args.images for image in load_images(path, CROP, progress=False)]
    scores = mean_scores(codec, images)
    knots = knots_of(scores)
    checkpoint.save_weights(args.out, state | {"knots": knots})
    print(
        "SSIMULACRA2:", *(f"{t:.2f} {score:.1f}," for t, score in zip(TRIED, scores, strict=True))
    )
    print("t at qualities 0 to 100 by tens:", *knots)


if __name__ == "__main__":
    main()
