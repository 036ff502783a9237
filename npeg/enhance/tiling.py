"""A network on an image of any size: tiles with a halo, so that memory is bounded, no seams."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def by_tiles(
    x: NDArray[T],
    run: Callable[[NDArray[T]], NDArray[T]],
    tile: int,
    *,
    halo: int,
    multiple: int = 1,
    factor: int = 1,
    cut: bool = False,
    inside: bool = False,
) -> NDArray[T]:
    """Run a network over an image, tile by tile.

    Args:
        x: (H, W) or (H, W, C), of any kind of number.
        run: (h, w, C) to (factor * h, factor * w, C), or to factor * (h - 2 * halo) if `cut`.
        tile: side of a tile without its halo, a multiple of `multiple`.
        halo: pixels around a tile that the network sees.
        multiple: sides that `run` takes are multiples of this; so must be `halo`.
        factor: how much larger the output is.
        cut: whether `run` takes the halo off itself.
        inside: whether the halo ends with the image; otherwise it mirrors it beyond.

    Returns:
        (factor * H, factor * W, C).
    """
    rows, columns = (_windows(side, tile, halo, multiple, inside) for side in x.shape[:2])
    bands = []
    for row in rows:
        band = []
        for column in columns:
            found = run(x[row.indexes[:, None], column.indexes])
            top, left = (0, 0) if cut else (factor * row.halo, factor * column.halo)
            tall, wide = factor * row.size, factor * column.size
            band.append(found[top : top + tall, left : left + wide])
        bands.append(np.concatenate(band, axis=1))
    return np.concatenate(bands, axis=0)


class _Window(NamedTuple):
    """Along one side: the samples that a tile's network sees, and which of them are the tile."""

    indexes: NDArray[np.int64]
    halo: int  # samples before the tile
    size: int  # of the tile


def _windows(side: int, tile: int, halo: int, multiple: int, inside: bool) -> list[_Window]:
    """Cut a side into tiles; samples beyond it are those that mirror them."""
    windows = []
    for start in range(0, side, tile):
        end = min(start + tile, side)
        before = min(halo, start) if inside else halo
        after = min(halo, side - end) if inside else halo
        after += -(before + end - start + after) % multiple
        indexes = _mirror(np.arange(start - before, end + after), side)
        windows.append(_Window(indexes, before, end - start))
    return windows


def _mirror(indexes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect indexes into 0..size-1, repeating the border pixel once at every turn."""
    folded = indexes % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)
