"""Payloads of tiles to pixels; `encoder` faces it.

Enters: the header of a file and what is in the sections of its tiles. Leaves: pixels, (H, W) grey,
(H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4); uint8 or uint16, as is asked for: those
of a deep file are made in 16 bits, and then cut to 8.

    read, read_arrived: what the sections of one tile say, all of them or some
        latents.read, dequantise: payloads to latents
        residual.unpack: what the networks left
        exact.decode: pixels as they were
        transparency.decode: alpha
    assemble, paste: tiles to an image, one after another
        tiles.with_pixels, from_networks: latents to pixels
        residual.add: what they left
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from . import depth, exact, latents, networks, progress, residual, tiles, transparency
from .arrays import Levels, Samples
from .container import Header
from .errors import FormatError
from .residual import GREY, Residual
from .sections import ALPHA, EXACT, HYPER, RESIDUAL, TILE, Parts
from .tiles import Float, Tile, tiles_of


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
    planes: Samples | None = None
    residual: Residual | None = None
    alpha: Samples | None = None


def read(parts: Parts, tile: Tile, header: Header) -> Decoded:
    """Return what the payloads of a tile say.

    Raises:
        FormatError: one holds nothing of its kind, or they do not go together.
    """
    sides = tile.bottom - tile.top, tile.right - tile.left
    alpha = transparency.decode(parts[ALPHA], *sides, header.deep) if header.alpha else None
    if EXACT in parts:
        samples = exact.decode(parts[EXACT], *sides, header.planes, header.bit_depth)
        pixels = depth.widened(samples, header.bit_depth)
        return Decoded(planes=pixels.reshape(*sides, header.planes), alpha=alpha)
    networks.load(header.model)  # an unknown model is refused, whatever the payload
    y_hat, behind = read_latents(parts, tile, header), None
    if y_hat is None and RESIDUAL not in parts:
        raise FormatError("tile has an empty payload and no residual")
    if RESIDUAL in parts:
        behind = residual.unpack(parts[RESIDUAL], *sides, header.planes, alone=y_hat is None)
    return Decoded(y_hat, residual=behind, alpha=alpha)


def read_arrived(parts: Parts, tile: Tile, header: Header) -> Decoded:
    """Return what is known of a tile of which some sections may be missing.

    The means of the networks stand for latents, opaqueness for alpha; what nothing is known of is
    grey.

    Raises:
        FormatError: a payload holds nothing of its kind.
    """
    sides = tile.bottom - tile.top, tile.right - tile.left
    if header.alpha and ALPHA not in parts:
        opaque = (
            np.full(sides, depth.FULL, np.uint16) if header.deep else np.full(sides, 255, np.uint8)
        )
        found = read_arrived(parts, tile, replace(header, alpha=False))
        return replace(found, alpha=opaque)
    if EXACT in parts or RESIDUAL in parts or parts.get(TILE):
        return read(parts, tile, header)
    y_hat = read_latents(parts, tile, header)
    grey = np.full((*sides, header.planes), GREY, np.uint8) if y_hat is None else None
    alpha = transparency.decode(parts[ALPHA], *sides, header.deep) if header.alpha else None
    return Decoded(y_hat, grey, alpha=alpha)


def read_latents(parts: Parts, tile: Tile, header: Header) -> Float | None:
    """Return the latents of a tile, (M, h, w); None where it has none.

    Raises:
        FormatError: the payloads do not hold them, or need a model that is not there.
    """
    if HYPER not in parts and not parts.get(TILE):
        return None
    model, level = networks.load(header.model), header.networks_level
    z_hat, symbols, _ = latents.read(model, parts, tile.latent_shape(), level)
    return latents.dequantise(model, z_hat, symbols, level)


def assemble(decoded: Iterable[Decoded], header: Header, deep: bool) -> Samples:
    """Return the image that tiles make, in the file's channels: uint16 if `deep`, else uint8.

    Tiles are taken one after another, and no more than two rows of them are kept.
    """
    found: Samples | None = None
    whole = Tile(0, header.height, 0, header.width)
    places = tiles_of(header)
    fine = deep or header.deep
    for tile, known in tiles.with_pixels(decoded, lambda tile: tile.y_hat, header, fine=fine):
        found = empty(whole, header, deep) if found is None else found
        paste(found, whole, next(places), tile, known, header)
        progress.step(header.tiles)
    assert found is not None
    return found


def empty(window: Tile, header: Header, deep: bool) -> Samples:
    """Return an array for the pixels of a window, in the file's channels."""
    sides = window.bottom - window.top, window.right - window.left
    channels = header.channels + header.alpha
    dtype = np.uint16 if deep else np.uint8
    return np.empty(sides if channels == 1 else (*sides, channels), dtype)


def paste(
    found: Samples,
    window: Tile,
    place: Tile,
    tile: Decoded,
    known: Callable[[], Levels],
    header: Header,
) -> None:
    """Put the part of a tile that is in a window into its array, in the file's channels."""
    shared = place.shared(window)
    if shared is None:
        return
    stack = found[..., None] if found.ndim == 2 else found
    part = stack[shared.within(window)]
    wide = found.dtype == np.uint16 or header.deep
    colours = _planes(place, tile, known, header, wide)[shared.within(place)]
    part[..., : header.channels] = depth.as_type(colours, found.dtype)
    if tile.alpha is not None:
        part[..., -1] = depth.as_type(tile.alpha[shared.within(place)], found.dtype)


def _planes(
    place: Tile, tile: Decoded, known: Callable[[], Levels], header: Header, wide: bool
) -> Samples:
    """Return the colours of a tile, (H, W, C), C = 1 or 3, where not exact uint16 if `wide`."""
    if tile.planes is not None:
        return tile.planes
    levels: Levels
    if tile.y_hat is None:
        sides = place.bottom - place.top, place.right - place.left
        levels = np.empty((*sides, header.planes), np.uint8)
    else:
        rgb = known()
        if tile.residual is not None and not header.deep:
            rgb = depth.rounded(rgb)  # that is what the residual was a difference to
        levels = from_networks(rgb, header)
    if tile.residual is not None:
        levels = residual.add(levels, tile.residual)
    return depth.from_levels(levels) if wide else depth.rounded(levels)


def from_networks(rgb: Levels, header: Header) -> Levels:
    """Return what the networks make, (H, W, 3), in the planes of a file, (H, W, C), C = 1 or 3."""
    if header.planes == 3:
        return rgb
    if rgb.dtype != np.uint8:
        return rgb.mean(axis=2, keepdims=True)
    return ((rgb.astype(np.uint16).sum(axis=2, keepdims=True) + 1) // 3).astype(np.uint8)
