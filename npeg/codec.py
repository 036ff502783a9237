"""Pixels to a .npeg file and back: encode and decode, facing each other.

Enters or leaves: uint8 pixels, (H, W, 3) RGB or (H, W) grey, and the bytes of a file.

    encode_pixels                              decode_pixels
    header_for: what the file says first       container.read_tiles: header and payloads
    tiles.analyse: pixels to latents           latents.read: payloads to symbols
    latents.quantise, correct: to symbols      latents.dequantise: symbols to latents
    latents.code: symbols to payloads          tiles.synthesise: latents to pixels
    container.write: a file                    _to_channels: grey, neutral or RGB
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, latents, networks, tiles
from .container import Header
from .encoder_rule import DEFAULT, EncoderOptions, Tune
from .errors import InputError
from .latents import Quantised
from .networks import Model
from .tiles import HYPER, LATENT, Float, Pixels, Tile, tiles_of


def encode_pixels(pixels: Pixels, level: int, options: EncoderOptions = DEFAULT) -> bytes:
    """Encode an image into a .npeg file.

    Args:
        pixels: uint8, (H, W, 3) sRGB or (H, W) grey.
        level: twice the quality, 0..200.
        options: how hard to try, and for what.

    Returns:
        The bytes of the file.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    return _encode(pixels, level, options)[0]


def encode_with_reconstruction(
    pixels: Pixels, level: int, options: EncoderOptions = DEFAULT
) -> tuple[bytes, Pixels]:
    """Encode an image; return the file and what `decode_pixels` makes of it on this machine."""
    data, header, y_hats = _encode(pixels, level, options)
    rgb = tiles.synthesise(networks.load(header.model_id), y_hats, header)
    return data, _to_channels(rgb, header)


def _encode(
    pixels: Pixels, level: int, options: EncoderOptions
) -> tuple[bytes, Header, list[Float]]:
    """Return the file, its header and the decoded latents of each tile."""
    header = header_for(pixels, level, options)
    model = networks.load(header.model_id)
    payloads, y_hats = [], []
    for tile in _quantised(model, pixels, header, options):
        payloads.append(latents.code(model, tile, level))
        y_hats.append(tile.y_hat)
    return container.write(header, payloads), header, y_hats


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
    model, y_hats = networks.load(header.model_id), []
    for payload, tile in zip(payloads, tiles_of(header), strict=True):
        z_hat, symbols, _ = latents.read(model, payload, tile.latent_shape(), header.level)
        y_hats.append(latents.dequantise(model, z_hat, symbols, header.level))
    return _to_channels(tiles.synthesise(model, y_hats, header), header)


def header_for(pixels: Pixels, level: int, options: EncoderOptions) -> Header:
    """Return the header of the file of an image.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    grey_or_rgb = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not grey_or_rgb or not pixels.size:
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, expected uint8 (H, W[, 3])")
    if not 0 <= level < container.LEVELS:
        raise InputError(f"quality is {level / 2:g}, expected 0 to 100")
    height, width = pixels.shape[:2]
    container.check_size(width, height)
    return Header(
        model_id=options.rule.model_id,
        level=level,
        width=width,
        height=height,
        channels=1 if pixels.ndim == 2 else 3,
        tile_size=options.tile_size or tiles.usual_side(height, width),
        neutral=pixels.ndim == 3 and _is_neutral(pixels),
    )


def _is_neutral(pixels: Pixels) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _quantised(
    model: Model, pixels: Pixels, header: Header, options: EncoderOptions
) -> Iterator[Quantised]:
    """Yield what is coded of each tile of an image; none is kept longer than it is needed."""
    rgb = pixels if header.channels == 3 else np.repeat(pixels[..., None], 3, axis=2)
    level, tune = header.level, options.rule
    first = (
        latents.quantise(model, *tiles.analyse(model, rgb, place, level), level, tune)
        for place in tiles_of(header)
    )
    if not options.effort:
        yield from first
        return
    found = list(first)
    decoded = tiles.synthesise(model, [tile.y_hat for tile in found], header)
    found.reverse()
    for place in tiles_of(header):
        estimates = _latent_error(model, rgb, decoded, place, level, tune)
        yield latents.correct(model, found.pop(), estimates, level, tune)


def _latent_error(
    model: Model, rgb: Pixels, decoded: Pixels, tile: Tile, level: int, tune: Tune
) -> tuple[Float, Float]:
    """Return by how much a tile's latents are off and what that weighs; see the model's method."""
    pixels = tiles.pad(rgb[tile.pixels], LATENT)
    known = pixels.copy()  # beyond the picture there is no error
    known[: tile.bottom - tile.top, : tile.right - tile.left] = decoded[tile.pixels]
    return model.latent_error(pixels, known, level, tune.chroma, tune.masking)


def _to_channels(rgb: Pixels, header: Header) -> Pixels:
    """Return what RGB (H, W, 3) from the synthesis is in the file's channels."""
    if header.channels == 3 and not header.neutral:
        return rgb
    mean = ((rgb.astype(np.uint16).sum(axis=2) + 1) // 3).astype(np.uint8)  # rounded
    return np.repeat(mean[..., None], 3, axis=2) if header.neutral else mean


def symbols_of(
    model: Model, pixels: Pixels, level: int, tune: str
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the encoder would code of an image (H, W, 3) as one tile.

    Returns:
        (symbols, table indexes), flat: first those of z, then those of all latents.
    """
    side = -(-max(pixels.shape[:2]) // HYPER) * HYPER
    options = EncoderOptions(tune=tune, tile_size=side)
    (tile,) = _quantised(model, pixels, header_for(pixels, level, options), options)
    group = latents.hyper_group(model, tile.z_hat, level)
    return [group, (tile.symbols.ravel(), tile.indexes.ravel())]
