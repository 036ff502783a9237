"""Pixels to a .npeg file and back: encode and decode, facing each other.

Enters or leaves: uint8 pixels, (H, W, 3) RGB, (H, W) grey or these with alpha, (H, W, 4) and
(H, W, 2), and the bytes of a file.

    encode_pixels                              decode_pixels
    header_for: what the file says first       container.read_tiles: header and payloads
    tiles.analyse: pixels to latents           latents.read: payloads to symbols
    latents.quantise, correct: to symbols      latents.dequantise: symbols to latents
    latents.code: symbols to payloads          tiles.synthesise: latents to pixels
    exact.encode: pixels to payloads           exact.decode: payloads to pixels
    transparency.encode: alpha to payloads     transparency.decode: payloads to alpha
    container.write: a file                    _assembled: tiles to an image
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, exact, latents, networks, tiles, transparency
from .container import ALPHA, EXACT, TILE, Header, Parts
from .encoder_rule import DEFAULT, EncoderOptions, Tune
from .errors import InputError
from .latents import Quantised
from .networks import Model
from .tiles import HYPER, LATENT, Float, Pixels, Tile, tiles_of


@dataclass(frozen=True)
class _Decoded:
    """What a decoder knows of a tile: its latents, or its pixels in the file's colours; alpha."""

    y_hat: Float | None = None  # (M, h, w)
    exact: Pixels | None = None  # (H, W) or (H, W, 3)
    alpha: Pixels | None = None  # (H, W)


def encode_pixels(pixels: Pixels, level: int, options: EncoderOptions = DEFAULT) -> bytes:
    """Encode an image into a .npeg file.

    Args:
        pixels: uint8, (H, W, 3) sRGB or (H, W) grey, or with alpha (H, W, 4) or (H, W, 2).
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
    data, header, decoded = _encode(pixels, level, options)
    return data, _assembled(decoded, header)


def _encode(
    pixels: Pixels, level: int, options: EncoderOptions
) -> tuple[bytes, Header, list[_Decoded]]:
    """Return the file, its header and what a decoder knows of each tile."""
    header = header_for(pixels, level, options)
    colours, alpha = transparency.split(pixels)
    parts, decoded = [], []
    for tile, (payloads, known) in zip(
        tiles_of(header), _coded_colours(colours, header, options), strict=True
    ):
        if alpha is not None:
            payloads[ALPHA] = transparency.encode(alpha[tile.pixels], options.alpha_quality)
            shape = tile.bottom - tile.top, tile.right - tile.left
            found = transparency.decode(payloads[ALPHA], *shape)
            known = replace(known, alpha=found)
        parts.append(payloads)
        decoded.append(known)
    return container.write(header, parts), header, decoded


def _coded_colours(
    colours: Pixels, header: Header, options: EncoderOptions
) -> Iterator[tuple[Parts, _Decoded]]:
    """Yield the payload of each tile's colours, and what a decoder knows of them."""
    places = list(tiles_of(header))
    kept = [colours[place.pixels] for place in places]
    payloads = [_exact_payload(part, header, options.lossless) for part in kept]
    if options.lossless:
        for part, payload in zip(kept, payloads, strict=True):
            yield {EXACT: payload or b""}, _Decoded(exact=part)
        return
    model = networks.load(header.model_id)
    found = _quantised(model, colours, header, options, payloads)
    for part, payload, tile in zip(kept, payloads, found, strict=True):
        if tile is None:
            yield {EXACT: payload or b""}, _Decoded(exact=part)
        else:
            yield {TILE: latents.code(model, tile, header.level)}, _Decoded(y_hat=tile.y_hat)


def _exact_payload(pixels: Pixels, header: Header, always: bool) -> bytes | None:
    """Return the payload of an exact tile; None where it would be no use: for photographs."""
    if not always and not exact.may_be_small(pixels):
        return None
    return exact.encode(pixels[..., 0] if header.neutral else pixels)


def decode_pixels(data: bytes) -> Pixels:
    """Decode a .npeg file.

    Args:
        data: the bytes of a whole file.

    Returns:
        uint8 pixels, (H, W, 3) sRGB or (H, W) grey, or with alpha (H, W, 4) or (H, W, 2).

    Raises:
        FormatError: the bytes are not a valid file, or need a model that is not there.
        LimitError: larger than a decoder may allocate.
    """
    header, tiles_parts = container.read_tiles(data)
    places = zip(tiles_parts, tiles_of(header), strict=True)
    return _assembled([_decoded(parts, tile, header) for parts, tile in places], header)


def _decoded(parts: Parts, tile: Tile, header: Header) -> _Decoded:
    """Return what the payloads of a tile say."""
    height, width = tile.bottom - tile.top, tile.right - tile.left
    alpha = transparency.decode(parts[ALPHA], height, width) if header.alpha else None
    if EXACT in parts:
        channels = 1 if header.neutral else header.channels
        pixels = exact.decode(parts[EXACT], height, width, channels)
        pixels = np.repeat(pixels[..., None], 3, axis=2) if header.neutral else pixels
        return _Decoded(exact=pixels, alpha=alpha)
    model = networks.load(header.model_id)
    z_hat, symbols, _ = latents.read(model, parts[TILE], tile.latent_shape(), header.level)
    return _Decoded(latents.dequantise(model, z_hat, symbols, header.level), alpha=alpha)


def _assembled(decoded: list[_Decoded], header: Header) -> Pixels:
    """Return the image that tiles make."""
    y_hats = [tile.y_hat for tile in decoded]
    if any(y_hat is not None for y_hat in y_hats):
        model = networks.load(header.model_id)
        image = _to_channels(tiles.synthesise(model, _with_zeros(y_hats, header), header), header)
    else:
        shape = (header.height, header.width, 3)[: 3 if header.channels == 3 else 2]
        image = np.empty(shape, np.uint8)
    alpha = np.empty(image.shape[:2], np.uint8) if header.alpha else None
    for place, tile in zip(tiles_of(header), decoded, strict=True):
        if tile.exact is not None:
            image[place.pixels] = tile.exact
        if alpha is not None and tile.alpha is not None:
            alpha[place.pixels] = tile.alpha
    return transparency.join(image, alpha)


def _with_zeros(y_hats: list[Float | None], header: Header) -> list[Float]:
    """Return the latents of each tile, those of exact tiles, one or more are not, as zeros."""
    count = next(len(y_hat) for y_hat in y_hats if y_hat is not None)
    return [
        np.zeros((count, *place.latent_shape()), np.float32) if y_hat is None else y_hat
        for place, y_hat in zip(tiles_of(header), y_hats, strict=True)
    ]


def header_for(pixels: Pixels, level: int, options: EncoderOptions) -> Header:
    """Return the header of the file of an image.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
    if pixels.dtype != np.uint8 or not known or not pixels.size:
        expected = "expected uint8 (H, W) or (H, W, 2..4)"
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, {expected}")
    if not 0 <= level < container.LEVELS:
        raise InputError(f"quality is {level / 2:g}, expected 0 to 100")
    height, width = pixels.shape[:2]
    container.check_size(width, height)
    rgb = pixels.ndim == 3 and pixels.shape[2] >= 3
    return Header(
        model_id=options.rule.model_id,
        level=level,
        width=width,
        height=height,
        channels=3 if rgb else 1,
        tile_size=options.tile_size or tiles.usual_side(height, width),
        neutral=rgb and _is_neutral(pixels[..., :3]),
        alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4),
    )


def _is_neutral(pixels: Pixels) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _quantised(
    model: Model,
    pixels: Pixels,
    header: Header,
    options: EncoderOptions,
    payloads: list[bytes | None],
) -> Iterator[Quantised | None]:
    """Yield what is coded of each tile of an image; none is kept longer than it is needed.

    A tile for which there is the payload of an exact one that is no longer gives None.
    """
    rgb = pixels if header.channels == 3 else np.repeat(pixels[..., None], 3, axis=2)
    level, tune = header.level, options.rule
    first = (
        _unless_exact(
            model,
            latents.quantise(model, *tiles.analyse(model, rgb, place, level), level, tune),
            payload,
            level,
        )
        for place, payload in zip(tiles_of(header), payloads, strict=True)
    )
    if not options.effort:
        yield from first
        return
    found = list(first)
    y_hats = [None if tile is None else tile.y_hat for tile in found]
    if all(y_hat is None for y_hat in y_hats):
        yield from found
        return
    decoded = tiles.synthesise(model, _with_zeros(y_hats, header), header)
    found.reverse()
    for place in tiles_of(header):
        if (tile := found.pop()) is None:
            yield None
            continue
        estimates = _latent_error(model, rgb, decoded, place, level, tune)
        yield latents.correct(model, tile, estimates, level, tune)


def _unless_exact(
    model: Model, tile: Quantised, payload: bytes | None, level: int
) -> Quantised | None:
    """Return a quantised tile, or None where an exact payload is not longer than its own."""
    if payload is None or len(payload) > len(latents.code(model, tile, level)):
        return tile
    return None


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
    (tile,) = _quantised(model, pixels, header_for(pixels, level, options), options, [None])
    assert tile is not None
    group = latents.hyper_group(model, tile.z_hat, level)
    return [group, (tile.symbols.ravel(), tile.indexes.ravel())]
