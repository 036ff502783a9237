"""Compare rules of the encoder by what the visual tune minimises: rate and what is seen.

python visual_rule.py CHECKPOINT VALIDATION_IMAGES... > visual-rule.tsv

Writes one row a rule: its loss as in training, mean over crops and qualities, and at each quality
the bits per pixel and SSIMULACRA2. The first row rounds latents as they come. In the others dead
zone, shares of the projected error that luma and chroma are corrected by, masking, weight of errors
and whether they count in symbols are those of `npeg.encoder_rule.Tune`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from npeg.encoder_rule import TUNES, Tune
from npeg.training import perception
from npeg.training.checkpoint import load_checkpoint
from npeg.training.correction import corrected
from npeg.training.data import load_images
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture
from npeg.training.rate_distortion import sample_losses

CROP = 384
QUALITIES = (0.25, 0.6)
NAMES = ("dead_zone", "luma_share", "chroma_share", "masking", "weight", "by_symbol")
RULES = (
    (0.03, 1.05, 1.2, 0.0, 1.0, False),  # tune psnr
    (0.01, 1.05, 1.2, 0.0, 1.0, False),
    (0.01, 1.05, 1.2, 0.0, 1.0, True),
    (0.01, 0.0, 0.0, 0.25, 1.5, True),
    (0.01, 0.5, 1.0, 0.25, 1.5, True),
    (0.01, 0.8, 1.2, 0.25, 2.0, True),
    (0.01, 0.5, 1.0, 0.5, 1.5, True),
    (0.01, 0.5, 1.0, 0.25, 2.0, True),
)
Code = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Image and quality to reconstruction and bits."""


def by_rule(codec: Codec, rule: tuple[Any, ...]) -> Code:
    """Return what codes by a rule."""
    dead_zone, luma, chroma, masking, weight, by_symbol = rule
    model_id = TUNES["visual"].model_id
    tune = Tune(model_id, dead_zone, (luma, chroma), 1.3, masking, weight, by_symbol)

    def code(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        y_hat, bits = corrected(codec, x, t, tune)
        return codec.g_s(y_hat, t), bits

    return code


@torch.no_grad()
def row(code: Code, crops: list[Tensor]) -> list[float]:
    """Return the loss, and bits per pixel and SSIMULACRA2 at each quality."""
    found = []
    for x in tqdm(crops, leave=False):
        for t in torch.tensor(QUALITIES)[:, None]:
            x_hat, bits = code(x, t)
            x_hat = (x_hat.clamp(0, 1) * 255).round() / 255
            loss, rate, _ = sample_losses(x, x_hat, bits, t, tune="visual")
            seen = 100 - perception.ssimulacra2_distance(x, x_hat)
            found.append([float(loss), float(rate), float(seen)])
    means = np.array(found).reshape(len(crops), len(QUALITIES), 3).mean(0)
    return [float(means[:, 0].mean()), *means[:, 1:].ravel().tolist()]


def main(checkpoint: Path, *folders: Path) -> None:
    """Write the table to standard output."""
    state = load_checkpoint(checkpoint)
    codec = Codec(Architecture(**state["arch"])).eval()
    codec.load_state_dict(state["average"])
    images = [image for folder in folders for image in load_images(folder, 512, progress=False)]
    middle = slice((512 - CROP) // 2, (512 + CROP) // 2)
    crops = [torch.from_numpy(i[middle, middle]).permute(2, 0, 1)[None] / 255 for i in images]
    seen = [f"{name}@{t}" for t in QUALITIES for name in ("bpp", "ssimulacra2")]
    print(*NAMES, "loss", *seen, sep="\t")
    codes: list[tuple[tuple[Any, ...], Code]] = [(("-",) * len(NAMES), codec)]
    codes += [(rule, by_rule(codec, rule)) for rule in RULES]
    for rule, code in codes:
        print(*rule, *(f"{value:.4f}" for value in row(code, crops)), sep="\t", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
