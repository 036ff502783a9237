"""Give a trained network an adaptive filter behind its synthesis, fitted alone.

python -m npeg.training.steps.fit_filter CHECKPOINT IMAGES OUT.safetensors --kernels 3

Blocks of coded training images are gathered once; the filter then learns from them in a minute or
two, as nothing before it changes. Train what comes out with `npeg train --resume`.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from npeg.training import checkpoint
from npeg.training.data import draw_batch, load_images
from npeg.training.networks import layout
from npeg.training.networks.adaptive_filter import AREA, PATCH, TAPS, AdaptiveFilter, convolve
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture

CROP, DOWNSCALE = 256, 2.0
QUALITIES = 8  # of each crop
SAMPLED = 300  # blocks of a crop and quality
MSE_EXPONENT = -0.75  # an image's weight, by its error: between equal errors and equal decibels
BATCH, RATE = 2048, 1e-2

Samples = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Of N blocks: activity (N, 4), what taps give (N, taps, 16), errors (N, 16), t, weights (N,)."""


@torch.no_grad()
def gather(codec: Codec, adaptive: AdaptiveFilter, images: Path, crops: int) -> Samples:
    """Code crops, each of another image, and return blocks of them."""
    pixels = load_images(images, CROP, most=crops)
    generator = torch.Generator().manual_seed(0)
    rows = []
    spread = adaptive.kernels.spread
    assert isinstance(spread, Tensor)
    for number, image in enumerate(tqdm(pixels, desc="coding", unit="crop")):
        t = (torch.arange(QUALITIES) + torch.rand(QUALITIES, generator=generator)) / QUALITIES
        x, _ = draw_batch([image], CROP, 1, seed=0, step=number, max_downscale=DOWNSCALE)
        x = x.expand(QUALITIES, -1, -1, -1)
        x_hat, _ = codec(x, t)
        luma, error = (
            adaptive.blocks_of_luma(layout.unshuffle(values, PATCH))
            for values in (x_hat, x - x_hat)
        )
        by_tap = convolve(luma, spread).view(QUALITIES, len(TAPS), AREA, -1)
        activity = adaptive.activity(luma).flatten(2)
        for k in range(QUALITIES):
            some = torch.randperm(by_tap.shape[-1], generator=generator)[:SAMPLED]
            weight = error[k].square().mean() ** MSE_EXPONENT
            row = (
                activity[k][:, some].T,
                by_tap[k][..., some].permute(2, 0, 1),
                error[k].flatten(1)[:, some].T,
                t[k].expand(SAMPLED),
                weight.expand(SAMPLED),
            )
            rows.append([values.clone() for values in row])
    activity, by_tap, error, t, weight = (torch.cat(column) for column in zip(*rows, strict=True))
    return activity, by_tap, error, t, weight / (weight[:, None] * error.square()).mean()


def fit(adaptive: AdaptiveFilter, samples: Samples, steps: int) -> None:
    """Descend the weighted error that is left, by Adam with a rate falling to 0."""
    activity, by_tap, error, t, weight = samples
    optimizer = torch.optim.Adam(adaptive.parameters(), betas=(0.9, 0.99))
    bar = tqdm(range(steps), desc="fitting", unit="step")
    left = 0.0
    for step in bar:
        some = torch.randint(len(t), (BATCH,))
        mixed = adaptive.weights(activity[some][:, :, None, None], t[some])[:, :, 0, 0]
        added = torch.einsum("bk,kt,bto->bo", mixed, adaptive.kernels.taps, by_tap[some])
        loss = (weight[some, None] * (error[some] - added).square()).mean()
        torch.autograd.backward(loss)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, (steps - step) / (0.7 * steps))
        optimizer.step()
        optimizer.zero_grad()
        left += (float(loss) - left) / min(step + 1, 500)
        if step % 100 == 0:
            bar.set_postfix_str(f"error left {left:.4f}")
    print(f"the weighted error of luma is {left:.4f} of what it was")


def main() -> None:
    """Read, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kernels", type=int, default=3)
    parser.add_argument("--crops", type=int, default=300)
    parser.add_argument("--steps", type=int, default=12_000)
    args = parser.parse_args()
    torch.manual_seed(0)
    state = checkpoint.load_checkpoint(args.checkpoint)
    old = Architecture(**state["arch"])
    codec = Codec(replace(old, filter_kernels=0)).eval()
    weights = {k: v for k, v in state["average"].items() if not k.startswith("g_s.filter.")}
    codec.load_state_dict(weights)
    whole = Codec(replace(old, filter_kernels=args.kernels))
    whole.load_state_dict(weights, strict=False)
    adaptive = whole.g_s.filter
    assert adaptive is not None
    torch.nn.init.normal_(adaptive.first.weight, std=0.5)  # kinks where activities are
    assert adaptive.first.bias is not None
    torch.nn.init.normal_(adaptive.first.bias)
    torch.nn.init.normal_(adaptive.second.weight, std=0.01)
    fit(adaptive, gather(codec, adaptive, args.images, args.crops), args.steps)
    about = {"arch": asdict(whole.arch), "average": whole.state_dict()}
    checkpoint.save_weights(args.out, state | about)


if __name__ == "__main__":
    main()
