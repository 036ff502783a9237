"""The latents of one tile: to symbols and bytes, and back. The two ways face each other.

Enters: y and z of the analysis, or the payloads of a tile. Leaves: these, or y_hat.

    encoder                        decoder
    quantise: y, z to symbols      dequantise: symbols to y_hat
    correct: symbols chosen anew
    code: symbols to payloads      read: payloads to symbols

Symbols follow the hyper-latents alone: their probability tables come from integers, so every
decoder reads the same symbols. Means come from float networks and are only added, so machines
may differ by a rounding of a pixel, never more.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import entropy
from .encoder_rule import Tune, cheapest, round_to_symbols, thresholds, weigh
from .networks import Model
from .sections import HYPER, LOW, MIDDLE, TILE, Parts, size_bytes
from .tiles import crop

MAX_SYMBOL = entropy.MAX_MAGNITUDE
LAYERS = {LOW: 6, MIDDLE: 20, TILE: 1 << 16}  # how many channels are there with each
LAYERED = 4096  # bytes of a tile from which layers make it at most 1 % larger

Float = NDArray[np.float32]
Indexes = NDArray[np.uint8]
Group = tuple[NDArray[np.int32], NDArray[np.int32] | Indexes]  # symbols and their tables, flat


@dataclass(frozen=True)
class Quantised:
    """A tile in the encoder: what is coded of it, and what its symbols follow from."""

    z_hat: Float  # (Z, h/4, w/4)
    indexes: Indexes  # tables of the latents, (M, h, w)
    psi: Float  # features of the hyper-latents, (1, C, h, w)
    steps: Float  # what a symbol is worth, (M, h, w) or (1, 1, 1)
    means: Float  # of the anchors, (M, h, w)
    symbols: Float  # (M, h, w)
    y_hat: Float  # (M, h, w)


def quantise(model: Model, y: Float, z: Float, level: int, tune: Tune) -> Quantised:
    """Quantise a tile's y (M, h, w) and z (Z, h/4, w/4): anchors first, then the rest."""
    z_hat = np.clip(np.rint(z), -MAX_SYMBOL, MAX_SYMBOL)
    indexes = crop(model.scale_indexes(z_hat, level), y.shape[1:])
    limits = thresholds(model, tune)[indexes]
    anchor = _checkerboard(y.shape[1:])
    psi, means, steps = _anchor_means(model, z_hat, level, y.shape[1:])
    symbols = round_to_symbols((y - means) / steps, limits) * anchor
    anchors = (symbols * steps + means) * anchor
    new = model.context_means(psi, anchors, level)
    others = round_to_symbols((y - new) / steps, limits) * ~anchor
    y_hat = np.where(anchor, anchors, others * steps + new)
    return Quantised(z_hat, indexes, psi, steps, means, symbols + others, y_hat)


def correct(
    model: Model, tile: Quantised, estimates: tuple[Float, Float], level: int, tune: Tune
) -> Quantised:
    """Choose the symbols anew by rate and distortion, around latents without their error (RDOQ).

    `estimates` are by how much the latents are off and what that weighs, `Model.latent_error`.
    """
    error, weight = estimates
    wanted, steps = tile.y_hat + error, tile.steps
    weight = weigh(tune, weight, steps)
    anchor = _checkerboard(wanted.shape[1:])
    symbols = cheapest(model, (wanted - tile.means) / steps, tile.indexes, weight) * anchor
    anchors = (symbols * steps + tile.means) * anchor
    means = model.context_means(tile.psi, anchors, level)
    others = cheapest(model, (wanted - means) / steps, tile.indexes, weight) * ~anchor
    y_hat = np.where(anchor, anchors, others * steps + means)
    return replace(tile, symbols=symbols + others, y_hat=y_hat)


def dequantise(model: Model, z_hat: Float, symbols: Float, level: int) -> Float:
    """Return y_hat (M, h, w) of symbols (M, h, w): anchors first, then the rest."""
    anchor = _checkerboard(symbols.shape[1:])
    psi, means, steps = _anchor_means(model, z_hat, level, symbols.shape[1:])
    y_hat = symbols * steps
    means += y_hat  # in place: new arrays of this size take longer to come by than to fill
    means *= anchor
    y_hat += model.context_means(psi, means, level)
    np.copyto(y_hat, means, where=anchor)
    return y_hat


def code(model: Model, tile: Quantised, level: int) -> Parts:
    """Return the payloads of a tile: layers, or one where they would make it much larger."""
    hyper, coded = hyper_group(model, tile.z_hat, level), tile.indexes >= model.first_coded
    channels = {HYPER: hyper} | {
        kind: _group(tile, coded & part[:, None, None]) for kind, part in _layers(model, LAYERS)
    }
    parts = {kind: entropy.encode([group], model.tables) for kind, group in channels.items()}
    if size_bytes(parts) >= LAYERED:
        return parts
    return {TILE: entropy.encode([hyper, _group(tile, coded)], model.tables)}


def read(
    model: Model, parts: Parts, shape: tuple[int, int], level: int
) -> tuple[Float, Float, Indexes]:
    """Entropy-decode a tile of so many latents (h, w): exact, whatever the machine.

    Symbols of layers that are not there are 0.

    Returns:
        z_hat (Z, h/4, w/4), the latents' symbols (M, h, w) and their table indexes (M, h, w).

    Raises:
        FormatError: the payloads do not hold these symbols.
    """
    h, w = shape
    layered = HYPER in parts
    decoder = entropy.Decoder(parts[HYPER if layered else TILE], model.tables)
    shape_z = (model.hyper_latents, -(-h // 4), -(-w // 4))
    index_z = _index_z(model, shape_z, level)
    z_hat = decoder.decode(index_z, last=layered).reshape(shape_z).astype(np.float32)
    indexes = np.ascontiguousarray(crop(model.scale_indexes(z_hat, level), shape))
    coded = indexes >= model.first_coded
    symbols = np.zeros(indexes.shape, np.float32)
    for kind, channels in _layers(model, parts):
        if layered:
            decoder = entropy.Decoder(parts[kind], model.tables)
        places = np.flatnonzero(coded & channels[:, None, None])
        symbols.ravel()[places] = decoder.decode(indexes.ravel()[places], last=True)
    return z_hat, symbols, indexes


def _group(tile: Quantised, coded: NDArray[np.bool_]) -> Group:
    """Return the latents that are coded and their table indexes, flat."""
    return tile.symbols[coded].astype(np.int32), tile.indexes[coded]


def _layers(model: Model, kinds: Iterable[bytes]) -> Iterator[tuple[bytes, NDArray[np.bool_]]]:
    """Yield the layers of latents that are among `kinds`, each with its channels, (M,).

    Each holds what those before it have left, of the channels of low frequencies alone but the
    last.
    """
    left = np.ones(model.latents, np.bool_)
    for kind in LAYERS:
        if kind in kinds:
            channels = left & (model.frequency_ranks < LAYERS[kind])
            yield kind, channels
            left &= ~channels


def hyper_group(model: Model, z_hat: Float, level: int) -> Group:
    """Return the hyper-latents and their table indexes, flat."""
    return z_hat.astype(np.int32).ravel(), _index_z(model, z_hat.shape, level)


def _anchor_means(
    model: Model, z_hat: Float, level: int, shape: tuple[int, ...]
) -> tuple[Float, Float, Float]:
    """Return psi, the anchors' means and the steps, cut to the latents' size."""
    psi, means, steps = model.anchor_means(z_hat, level)
    return crop(psi, shape), crop(means, shape), crop(steps, shape)


def _checkerboard(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the anchors are, (h, w): row + column is even."""
    i, j = np.indices(shape, sparse=True)
    return (i + j) % 2 == 0


def _index_z(model: Model, shape: tuple[int, ...], level: int) -> NDArray[np.int32]:
    """Return the table index of every hyper-latent, flat: one a channel."""
    return np.repeat(model.index_z(level), shape[1] * shape[2])
