"""Pixels to a .npeg file and back: encode and decode, facing each other.

Enters or leaves: uint8 pixels, (H, W, 3) RGB or (H, W) grey, and the bytes of a file.

    encode_pixels                              decode_pixels
    header_for: what the file says first       container.read_parts: header and payloads
    tiles.analyse: pixels to latents           latents.read: payloads to symbols
    latents.quantise, correct: to symbols      latents.dequantise: symbols to latents
    latents.code: symbols to payloads          tiles.synthesise: latents to pixels
    _behind: what the networks leave           residual.unpack, add: what they left
    container.write_parts: a file              _to_channels: grey, neutral or RGB
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, latents, networks, residual, residual_rule, tiles
from .container import RESIDUAL, TILE, Header, Parts
from .encoder_rule import DEFAULT, EncoderOptions, Tune
from .errors import FormatError, InputError
from .latents import Quantised
from .networks import Model
from .residual import Residual
from .residual_rule import Schedule
from .tiles import HYPER, LATENT, Float, Pixels, Tile, tiles_of


@dataclass(frozen=True)
class _Coded:
    """A file in the encoder: what it says, and what the decoder makes of it."""

    header: Header
    parts: list[Parts]
    y_hats: list[Float]
    residuals: list[Residual | None]
    cost: float = 0.0  # bits of its sections and of the error that is left


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
    coded = _encode(pixels, level, options)
    return container.write_parts(coded.header, coded.parts)


def encode_with_reconstruction(
    pixels: Pixels, level: int, options: EncoderOptions = DEFAULT
) -> tuple[bytes, Pixels]:
    """Encode an image; return the file and what `decode_pixels` makes of it on this machine."""
    coded = _encode(pixels, level, options)
    decoded = _decoded(coded.header, coded.y_hats, coded.residuals)
    return container.write_parts(coded.header, coded.parts), decoded


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
    header, parts = container.read_parts(data)
    places = list(tiles_of(header))
    y_hats = [_latents(header, *tile) for tile in zip(parts, places, strict=True)]
    residuals = [_residual(header, *tile) for tile in zip(parts, places, strict=True)]
    return _decoded(header, y_hats, residuals)


def _latents(header: Header, parts: Parts, tile: Tile) -> Float:
    """Return a tile's latents; (0, h, w) of one in which the networks have no say."""
    model, shape = networks.load(header.model_id), tile.latent_shape()
    if not parts[TILE]:
        return np.zeros((0, *shape), np.float32)
    z_hat, symbols, _ = latents.read(model, parts[TILE], shape, header.networks_level)
    return latents.dequantise(model, z_hat, symbols, header.networks_level)


def _residual(header: Header, parts: Parts, tile: Tile) -> Residual | None:
    """Return what is behind the networks in a tile, if anything."""
    if RESIDUAL in parts:
        sides = tile.bottom - tile.top, tile.right - tile.left
        return residual.unpack(parts[RESIDUAL], *sides, header.planes, alone=not parts[TILE])
    if not parts[TILE]:
        raise FormatError("tile has an empty payload and no residual")
    return None


def _decoded(header: Header, y_hats: list[Float], residuals: list[Residual | None]) -> Pixels:
    """Return the pixels of latents and residuals of each tile, in the file's channels."""
    planes = _from_networks(header, y_hats)
    for tile, found in zip(tiles_of(header), residuals, strict=True):
        if found is not None:
            planes[tile.pixels] = residual.add(planes[tile.pixels], found)
    return _to_channels(planes, header)


def _from_networks(header: Header, y_hats: list[Float]) -> Pixels:
    """Return what the networks make of the latents of each tile, (H, W, C), C = 1 or 3."""
    model = networks.load(header.model_id)
    if not any(len(y_hat) for y_hat in y_hats):
        return np.empty((header.height, header.width, header.planes), np.uint8)
    for i, y_hat in enumerate(y_hats):
        if not len(y_hat):
            y_hats[i] = np.zeros((model.latents, *y_hat.shape[1:]), np.float32)
    rgb = tiles.synthesise(model, y_hats, header)
    if header.planes == 3:
        return rgb
    return ((rgb.astype(np.uint16).sum(axis=2, keepdims=True) + 1) // 3).astype(np.uint8)


def _to_channels(planes: Pixels, header: Header) -> Pixels:
    """Return planes (H, W, C) in the file's channels."""
    if header.neutral:
        return np.repeat(planes, 3, axis=2)
    return planes if header.channels == 3 else planes[..., 0]


def _to_planes(pixels: Pixels, header: Header) -> Pixels:
    """Return the planes (H, W, C) that are decoded of an image."""
    return pixels[..., None] if pixels.ndim == 2 else pixels[..., : header.planes]


def _encode(pixels: Pixels, level: int, options: EncoderOptions) -> _Coded:
    """Return the file of an image: by the networks, with what they leave behind where it pays."""
    header = header_for(pixels, level, options)
    model = networks.load(header.model_id)
    parts, y_hats = [], []
    for tile in _quantised(model, pixels, header, options):
        parts.append({TILE: latents.code(model, tile, header.networks_level)})
        y_hats.append(tile.y_hat)
    coded = _Coded(header, parts, y_hats, [None] * len(parts))
    schedule, planes = residual_rule.SCHEDULES[options.tune], _to_planes(pixels, header)
    return _with_residual(coded, planes, schedule)


def _with_residual(coded: _Coded, planes: Pixels, schedule: Schedule) -> _Coded:
    """Return a file of the networks, the same with residuals, or residuals alone: the cheapest.

    Args:
        coded: the file of the networks.
        planes: the image, (H, W, C).
        schedule: of the steps.
    """
    level = coded.header.level
    code, tried = schedule.step_code(level), level >= schedule.first
    edges = residual_rule.has_edges(planes)
    if not tried and not edges:
        return coded
    decoded = _from_networks(coded.header, coded.y_hats)
    tried = tried or residual_rule.is_odd(planes, decoded, code)
    size = sum(len(parts[TILE]) for parts in coded.parts)
    maybe_alone = (tried and edges) or residual_rule.seems_alone(planes, decoded, code, 8 * size)
    if not tried and not maybe_alone:
        return coded
    behind = _behind(coded, planes, decoded, code)
    alone = _alone(coded, planes, code) if maybe_alone else behind
    return alone if alone.cost < behind.cost else behind


def _behind(coded: _Coded, planes: Pixels, decoded: Pixels, code: int) -> _Coded:
    """Return a file with residuals behind the networks in each tile in which they pay."""
    parts, residuals, total = [], [], 0.0
    for tile, known in zip(tiles_of(coded.header), coded.parts, strict=True):
        wanted, found = planes[tile.pixels], decoded[tile.pixels]
        payload, chosen, cost = residual_rule.choose(wanted, found, code)
        without = residual_rule.cost_without(wanted, found, code)
        pays = bool(payload) and cost < without
        parts.append(known | {RESIDUAL: payload} if pays else known)
        residuals.append(chosen if pays else None)
        total += 8 * len(known[TILE]) + min(cost, without)
    return replace(coded, parts=parts, residuals=residuals, cost=total)


def _alone(coded: _Coded, planes: Pixels, code: int) -> _Coded:
    """Return a file in which the networks have no say."""
    places = list(tiles_of(coded.header))
    found = [residual_rule.choose(planes[tile.pixels], None, code) for tile in places]
    parts = [{TILE: b"", RESIDUAL: payload} for payload, _, _ in found]
    empty = [np.zeros((0, *tile.latent_shape()), np.float32) for tile in places]
    total = sum(cost for _, _, cost in found) if all(p[RESIDUAL] for p in parts) else np.inf
    header = replace(coded.header, networks=None)
    return _Coded(header, parts, empty, [chosen for _, chosen, _ in found], total)


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
    networks_level = residual_rule.SCHEDULES[options.tune].networks_level(level)
    return Header(
        model_id=options.rule.model_id,
        level=level,
        width=width,
        height=height,
        channels=1 if pixels.ndim == 2 else 3,
        tile_size=options.tile_size or tiles.usual_side(height, width),
        neutral=pixels.ndim == 3 and _is_neutral(pixels),
        networks=None if networks_level == level else networks_level,
    )


def _is_neutral(pixels: Pixels) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _quantised(
    model: Model, pixels: Pixels, header: Header, options: EncoderOptions
) -> Iterator[Quantised]:
    """Yield what is coded of each tile of an image; none is kept longer than it is needed."""
    rgb = pixels if header.channels == 3 else np.repeat(pixels[..., None], 3, axis=2)
    level, tune = header.networks_level, options.rule
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


def symbols_of(
    model: Model, pixels: Pixels, level: int, tune: str
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the encoder would code of an image (H, W, 3) as one tile.

    Returns:
        (symbols, table indexes), flat: first those of z, then those of all latents.
    """
    side = -(-max(pixels.shape[:2]) // HYPER) * HYPER
    options = EncoderOptions(tune=tune, tile_size=side)
    header = replace(header_for(pixels, level, options), networks=None)
    (tile,) = _quantised(model, pixels, header, options)
    group = latents.hyper_group(model, tile.z_hat, level)
    return [group, (tile.symbols.ravel(), tile.indexes.ravel())]
