"""A network on an image of any size: tiles with a halo, so that memory is bounded, no seams."""

from collections.abc import Callable
from typing import TypeVar

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
) -> NDArray[T]:
    """Run a network over an image, tile by tile.

    Args:
        x: (H, W) or (H, W, C), of any kind of number.
        run: (h, w, C) to (factor * h, factor * w, C), or to factor * (h - 2 * halo) if `cut`.
        tile: side of a tile without its halo, a multiple of `multiple`.
        halo: pixels around a tile that the network sees; beyond the image they mirror it.
        multiple: sides that `run` takes are multiples of this; so must be `halo`.
        factor: how much larger the output is.
        cut: whether `run` takes the halo off itself.

    Returns:
        (factor * H, factor * W, C).
    """
    height, width = x.shape[:2]
    rows = [(top, min(tile, height - top)) for top in range(0, height, tile)]
    columns = [(left, min(tile, width - left)) for left in range(0, width, tile)]
    bands = []
    for top, tall in rows:
        band = []
        for left, wide in columns:
            part = _window(x, top, left, tall + -tall % multiple, wide + -wide % multiple, halo)
            found = run(part)
            if not cut:
                inside = slice(factor * halo, -factor * halo or None)
                found = found[inside, inside]
            band.append(found[: factor * tall, : factor * wide])
        bands.append(np.concatenate(band, axis=1))
    return np.concatenate(bands, axis=0)


def _window(x: NDArray[T], top: int, left: int, tall: int, wide: int, halo: int) -> NDArray[T]:
    """Return x[top - halo : top + tall + halo, ...], mirrored beyond the borders."""
    rows = _mirror(np.arange(top - halo, top + tall + halo), x.shape[0])
    columns = _mirror(np.arange(left - halo, left + wide + halo), x.shape[1])
    return x[rows[:, None], columns]


def _mirror(indexes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect indexes into 0..size-1, repeating the border pixel once at every turn."""
    folded = indexes % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)
