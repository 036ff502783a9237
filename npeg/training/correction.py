"""Latents as a decoder gets them: rounded with a dead zone and corrected, as the encoder does it.

Enters: a codec and a batch of images. Leaves: what `npeg.codec` codes of them at its default effort
and the bits of that, both without gradients. Training itself rounds latents as they come, so a
synthesis has not seen what it will be given: it learns that last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import networks
from ..codec import STEP
from .entropy_model import TABLES
from .layers import full_precision
from .model import Codec, anchor_mask, distortion_weight
from .transforms import STRIDE

SURE = 0.0007  # bits of a 0 that is not coded: its probability is above that of export.py


def round_with_dead_zone(residual: Tensor, zero_bits: Tensor, one_bits: Tensor) -> Tensor:
    """Return the symbols of the encoder's first pass; see `networks.Model.thresholds`."""
    saved = one_bits - zero_bits - networks.DEAD_ZONE_FREE_BITS
    threshold = 0.5 + networks.DEAD_ZONE_PER_BIT * saved.clamp(min=0)
    kept = (residual.abs() > threshold) & (zero_bits > SURE)
    return residual.round() * kept


@torch.no_grad()
def corrected(codec: Codec, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return y_hat (B, M, H/16, W/16), as `Codec.g_s` takes it, and the bits of y and z (B,)."""
    y = codec.g_a(x, t)
    z = codec.h_a(y).float()
    gain_z, gain_y = codec.gains.gain_z(t), codec.gains.gain_y(t)
    z_hat, y = (z * gain_z).round(), y * gain_y
    indexes = codec.scale_head(z_hat, codec.gains.multiplier_z(t)) + codec.gains.index_offset_y(t)
    indexes = indexes.clamp(0, TABLES - 1)
    psi, means = codec.mean_head(z_hat / gain_z)
    means = means.float() * gain_y
    anchor = anchor_mask(y).bool()
    zero, one = (codec.mixture(torch.full_like(y, value), indexes) for value in (0.0, 1.0))

    def others(anchors: Tensor) -> Tensor:
        found: Tensor = codec.context(psi, anchors * anchor / gain_y).float() * gain_y
        return torch.where(anchor, means, found)

    symbols = round_with_dead_zone(y - means, zero, one)
    all_means = others(symbols + means)
    symbols = torch.where(anchor, symbols, round_with_dead_zone(y - all_means, zero, one))
    y_hat = symbols + all_means

    error, weight = latent_error(codec, x, codec.g_s(y_hat / gain_y, t).float(), gain_y, t)
    wanted = y_hat + STEP * error
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
    """Return the symbols of the encoder's second pass; see `npeg.codec._cheapest`."""
    magnitude = residual.abs().round()
    smaller = (magnitude - 1).clamp(min=0)
    costs = [
        codec.mixture(m, indexes) + weight * (m - residual.abs()).square()
        for m in (smaller, magnitude)
    ]
    best = torch.where(costs[0] < costs[1], smaller, magnitude)
    return torch.where(zero_bits > SURE, best.copysign(residual), 0.0)


def latent_error(
    codec: Codec, x: Tensor, decoded: Tensor, gain_y: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `export.LatentErrorGraph` does, of a batch."""
    with full_precision(x):
        columns = codec.g_s.shortcut.matrix()[:, :, 0, 0]
        norms = columns.square().sum(0)[:, None, None]
        pixels = (decoded.clamp(0, 1) * 255).round() / 255
        error = F.pixel_unshuffle(x - pixels, STRIDE)
        projected = torch.einsum("pm,bphw->bmhw", columns, error) / norms * gain_y
    return projected, distortion_weight(t)[:, None, None, None] / 3 * norms / gain_y.square()
