"""Rectangles of an image that are coded on their own, and networks run tile by tile.

Enters: the size of an image, its pixels, or latents. Leaves: tiles, latents, pixels.
Knows how far the transforms see, but no symbols and no bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .container import MAX_TILE_UNITS, Header
from .networks import Model

LATENT = 16  # pixels a latent covers in each direction
HYPER = 64  # pixels a hyper-latent covers
HALO = 64  # pixels around a tile that the analysis sees
REACH = 80  # pixels around a part of the picture that can change it in the synthesis
AT_ONCE = 3 << 19  # pixels up to which the synthesis runs on the whole picture, without halos
TILE = 1024  # side of the tiles of larger pictures

T = TypeVar("T", bound=np.generic)
Pixels = NDArray[np.uint8]
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image in pixels: rows top..bottom, columns left..right."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def pixels(self) -> tuple[slice, slice]:
        """What to index an image by for the tile's pixels."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def latent_shape(self) -> tuple[int, int]:
        """Return how many latents cover the tile, (h, w)."""
        return -(-(self.bottom - self.top) // LATENT), -(-(self.right - self.left) // LATENT)


def tiles_of(header: Header) -> Iterator[Tile]:
    """Yield the tiles of an image in raster order."""
    size = header.tile_size
    for top in range(0, header.height, size):
        for left in range(0, header.width, size):
            bottom, right = min(top + size, header.height), min(left + size, header.width)
            yield Tile(top, bottom, left, right)


def usual_side(height: int, width: int) -> int:
    """Return the side of the tiles of an image for which none is asked."""
    side = -(-max(height, width) // HYPER) * HYPER
    at_once = height * width <= AT_ONCE and side <= MAX_TILE_UNITS * HYPER
    return max(TILE, side) if at_once else TILE


def analyse(model: Model, rgb: Pixels, tile: Tile, level: int) -> tuple[Float, Float]:
    """Run the analysis on a tile and a halo around it; return y and z of the tile alone."""
    height, width = rgb.shape[:2]
    top, left = max(tile.top - HALO, 0), max(tile.left - HALO, 0)
    bottom, right = min(tile.bottom + HALO, height), min(tile.right + HALO, width)
    y, z = model.analysis(pad(rgb[top:bottom, left:right], HYPER), level)
    h, w = tile.latent_shape()
    y0, x0 = (tile.top - top) // LATENT, (tile.left - left) // LATENT
    z0, u0 = (tile.top - top) // HYPER, (tile.left - left) // HYPER
    return y[:, y0 : y0 + h, x0 : x0 + w], z[:, z0 : z0 + -(-h // 4), u0 : u0 + -(-w // 4)]


def synthesise(model: Model, latents: list[Float], header: Header) -> Pixels:
    """Run the synthesis at once or tile by tile, each with its neighbours' latents: no seams.

    Args:
        model: whose synthesis it is.
        latents: those of each tile, (M, h, w), in raster order.
        header: of the file.

    Returns:
        uint8, (H, W, 3).
    """
    y_hat, tiles = _joined(latents, header), tiles_of(header)
    if header.height * header.width <= AT_ONCE:
        return model.synthesis(y_hat, header.networks_level)[: header.height, : header.width]
    rgb = np.empty((header.height, header.width, 3), np.uint8)
    for tile in tiles:
        top, left = max(tile.top - REACH, 0), max(tile.left - REACH, 0)
        rows = slice(top // LATENT, -(-(tile.bottom + REACH) // LATENT))
        columns = slice(left // LATENT, -(-(tile.right + REACH) // LATENT))
        window = model.synthesis(y_hat[:, rows, columns], header.networks_level)
        rgb[tile.pixels] = window[
            tile.top - top : tile.bottom - top, tile.left - left : tile.right - left
        ]
    return rgb


def pad(pixels: Pixels, multiple: int) -> Pixels:
    """Repeat the last row and column of (H, W, 3) until both sides are multiples."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")


def crop(array: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """Cut the last two axes to (h, w): the heads work on whole hyper-latents."""
    return array[..., : shape[0], : shape[1]]


def _joined(latents: list[Float], header: Header) -> Float:
    """Return the latents of the whole image, (M, h, w)."""
    h, w = -(-header.height // LATENT), -(-header.width // LATENT)
    y_hat = np.empty((latents[0].shape[0], h, w), np.float32)
    for tile, part in zip(tiles_of(header), latents, strict=True):
        y0, x0 = tile.top // LATENT, tile.left // LATENT
        y_hat[:, y0 : y0 + part.shape[1], x0 : x0 + part.shape[2]] = part
    return y_hat
