"""Payloads of tiles to pixels; `encoder` faces it.

Enters: the header of a file and what is in the sections of its tiles. Leaves: uint8 pixels, (H, W)
grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4).

    read: what the sections of one tile say
        latents.read, dequantise: payloads to latents
        residual.unpack: what the networks left
        exact.decode: pixels as they were
        transparency.decode: alpha
    assemble: tiles to an image
        from_networks: latents to pixels, by tiles.synthesise
        residual.add: what they left
        transparency.join: alpha beside the colours
"""

from dataclasses import dataclass

import numpy as np

from . import exact, latents, networks, residual, tiles, transparency
from .container import ALPHA, EXACT, RESIDUAL, TILE, Header, Parts
from .errors import FormatError
from .networks import Model
from .residual import Residual
from .tiles import Float, Pixels, Tile, tiles_of


@dataclass(frozen=True)
class Decoded:
    """What is known of a tile before any pixel of it is: its latents or not, ..., its alpha.

    Attributes:
        y_hat: latents, (M, h, w).
        planes: the pixels, (H, W, C), of an exact tile.
        residual: what is added to what the networks make of the latents, if there are any.
        alpha: (H, W).
    """

    y_hat: Float | None = None
    planes: Pixels | None = None
    residual: Residual | None = None
    alpha: Pixels | None = None


def read(parts: Parts, tile: Tile, header: Header) -> Decoded:
    """Return what the payloads of a tile say.

    Raises:
        FormatError: one holds nothing of its kind, or they do not go together.
    """
    sides = tile.bottom - tile.top, tile.right - tile.left
    alpha = transparency.decode(parts[ALPHA], *sides) if header.alpha else None
    if EXACT in parts:
        pixels = exact.decode(parts[EXACT], *sides, header.planes)
        return Decoded(planes=pixels.reshape(*sides, header.planes), alpha=alpha)
    model, level = networks.load(header.model_id), header.networks_level
    y_hat, behind = None, None
    if parts[TILE]:
        z_hat, symbols, _ = latents.read(model, parts[TILE], tile.latent_shape(), level)
        y_hat = latents.dequantise(model, z_hat, symbols, level)
    elif RESIDUAL not in parts:
        raise FormatError("tile has an empty payload and no residual")
    if RESIDUAL in parts:
        behind = residual.unpack(parts[RESIDUAL], *sides, header.planes, alone=not parts[TILE])
    return Decoded(y_hat, residual=behind, alpha=alpha)


def assemble(decoded: list[Decoded], header: Header) -> Pixels:
    """Return the image that tiles make, in the file's channels."""
    planes = from_networks([tile.y_hat for tile in decoded], header)
    alpha = np.empty(planes.shape[:2], np.uint8) if header.alpha else None
    for place, tile in zip(tiles_of(header), decoded, strict=True):
        if tile.planes is not None:
            planes[place.pixels] = tile.planes
        if tile.residual is not None:
            planes[place.pixels] = residual.add(planes[place.pixels], tile.residual)
        if alpha is not None and tile.alpha is not None:
            alpha[place.pixels] = tile.alpha
    return transparency.join(_to_channels(planes, header), alpha)


def from_networks(
    y_hats: list[Float | None], header: Header, model: Model | None = None
) -> Pixels:
    """Return what the networks make of the latents of each tile, (H, W, C), C = 1 or 3.

    What they make of a tile without latents is of no account. The model is the header's unless
    another is given.
    """
    if all(y_hat is None for y_hat in y_hats):
        return np.empty((header.height, header.width, header.planes), np.uint8)
    model = model or networks.load(header.model_id)
    every = [
        np.zeros((model.latents, *place.latent_shape()), np.float32) if y_hat is None else y_hat
        for place, y_hat in zip(tiles_of(header), y_hats, strict=True)
    ]
    rgb = tiles.synthesise(model, every, header)
    if header.planes == 3:
        return rgb
    return ((rgb.astype(np.uint16).sum(axis=2, keepdims=True) + 1) // 3).astype(np.uint8)


def _to_channels(planes: Pixels, header: Header) -> Pixels:
    """Return planes (H, W, C) in the file's channels of colour."""
    if header.neutral:
        return np.repeat(planes, 3, axis=2)
    return planes if header.channels == 3 else planes[..., 0]
