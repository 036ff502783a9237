"""Latents as a decoder gets them: rounded with a dead zone and corrected, as the encoder does it.

Enters: a codec and a batch of images. Leaves: what `npeg.codec` codes of them at its default effort
and the bits of that, both without gradients. Training itself rounds latents as they come, so a
synthesis has not seen what it will be given: it learns that last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..encoder_rule import FREE_BITS, Tune, weigh
from .networks.entropy_model import TABLES
from .networks.layers import full_precision
from .networks.model import Codec, anchor_mask, distortion_weight
from .networks.transforms import STRIDE, channel_counts

EDGE = 16.0  # levels: slopes well below mask nothing
BLOCKS = 2.0  # power by which masking counts between blocks, of that within them
SURE = 0.0007  # bits of a 0 that is not coded: its probability is above that of `model_folder`


def round_with_dead_zone(
    residual: Tensor, zero_bits: Tensor, one_bits: Tensor, per_bit: float
) -> Tensor:
    """Return the symbols of the encoder's first pass; see `encoder_rule.thresholds`."""
    threshold = 0.5 + per_bit * (one_bits - zero_bits - FREE_BITS).clamp(min=0)
    kept = (residual.abs() > threshold) & (zero_bits > SURE)
    return residual.round() * kept


@torch.no_grad()
def corrected(codec: Codec, x: Tensor, t: Tensor, tune: Tune) -> tuple[Tensor, Tensor]:
    """Return y_hat (B, M, H/16, W/16), as `Codec.g_s` takes it, and the bits of y and z (B,)."""
    y = codec.g_a(x, t)
    z = codec.h_a(y).float()
    gain_z, gain_y = codec.gains.gain_z(t), codec.gains.gain_y(t)
    z_hat = (z * gain_z).round()
    indexes = codec.scale_head(z_hat, codec.gains.multiplier_z(t)) + codec.gains.index_offset_y(t)
    indexes = indexes.clamp(0, TABLES - 1)
    psi, means, widths = codec.mean_head(z_hat / gain_z)
    gain_y, steps = gain_y * widths, 1 / widths
    y, means = y * gain_y, means.float() * gain_y
    anchor = anchor_mask(y).bool()
    zero, one = (codec.mixture(torch.full_like(y, value), indexes) for value in (0.0, 1.0))

    def others(anchors: Tensor) -> Tensor:
        found: Tensor = codec.context(psi, anchors * anchor / gain_y).float() * gain_y
        return torch.where(anchor, means, found)

    symbols = round_with_dead_zone(y - means, zero, one, tune.dead_zone)
    all_means = others(symbols + means)
    rest = round_with_dead_zone(y - all_means, zero, one, tune.dead_zone)
    symbols = torch.where(anchor, symbols, rest)
    y_hat = symbols + all_means

    decoded = codec.g_s(y_hat / gain_y, t).float()
    error, weight = latent_error(codec, x, decoded, gain_y / widths, t, tune)
    error = error * widths
    weight = weigh(tune, weight, steps)
    wanted = y_hat + error
    symbols = cheapest(codec, wanted - means, indexes, weight, zero)
    all_means = others(symbols + means)
    rest = cheapest(codec, wanted - all_means, indexes, weight, zero)
    symbols = torch.where(anchor, symbols, rest)
    bits = codec.mixture(symbols, indexes).sum((1, 2, 3))
    bits = bits + codec.mixture(z_hat, codec.gains.index_z(t).expand_as(z)).sum((1, 2, 3))
    return (symbols + all_means) / gain_y, bits


def cheapest(
    codec: Codec, residual: Tensor, indexes: Tensor, weight: Tensor, zero_bits: Tensor
) -> Tensor:
    """Return the symbols of the encoder's second pass; see `encoder_rule.cheapest`."""
    magnitude = residual.abs().round()
    smaller = (magnitude - 1).clamp(min=0)
    costs = [
        codec.mixture(m, indexes) + weight * (m - residual.abs()).square()
        for m in (smaller, magnitude)
    ]
    best = torch.where(costs[0] < costs[1], smaller, magnitude)
    return torch.where(zero_bits > SURE, best.copysign(residual), 0.0)


def latent_error(
    codec: Codec, x: Tensor, decoded: Tensor, gain_y: Tensor, t: Tensor, tune: Tune
) -> tuple[Tensor, Tensor]:
    """Return what `export.LatentErrorGraph` does, of a batch."""
    with full_precision(x):
        columns = codec.g_s.shortcut.matrix()[:, :, 0, 0]
        norms = columns.square().sum(0)[:, None, None]
        chroma, masking = torch.tensor([tune.chroma, tune.masking], device=x.device)
        pixels = (decoded.clamp(0, 1) * 255).round() / 255
        within, blocks = visibility(x.mean(1, keepdim=True) * 255, masking)
        within = within.repeat_interleave(2, 2).repeat_interleave(2, 3)
        error = F.pixel_unshuffle((x - pixels) * within, STRIDE)
        projected = torch.einsum("pm,bphw->bmhw", columns, error) / norms * gain_y
    weight = counts(len(norms), chroma) * distortion_weight(t)[:, None, None, None] / 3
    weight = weight * norms / gain_y.square()
    return projected * shares(len(norms), tune).to(x.device), weight * blocks


def shares(latents: int, tune: Tune) -> Tensor:
    """Return by which share of its projected error a latent is corrected, (M, 1, 1)."""
    luma, *_ = channel_counts(latents, STRIDE)
    return torch.where(torch.arange(latents) < luma, *tune.shares)[:, None, None]


def counts(latents: int, chroma: Tensor) -> Tensor:
    """Return how often a latent's error counts, (M, 1, 1): `chroma` times if it is one of chroma.

    Those of chroma's means count chroma^3 times: an area of one colour keeps it.
    """
    luma, first_axis, _ = channel_counts(latents, STRIDE)
    channel = torch.arange(latents, device=chroma.device)[:, None, None]
    means = (channel == luma) | (channel == luma + first_axis)
    found = torch.where(means, chroma**3, chroma)
    return torch.where(channel < luma, torch.ones_like(chroma), found)


def visibility(grey: Tensor, masking: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much an error counts: where all is flat much, amid edges and texture little.

    Args:
        grey: (B, 1, H, W) in levels of 255, sides multiples of 16.
        masking: by how much slopes mask; 0 for not at all.

    Returns:
        (B, 1, H/2, W/2), the share of each 2x2 pixels with mean 1 in blocks of 16x16; (B, 1, H/16,
        W/16), that of the blocks, with geometric mean 1.
    """
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    down = (padded[..., 1:, 1:-1] - padded[..., :-1, 1:-1]).abs()
    right = (padded[..., 1:-1, 1:] - padded[..., 1:-1, :-1]).abs()
    slope = torch.maximum(F.max_pool2d(down, (3, 2), 2), F.max_pool2d(right, (2, 3), 2))
    count = (slope + EDGE) ** -masking
    mean = F.avg_pool2d(count, STRIDE // 2)
    b, _, h, w = mean.shape
    within = count.view(b, h, STRIDE // 2, w, STRIDE // 2) / mean.view(b, h, 1, w, 1)
    blocks = mean / mean.log().mean((2, 3), keepdim=True).exp()
    return within.view(count.shape), blocks**BLOCKS
