"""Fit what a unit of each measure is worth in bits per pixel, by a trained codec's own curve.

python recipes/slopes.py CHECKPOINT IMAGES...

Codes validation images at many qualities. Along the curve that results rate and distortion trade
at lambda(t) = -(dR/dt) / (dD/dt), by central differences of means over all images; printed are the
coefficients of exp(a + b t + c t^2) fitted to it (npeg/training/perception.py), and, as a check,
the lmbda * 255^2 that mean squared error gets by it beside the one that the codec was trained by.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from npeg.training import checkpoint, perception
from npeg.training.data import load_images
from npeg.training.networks.model import Codec, distortion_weight
from npeg.training.networks.transforms import Architecture

QUALITIES = np.linspace(0, 1, 11)
CROP = 512


@torch.no_grad()
def curves(codec: Codec, folders: list[Path]) -> np.ndarray:
    """Return the mean rate, MSE, SSIMULACRA2 and MS-SSIM distance at QUALITIES, (11, 4)."""
    rows = []
    images = [image for folder in folders for image in load_images(folder, CROP, progress=False)]
    for image in tqdm(images, unit="image"):
        x = torch.from_numpy(image[:CROP, :CROP]).permute(2, 0, 1)[None].float() / 255
        for t in torch.tensor(QUALITIES).float()[:, None]:
            x_hat, bits = codec(x, t)
            x_hat = (x_hat.clamp(0, 1) * 255).round() / 255
            distances = perception.ssimulacra2_distance, perception.ms_ssim_distance
            seen = [float(distance(x, x_hat)) for distance in distances]
            rows.append([float(bits) / CROP**2, float((x_hat - x).square().mean()), *seen])
    return np.array(rows).reshape(len(images), len(QUALITIES), 4).mean(0)


def main() -> None:
    """Read, code, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    args = parser.parse_args()
    state = checkpoint.load_checkpoint(args.checkpoint)
    codec = Codec(Architecture(**state["arch"])).eval()
    codec.load_state_dict(state["average"])
    found = curves(codec, args.images)
    change = found[2:] - found[:-2]
    t = QUALITIES[1:-1]
    for column, name in enumerate(("MSE", "SSIMULACRA2", "MS-SSIM"), 1):
        slope = np.log(-change[:, 0] / change[:, column])
        c, b, a = np.polyfit(t, slope, 2)
        print(f"{name}: exp({a:.2f} + {b:.2f} t + {c:.2f} t^2)")
        if name == "MSE":
            trained = distortion_weight(torch.tensor(t)).numpy()
            print("  of what it was trained by:", np.round(np.exp(slope) / trained, 2))


if __name__ == "__main__":
    main()
