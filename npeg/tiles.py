"""Rectangles of an image that are coded on their own, and networks run tile by tile.

Enters: the size of an image, its pixels, or latents. Leaves: tiles, latents, pixels.
Knows how far the transforms see, but no symbols and no bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from . import networks
from .arrays import Levels, Samples
from .container import MAX_TILE_UNITS, Header
from .depth import to_levels
from .networks import Model

LATENT = 16  # pixels a latent covers in each direction
HYPER = 64  # pixels a hyper-latent covers
HALO = 64  # pixels around a tile that the analysis sees
REACH = 80  # pixels around a part of the picture that can change it in the synthesis
AT_ONCE = 3 << 19  # pixels up to which the synthesis runs on the whole picture, without halos
BESIDE = ((0, -1), (0, 1), (-1, 0), (1, 0))  # rows and columns to the left, right, above, below
TILE = 1024  # side of the tiles of larger pictures

T = TypeVar("T", bound=np.generic)
Item = TypeVar("Item")
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

    def latents(self) -> Tile:
        """Return the rectangle of latents that cover the tile."""
        top, left = self.top // LATENT, self.left // LATENT
        return Tile(top, -(-self.bottom // LATENT), left, -(-self.right // LATENT))

    def shared(self, other: Tile) -> Tile | None:
        """Return what is in another rectangle too, if anything is."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        return Tile(top, bottom, left, right) if top < bottom and left < right else None

    def within(self, other: Tile) -> tuple[slice, slice]:
        """Return what to index another rectangle's array by for this one's part of it."""
        top, left = self.top - other.top, self.left - other.left
        return slice(top, self.bottom - other.top), slice(left, self.right - other.left)

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


def analyse(model: Model, planes: Samples, tile: Tile, level: int) -> tuple[Float, Float]:
    """Run the analysis on a tile of (H, W, C), C = 1 or 3, and a halo; return y and z of the tile.

    What is returned does not keep that of the halo in memory.
    """
    height, width = planes.shape[:2]
    top, left = max(tile.top - HALO, 0), max(tile.left - HALO, 0)
    bottom, right = min(tile.bottom + HALO, height), min(tile.right + HALO, width)
    levels = to_levels(pad(to_rgb(planes[top:bottom, left:right]), HYPER))
    y, z = model.analysis(levels, level)
    h, w = tile.latent_shape()
    y0, x0 = (tile.top - top) // LATENT, (tile.left - left) // LATENT
    z0, u0 = (tile.top - top) // HYPER, (tile.left - left) // HYPER
    z = z[:, z0 : z0 + -(-h // 4), u0 : u0 + -(-w // 4)]
    return np.ascontiguousarray(y[:, y0 : y0 + h, x0 : x0 + w]), np.ascontiguousarray(z)


def to_rgb(planes: Samples) -> Samples:
    """Return (H, W, C), C = 1 or 3, with three channels."""
    return planes if planes.shape[2] == 3 else np.repeat(planes, 3, axis=2)


def with_pixels(
    items: Iterable[Item],
    latents_of: Callable[[Item], Float | None],
    header: Header,
    model: Model | None = None,
    fine: bool | None = None,
) -> Iterator[tuple[Item, Callable[[], Levels]]]:
    """Yield each item of an image's tiles with what the synthesis makes of it, as a function.

    An item waits for those of its neighbours whose latents it needs; latents are kept as long as a
    neighbour may need them, so that the items of two rows of tiles are in memory at most.

    Args:
        items: one of each tile, in raster order.
        latents_of: returns the latents of an item, (M, h, w); None: it has none.
        header: of the file.
        model: whose synthesis it is; None: the header's.
        fine: see `Synthesis`.

    Yields:
        The item, and a function that returns the levels of its tile, (H, W, 3), until the next
        item is asked for.
    """
    waiting: deque[Item] = deque()
    synthesis = Synthesis(header, model, fine)
    ahead = _ahead(header)
    number = 0
    for index, item in enumerate(items):
        synthesis.known[index] = latents_of(item)
        waiting.append(item)
        if index >= ahead:
            yield waiting.popleft(), partial(synthesis.pixels, number)
            synthesis.known.pop(number - ahead, None)
            number += 1
    while waiting:
        yield waiting.popleft(), partial(synthesis.pixels, number)
        number += 1


class Synthesis:
    """The synthesis at once or tile by tile, each with its neighbours' latents: no seams.

    Attributes:
        known: the latents of tiles by their numbers in raster order, (M, h, w), or None.
    """

    def __init__(
        self, header: Header, model: Model | None = None, fine: bool | None = None
    ) -> None:
        """Take the header; `fine`: give levels as they are, not rounded (None: if it is deep)."""
        self._model = model
        self._fine = header.deep if fine is None else fine
        self.known: dict[int, Float | None] = {}
        self._places = list(tiles_of(header))
        self._header = header
        self._whole: Levels | None = None

    def pixels(self, number: int) -> Levels:
        """Return the levels of a tile, (H, W, 3), uint8 where they are rounded, else float32."""
        tile = self._places[number]
        if not _at_once(self._header):
            window = Tile(
                max(tile.top - REACH, 0),
                min(tile.bottom + REACH, self._header.height),
                max(tile.left - REACH, 0),
                min(tile.right + REACH, self._header.width),
            )
            return self._run(window)[tile.within(window)]
        if self._whole is None:
            self._whole = self._run(Tile(0, self._header.height, 0, self._header.width))
        return self._whole[tile.pixels]

    def _run(self, window: Tile) -> Levels:
        """Return what the synthesis makes of the latents that cover a window."""
        model = self._model or networks.load(self._header.model)
        frame = window.latents()
        sides = frame.bottom - frame.top, frame.right - frame.left
        y_hat, there = np.zeros((model.latents, *sides), np.float32), np.zeros(sides, bool)
        for number, part in self.known.items():
            place = self._places[number].latents()
            shared = place.shared(frame)
            if part is not None and shared:
                y_hat[:, *shared.within(frame)] = part[:, *shared.within(place)]
                there[shared.within(frame)] = True
        synthesis = model.levels if self._fine else model.synthesis
        return synthesis(spread(y_hat, there), self._header.networks_level)


def spread(y_hat: Float, there: NDArray[np.bool_]) -> Float:
    """Give places without latents those of a place beside them, so that no seam is to be seen.

    Args:
        y_hat: latents, (M, h, w), 0 where there are none; they are changed.
        there: where latents are, (h, w). The first of BESIDE that has some gives them.
    """
    height, width = there.shape
    filled = there.copy()
    for dy, dx in BESIDE:
        rows, columns = np.nonzero(~filled)
        y, x = rows + dy, columns + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        inside[inside] = there[y[inside], x[inside]]
        rows, columns = rows[inside], columns[inside]
        y_hat[:, rows, columns] = y_hat[:, y[inside], x[inside]]
        filled[rows, columns] = True
    return y_hat


def meeting(window: Tile, header: Header) -> set[int]:
    """Return the tiles, by their numbers, that have pixels in a window."""
    size, columns = header.tile_size, _grid(header)[1]
    return {
        row * columns + column
        for row in range(window.top // size, -(-window.bottom // size))
        for column in range(window.left // size, -(-window.right // size))
    }


def reaching(numbers: Iterable[int], header: Header) -> set[int]:
    """Return the tiles, by their numbers, whose latents have a say in the pixels of some.

    All of them where the synthesis runs on the whole image.
    """
    if _at_once(header):
        return set(range(header.tiles))
    rows, columns = _grid(header)
    reach = -(-REACH // header.tile_size)
    return {
        r * columns + c
        for row, column in (divmod(number, columns) for number in numbers)
        for r in range(max(row - reach, 0), min(row + reach + 1, rows))
        for c in range(max(column - reach, 0), min(column + reach + 1, columns))
    }


def _at_once(header: Header) -> bool:
    return header.height * header.width <= AT_ONCE


def _grid(header: Header) -> tuple[int, int]:
    """Return how many rows and columns of tiles there are."""
    size = header.tile_size
    return -(-header.height // size), -(-header.width // size)


def _ahead(header: Header) -> int:
    """Return how many tiles behind another in raster order can have a say in its pixels."""
    rows, columns = _grid(header)
    if _at_once(header):
        return header.tiles - 1
    reach = -(-REACH // header.tile_size)
    return min(reach, rows - 1) * columns + min(reach, columns - 1)


def pad(pixels: Samples, multiple: int) -> Samples:
    """Repeat the last row and column of (H, W, 3) until both sides are multiples."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")


def crop(array: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """Cut the last two axes to (h, w): the heads work on whole hyper-latents."""
    return array[..., : shape[0], : shape[1]]
