"""Pixels to a .npeg file and back: encode and decode, facing each other.

Enters or leaves: uint8 pixels, (H, W, 3) RGB or (H, W) grey, and the bytes of a file.

Symbols follow the hyper-latents alone: their probability tables come from integers, so every
decoder reads the same symbols. Means come from float networks and are only added, so machines
may differ by a rounding of a pixel, never more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, networks
from .container import Header
from .encoder_rule import (
    EFFORT,
    TUNE,
    Tune,
    cheapest,
    check_effort,
    find_tune,
    round_to_symbols,
    thresholds,
    weigh,
)
from .errors import InputError
from .networks import Model

LATENT = 16  # pixels a latent covers in each direction
HYPER = 64  # pixels a hyper-latent covers
HALO = 64  # pixels around a tile that the analysis sees
REACH = 80  # pixels around a part of the picture that can change it in the synthesis
AT_ONCE = 3 << 19  # pixels up to which the synthesis runs on the whole picture, without halos
TILE = 1024  # side of the tiles of larger pictures
MAX_SYMBOL = entropy.MAX_MAGNITUDE

T = TypeVar("T", bound=np.generic)
Pixels = NDArray[np.uint8]
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """A tile in the encoder: what is coded of it, and what its symbols came from."""

    y: Float  # (M, h, w), scaled
    z_hat: Float  # (Z, h/4, w/4)
    indexes: NDArray[np.uint8]  # tables of the latents, (M, h, w)
    psi: Float  # features of the hyper-latents, (1, C, h, w)
    steps: Float  # what a symbol is worth, (M, h, w) or (1, 1, 1)
    means: Float  # of the anchors, (M, h, w)
    symbols: Float  # (M, h, w)
    y_hat: Float  # (M, h, w)


def encode_pixels(
    pixels: Pixels,
    level: int,
    tile_size: int | None = None,
    effort: int = EFFORT,
    tune: str = TUNE,
) -> bytes:
    """Encode an image into a .npeg file.

    Args:
        pixels: uint8, (H, W, 3) sRGB or (H, W) grey.
        level: twice the quality, 0..200.
        tile_size: side of the independently coded tiles in pixels, a multiple of 64; None takes
            one tile where the synthesis runs at once, else 1024.
        effort: 0, or 1 for a smaller file at equal quality in over twice the time.
        tune: visual for the smallest file that looks the same, psnr for the least squared error.

    Returns:
        The bytes of the file.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, the level or the effort is out of range, or there is no
            such tune.
    """
    return _encode(pixels, level, tile_size, effort, tune)[0]


def encode_with_reconstruction(
    pixels: Pixels,
    level: int,
    tile_size: int | None = None,
    effort: int = EFFORT,
    tune: str = TUNE,
) -> tuple[bytes, Pixels]:
    """Encode an image; return the file and what `decode_pixels` makes of it on this machine."""
    data, header, latents = _encode(pixels, level, tile_size, effort, tune)
    return data, _to_pixels(networks.load(header.model_id), latents, header)


def decode_pixels(data: bytes) -> Pixels:
    """Decode a .npeg file.

    Args:
        data: the bytes of a whole file.

    Returns:
        uint8 pixels, (H, W, 3) sRGB or (H, W) grey.

    Raises:
        FormatError: the bytes are not a valid file, or need a model that is not there.
        LimitError: larger than a decoder may allocate.
    """
    header, payloads = container.read_tiles(data)
    model = networks.load(header.model_id)
    latents = [
        _decode_tile(model, payload, tile, header.level)
        for payload, tile in zip(payloads, tiles_of(header), strict=True)
    ]
    return _to_pixels(model, latents, header)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image in pixels: rows top..bottom, columns left..right."""

    top: int
    bottom: int
    left: int
    right: int

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


def _header_for(pixels: Pixels, level: int, tile_size: int | None, model_id: int) -> Header:
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or not pixels.size:
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 (H, W[, 3])")
    if not 0 <= level < container.LEVELS:
        raise InputError(f"quality is {level / 2:g}, expected 0 to 100")
    height, width = pixels.shape[:2]
    container.check_size(width, height)
    return Header(
        model_id=model_id,
        level=level,
        width=width,
        height=height,
        channels=1 if pixels.ndim == 2 else 3,
        tile_size=tile_size or _tile_size(height, width),
        neutral=pixels.ndim == 3 and _is_neutral(pixels),
    )


def _is_neutral(pixels: Pixels) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _tile_size(height: int, width: int) -> int:
    """Return the side of the tiles of an image for which none is asked."""
    side = -(-max(height, width) // HYPER) * HYPER
    at_once = height * width <= AT_ONCE and side <= container.MAX_TILE_UNITS * HYPER
    return max(TILE, side) if at_once else TILE


def _encode(
    pixels: Pixels, level: int, tile_size: int | None, effort: int, tune: str
) -> tuple[bytes, Header, list[Float]]:
    """Return the file, its header and the decoded latents of each tile."""
    rule = find_tune(tune)
    check_effort(effort)
    header = _header_for(pixels, level, tile_size, rule.model_id)
    model = networks.load(header.model_id)
    payloads, latents = [], []
    for tile in _quantise(model, pixels, header, effort, rule):
        payloads.append(_code_tile(model, tile, level))
        latents.append(tile.y_hat)
    return container.write(header, payloads), header, latents


def _quantise(
    model: Model, pixels: Pixels, header: Header, effort: int, tune: Tune
) -> Iterator[Quantised]:
    """Yield what is coded of each tile of an image; none is kept longer than it is needed."""
    rgb = pixels if header.channels == 3 else np.repeat(pixels[..., None], 3, axis=2)
    places, level = list(tiles_of(header)), header.level
    analysed = (_analyse(model, rgb, place, level) for place in places)
    if not effort:
        yield from (_quantise_tile(model, y, z, level, tune) for y, z in analysed)
        return
    tiles = [_quantise_tile(model, y, z, level, tune) for y, z in analysed]
    decoded = synthesise(model, [tile.y_hat for tile in tiles], places, header)
    tiles.reverse()
    for place in places:
        estimates = _latent_error(model, rgb, decoded, place, level, tune)
        yield _correct_tile(model, tiles.pop(), estimates, level, tune)


def _to_pixels(model: Model, latents: list[Float], header: Header) -> Pixels:
    """Return the image that the tiles' latents stand for, in the file's channels."""
    rgb = synthesise(model, latents, list(tiles_of(header)), header)
    if header.channels == 3 and not header.neutral:
        return rgb
    mean = ((rgb.astype(np.uint16).sum(axis=2) + 1) // 3).astype(np.uint8)  # rounded
    return np.repeat(mean[..., None], 3, axis=2) if header.neutral else mean


def _analyse(model: Model, rgb: Pixels, tile: Tile, level: int) -> tuple[Float, Float]:
    """Run the analysis on a tile and a halo around it; return y and z of the tile alone."""
    height, width = rgb.shape[:2]
    top, left = max(tile.top - HALO, 0), max(tile.left - HALO, 0)
    bottom, right = min(tile.bottom + HALO, height), min(tile.right + HALO, width)
    window = rgb[top:bottom, left:right]
    padding = ((0, -window.shape[0] % HYPER), (0, -window.shape[1] % HYPER), (0, 0))
    y, z = model.analysis(np.pad(window, padding, mode="edge"), level)
    h, w = tile.latent_shape()
    y0, x0 = (tile.top - top) // LATENT, (tile.left - left) // LATENT
    z0, u0 = (tile.top - top) // HYPER, (tile.left - left) // HYPER
    return y[:, y0 : y0 + h, x0 : x0 + w], z[:, z0 : z0 + -(-h // 4), u0 : u0 + -(-w // 4)]


def _code_tile(model: Model, tile: Quantised, level: int) -> bytes:
    """Return the payload of a tile."""
    coded = tile.indexes >= model.first_coded
    groups: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (tile.z_hat.astype(np.int32).ravel(), _index_z(model, tile.z_hat.shape, level)),
        (tile.symbols[coded].astype(np.int32), tile.indexes[coded]),
    ]
    return entropy.encode(groups, model.tables)


def _quantise_tile(model: Model, y: Float, z: Float, level: int, tune: Tune) -> Quantised:
    """Quantise a tile's y (M, h, w) and z (Z, h/4, w/4): anchors first, then the rest."""
    z_hat = np.clip(np.rint(z), -MAX_SYMBOL, MAX_SYMBOL)
    indexes = _crop(model.scale_indexes(z_hat, level), y.shape[1:])
    limits = thresholds(model, tune)[indexes]
    anchor = _checkerboard(y.shape[1:])
    psi, means, steps = _crop_all(model.anchor_means(z_hat, level), y.shape[1:])
    symbols = round_to_symbols((y - means) / steps, limits) * anchor
    anchors = (symbols * steps + means) * anchor
    new = model.context_means(psi, anchors, level)
    others = round_to_symbols((y - new) / steps, limits) * ~anchor
    y_hat = np.where(anchor, anchors, others * steps + new)
    return Quantised(y, z_hat, indexes, psi, steps, means, symbols + others, y_hat)


def _latent_error(
    model: Model, rgb: Pixels, decoded: Pixels, tile: Tile, level: int, tune: Tune
) -> tuple[Float, Float]:
    """Return by how much a tile's latents are off and what that weighs; see the model's method."""
    height, width = tile.bottom - tile.top, tile.right - tile.left
    padding = ((0, -height % LATENT), (0, -width % LATENT), (0, 0))
    wanted, found = (
        image[tile.top : tile.bottom, tile.left : tile.right] for image in (rgb, decoded)
    )
    pixels = np.pad(wanted, padding, mode="edge")
    known = pixels.copy()  # beyond the picture there is no error
    known[:height, :width] = found
    return model.latent_error(pixels, known, level, tune.chroma, tune.masking)


def _correct_tile(
    model: Model, tile: Quantised, estimates: tuple[Float, Float], level: int, tune: Tune
) -> Quantised:
    """Choose the symbols anew by rate and distortion, around latents without their error (RDOQ)."""
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


def _decode_tile(model: Model, payload: bytes, tile: Tile, level: int) -> Float:
    """Return the decoded latents y_hat (M, h, w) of a tile."""
    z_hat, symbols, _ = read_symbols(model, payload, tile, level)
    anchor = _checkerboard(symbols.shape[1:])
    psi, means, steps = _crop_all(model.anchor_means(z_hat, level), symbols.shape[1:])
    residual = symbols * steps
    anchors = (residual + means) * anchor
    means = model.context_means(psi, anchors, level)
    return np.where(anchor, anchors, residual + means)


def read_symbols(
    model: Model, payload: bytes, tile: Tile, level: int
) -> tuple[Float, Float, NDArray[np.uint8]]:
    """Entropy-decode a tile: exact, whatever the machine.

    Returns:
        z_hat (Z, h/4, w/4), the latents' symbols (M, h, w) and their table indexes (M, h, w).

    Raises:
        FormatError: the payload does not hold these symbols.
    """
    h, w = tile.latent_shape()
    decoder = entropy.Decoder(payload, model.tables)
    shape_z = (model.hyper_latents, -(-h // 4), -(-w // 4))
    z_hat = decoder.decode(_index_z(model, shape_z, level)).reshape(shape_z).astype(np.float32)
    indexes = _crop(model.scale_indexes(z_hat, level), (h, w))
    coded = indexes >= model.first_coded
    symbols = np.zeros(indexes.shape, np.float32)
    symbols[coded] = decoder.decode(indexes[coded], last=True)
    return z_hat, symbols, indexes


def symbols_of(
    model: Model, pixels: Pixels, level: int, tune: Tune
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the encoder would code of an image (H, W, 3) as one tile.

    Returns:
        (symbols, table indexes), flat: first those of z, then those of all latents.
    """
    side = -(-max(pixels.shape[:2]) // HYPER) * HYPER
    header = Header(tune.model_id, level, pixels.shape[1], pixels.shape[0], tile_size=side)
    (tile,) = _quantise(model, pixels, header, EFFORT, tune)
    return [
        (tile.z_hat.ravel(), _index_z(model, tile.z_hat.shape, level)),
        (tile.symbols.ravel(), tile.indexes.ravel()),
    ]


def synthesise(model: Model, latents: list[Float], tiles: list[Tile], header: Header) -> Pixels:
    """Run the synthesis at once or tile by tile, each with its neighbours' latents: no seams."""
    h, w = -(-header.height // LATENT), -(-header.width // LATENT)
    y_hat = np.empty((latents[0].shape[0], h, w), np.float32)
    for tile, part in zip(tiles, latents, strict=True):
        y0, x0 = tile.top // LATENT, tile.left // LATENT
        y_hat[:, y0 : y0 + part.shape[1], x0 : x0 + part.shape[2]] = part
    if header.height * header.width <= AT_ONCE:
        return model.synthesis(y_hat, header.level)[: header.height, : header.width]
    rgb = np.empty((header.height, header.width, 3), np.uint8)
    for tile in tiles:
        top, left = max(tile.top - REACH, 0), max(tile.left - REACH, 0)
        rows = slice(top // LATENT, -(-(tile.bottom + REACH) // LATENT))
        columns = slice(left // LATENT, -(-(tile.right + REACH) // LATENT))
        window = model.synthesis(y_hat[:, rows, columns], header.level)
        rgb[tile.top : tile.bottom, tile.left : tile.right] = window[
            tile.top - top : tile.bottom - top, tile.left - left : tile.right - left
        ]
    return rgb


def _checkerboard(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the anchors are, (h, w): row + column is even."""
    i, j = np.indices(shape, sparse=True)
    return (i + j) % 2 == 0


def _crop(array: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """Cut the last two axes to (h, w): the heads work on whole hyper-latents."""
    return array[..., : shape[0], : shape[1]]


def _crop_all(arrays: tuple[Float, ...], shape: tuple[int, ...]) -> tuple[Float, ...]:
    return tuple(_crop(array, shape) for array in arrays)


def _index_z(model: Model, shape: tuple[int, ...], level: int) -> NDArray[np.int32]:
    """Return the table index of every hyper-latent, flat: one a channel."""
    return np.repeat(model.index_z(level), shape[1] * shape[2])
