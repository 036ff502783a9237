"""Where the bits of a file go: how many are of each block of 16x16 pixels. As codec/bits.js.

Enters: a file. Leaves: bits, from the probabilities that the decoder reads symbols by. Exact tiles
and alpha adapt to what is read, so that theirs are spread over the tile evenly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import container, entropy, latents, networks, residual, sections
from ..container import Header
from ..residual_order import TABLES
from ..sections import ALPHA, EXACT, RESIDUAL, TILE, Parts
from ..tiles import HYPER, LATENT, Tile, tiles_of

Map = NDArray[np.float64]
SIDE = HYPER // LATENT  # blocks that a hyper-latent covers in each direction


def bits_of(data: bytes) -> Map:
    """Return how many bits of a file are of each block, (H/16, W/16).

    Raises:
        FormatError: the bytes are not a valid file.
    """
    header, parts = container.read_tiles(data)
    found = np.zeros((-(-header.height // LATENT), -(-header.width // LATENT)))
    for tile, payloads in zip(tiles_of(header), parts, strict=True):
        h, w = tile.latent_shape()
        top, left = tile.top // LATENT, tile.left // LATENT
        found[top : top + h, left : left + w] = _of_tile(payloads, tile, header)
    return found


def _of_tile(parts: Parts, tile: Tile, header: Header) -> Map:
    shape = tile.latent_shape()
    spread = 8 * sum(len(parts.get(kind, b"")) for kind in (ALPHA, EXACT))
    found = np.full(shape, spread / (shape[0] * shape[1]))
    alone = sections.HYPER not in parts and not parts.get(TILE)
    if not alone and EXACT not in parts:
        found += _of_latents(parts, shape, header)
    if RESIDUAL in parts:
        found += _of_residual(parts[RESIDUAL], tile, header, alone)
    return found


def _costs(tables: entropy.Tables, symbols: NDArray[Any], indexes: NDArray[Any]) -> Map:
    """Return the bits of symbols under their tables, of one shape."""
    tokens = entropy.TOKEN_OF_MAGNITUDE[np.abs(symbols).astype(np.int64)]
    return np.asarray(tables.token_bits[indexes, tokens])


def _of_latents(parts: Parts, shape: tuple[int, int], header: Header) -> Map:
    """Return what latents and hyper-latents take; these are shared out among their blocks."""
    model, level = networks.load(header.model_id), header.networks_level
    z_hat, symbols, indexes = latents.read(model, parts, shape, level)
    coded = indexes >= model.first_coded
    found = np.where(coded, _costs(model.tables, symbols, indexes), 0).sum(axis=0)
    hyper = _costs(model.tables, *latents.hyper_group(model, z_hat, level)).reshape(z_hat.shape)
    high, wide = (np.arange(side) // SIDE for side in shape)
    shared = np.outer(np.bincount(high), np.bincount(wide))
    return found + (hyper.sum(axis=0) / shared)[np.ix_(high, wide)]


def _of_residual(payload: bytes, tile: Tile, header: Header, alone: bool) -> Map:
    """Return what a residual takes."""
    sides = tile.bottom - tile.top, tile.right - tile.left
    known = residual.unpack(payload, *sides, header.planes, alone=alone)
    symbols = residual.coded_symbols(known)
    h, w = symbols.shape[3:]
    blocks = np.zeros(h * w)
    groups = residual.grouped(symbols)
    shifts = residual.best_shifts(groups, len(symbols))
    for (plane, u, v, places, index), found in groups:
        moved = (index + shifts[plane, u[0] + v[0]]).clip(0, TABLES - 1)
        blocks[places] += _costs(residual.tables(), found, moved).sum(axis=0)
    padded = np.zeros((h + h % 2, w + w % 2))
    padded[:h, :w] = blocks.reshape(h, w)
    return np.asarray(padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2])
