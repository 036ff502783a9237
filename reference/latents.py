"""A tile's payloads to its hyper-latents and the symbols of its latents (SPEC.md, section 5)."""

import numpy as np

from entropy import Payload
from model import Model
from sections import Parts

Array = np.ndarray
L_RANKS, M_RANKS = 6, 20


def read(parts: Parts, model: Model, height: int, width: int, level: int) -> tuple[Array, Array]:
    """Return hyper-latents (Z, h/64, w/64) and symbols (M, h/16, w/16) of a tile h x w pixels."""
    shape = (model.hyper_channels, -(-height // 64), -(-width // 64))
    rows, columns = -(-height // 16), -(-width // 16)
    tables_z = np.broadcast_to(model.index_z[level][:, None, None], shape).ravel()
    layered = "H" in parts
    payload = Payload(parts["H" if layered else "T"])
    z_hat = payload.group(model.tables, tables_z, last=layered).reshape(shape)
    indexes = model.indexes(z_hat, level)[:, :rows, :columns]
    symbols = np.zeros(indexes.shape, np.int64)
    coded = indexes >= model.first_coded
    if not layered:
        symbols[coded] = payload.group(model.tables, indexes[coded], last=True)
        return z_hat, symbols
    for kind, channels in layers(len(symbols), parts).items():
        chosen = coded & channels[:, None, None]
        payload = Payload(parts[kind])
        symbols[chosen] = payload.group(model.tables, indexes[chosen], last=True)
    return z_hat, symbols


def layers(channels: int, parts: Parts) -> dict[str, Array]:
    """Return which channels each layer of a tile has, (M,) of bool by type."""
    rank, left = ranks(channels), np.ones(channels, bool)
    found = {}
    for kind, below in (("L", L_RANKS), ("M", M_RANKS), ("T", channels)):
        if kind in parts:
            found[kind] = left & (rank < below)
            left &= ~found[kind]
    return found


def ranks(channels: int) -> Array:
    """Return the rank of each channel by frequency, 0 the lowest."""
    luma = min(5 * channels // 8, 256)
    first = -(-(channels - luma) // 2)
    axes = [luma, first, channels - luma - first]
    places = [place / size for size in axes for place in range(size)]
    order = sorted(range(channels), key=lambda channel: (places[channel], channel))
    return np.argsort(order)
