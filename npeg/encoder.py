"""Samples to payloads of tiles; `decoder` faces it.

Enters: pixels, (H, W) grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4): uint8, or
uint16 of a source that has more bits, whose tiles are coded by levels between the 256.
Leaves: the header of a file, the sections of each tile, and what a decoder knows of it. Tiles go
through as a stream: each waits for those of its neighbours that it needs, none is kept longer.

    header_for: what the file says first
    encode: an image to tiles
        _cheapest: each tile by the way that costs least in bits and error
            _by_networks: by the networks, or every pixel as it is (exact.encode)
                _quantised: latents, by tiles.analyse, latents.quantise and correct
                latents.code: their symbols to payloads
            _with_residual: what the networks leave, behind them or alone
        transparency.encode: alpha
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import (
    container,
    decoder,
    depth,
    exact,
    latents,
    limits,
    networks,
    own_models,
    progress,
    residual_rule,
    tiles,
    transparency,
)
from .arrays import Levels, Samples
from .container import Header
from .decoder import Decoded
from .encoder_rule import EncoderOptions, Tune
from .errors import InputError
from .latents import Quantised
from .networks import Model
from .residual_rule import Steps
from .sections import ALPHA, EXACT, RESIDUAL, TILE, Parts, size_bytes
from .tiles import HYPER, LATENT, Float, tiles_of

Tried = tuple[Quantised | None, bytes | None]
"""A tile by the networks, if that is the shorter way, and its payload as an exact tile."""

HARDLY_LONGER = 1.1  # what an exact tile may cost beside the same with errors


@dataclass(frozen=True)
class Coded:
    """A tile in a file: its sections, and what a decoder knows of it."""

    parts: Parts
    decoded: Decoded


def encode(pixels: Samples, header: Header, options: EncoderOptions) -> Iterator[Coded]:
    """Yield the tiles of an image in raster order; few are kept longer than they are needed.

    Args:
        pixels: the image.
        header: of its file, by `header_for`.
        options: how hard to try, and for what.
    """
    stack = pixels[..., None] if pixels.ndim == 2 else pixels
    planes = stack[..., : header.planes]
    found = _lossless if options.lossless else _cheapest
    for place, tile in zip(tiles_of(header), found(planes, header, options), strict=True):
        if header.alpha:
            tile = _with_alpha(tile, stack[..., -1][place.pixels], header.bit_depth, options)
        yield tile
        progress.step(header.tiles)


def settled(header: Header, parts: list[Parts]) -> Header:
    """Return the header of a file with these tiles: without networks they have no level."""
    if any(tile.get(TILE) for tile in parts):
        return header
    model_id = header.model_id or networks.DEFAULT_MODEL
    return replace(header, networks=None, model_id=model_id, own_model="")


def header_for(pixels: Samples, level: int, options: EncoderOptions) -> Header:
    """Return the header of the file of an image.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
    if pixels.dtype not in (np.uint8, np.uint16) or not known or not pixels.size:
        expected = "expected uint8 or uint16 (H, W) or (H, W, 2..4)"
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, {expected}")
    if not 0 <= level < container.LEVELS:
        raise InputError(f"quality is {level / 2:g}, expected 0 to 100")
    height, width = pixels.shape[:2]
    limits.check(width, height)
    container.check_size(width, height)
    rgb = pixels.ndim == 3 and pixels.shape[2] >= 3
    networks_level = residual_rule.SCHEDULES[options.tune].networks_level(level)
    model_id, own_model = options.rule.model_id, ""
    if options.model is not None:
        model_id, own_model = networks.identify(own_models.find(options.model))
    return Header(
        model_id=model_id,
        own_model=own_model,
        level=level,
        width=width,
        height=height,
        channels=3 if rgb else 1,
        bit_depth=8 if pixels.dtype == np.uint8 else options.bit_depth,
        tile_size=options.tile_size or tiles.usual_side(height, width),
        neutral=rgb and _is_neutral(pixels[..., :3]),
        alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4),
        networks=None if networks_level == level else networks_level,
    )


def _is_neutral(pixels: Samples) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _with_alpha(tile: Coded, alpha: Samples, bits: int, options: EncoderOptions) -> Coded:
    payload = transparency.encode(alpha, options.alpha_quality, bits)
    height, width = alpha.shape
    known = transparency.decode(payload, height, width, bits > 8)
    return Coded({ALPHA: payload} | tile.parts, replace(tile.decoded, alpha=known))


# --- which way to code a tile ---


def _lossless(planes: Samples, header: Header, _: EncoderOptions) -> Iterator[Coded]:
    """Yield the tiles of an image (H, W, C), each exact."""
    for place in tiles_of(header):
        part = planes[place.pixels]
        yield _exact(_exact_payload(part, header), part)


def _cheapest(planes: Samples, header: Header, options: EncoderOptions) -> Iterator[Coded]:
    """Yield the tiles of an image (H, W, C), each by the way that costs least."""
    schedule = residual_rule.SCHEDULES[options.tune]
    code, tried = schedule.step_code(header.level), header.level >= schedule.first
    places = tiles_of(header)
    coded = _by_networks(planes, header, options)
    for (tile, payload), known in tiles.with_pixels(coded, _latents_of_coded, header):
        part = planes[next(places).pixels]
        wanted = depth.to_levels(part)
        if tile.decoded.y_hat is None or not (tried or residual_rule.has_edges(wanted)):
            yield tile
        else:
            decoded = decoder.from_networks(known(), header)
            exactly = None if payload is None else _exact(payload, part)
            found = _with_residual(tile, wanted, decoded, exactly, code, tried)
            letters = RESIDUAL in found.parts and residual_rule.has_letters(wanted)
            if letters and found.decoded.y_hat is None:
                alone = _alone(wanted, exactly, schedule.steps_alone(header.level))
                found = alone or _exact(_exact_payload(part, header), part)
            elif letters and not tried:  # no photograph has one there
                found = _behind(tile, wanted, decoded, schedule.steps_behind(header.level))
            yield found


def _latents_of_coded(item: tuple[Coded, bytes | None]) -> Float | None:
    return item[0].decoded.y_hat


def _by_networks(
    planes: Samples, header: Header, options: EncoderOptions
) -> Iterator[tuple[Coded, bytes | None]]:
    """Yield the tiles of an image by the networks, or exact where that is no longer.

    Beside each is its payload as an exact tile, if that has been tried.
    """
    model = networks.load(header.model)
    places = tiles_of(header)
    small = partial(_payload_if_small, header=header)
    for tile, payload in _quantised(model, planes, header, options, small):
        place = next(places)
        if tile is None:
            yield _exact(payload or b"", planes[place.pixels]), payload
        else:
            sections = latents.code(model, tile, header.networks_level)
            yield Coded(sections, Decoded(tile.y_hat)), payload


def _to_pixels(planes: Samples) -> Samples:
    return planes[..., 0] if planes.shape[2] == 1 else planes


def _payload_if_small(planes: Samples, header: Header) -> bytes | None:
    """Return the payload of an exact tile (H, W, C) where that may be the shorter way."""
    return _exact_payload(planes, header) if exact.may_be_small(_to_pixels(planes)) else None


def _exact_payload(planes: Samples, header: Header) -> bytes:
    samples = depth.of_bits(_to_pixels(planes), header.bit_depth)
    return exact.encode(samples, header.bit_depth)


def _exact(payload: bytes, planes: Samples) -> Coded:
    return Coded({EXACT: payload}, Decoded(planes=planes))


def _with_residual(
    coded: Coded, wanted: Levels, known: Levels, exactly: Coded | None, code: int, tried: bool
) -> Coded:
    """Return the cheapest of a tile as it is, with a residual, that alone, or exact.

    Args:
        coded: the tile as the networks code it.
        wanted: its levels, (H, W, C).
        known: what the networks make of it.
        exactly: the tile as an exact one, if that has been tried.
        code: of the steps of the residual.
        tried: whether a residual is tried whatever the networks leave.
    """
    bits = 8 * size_bytes(coded.parts)
    least = 1.0 if tried else residual_rule.PAYS
    tried = tried or residual_rule.is_odd(wanted, known, code)
    alone = tried and residual_rule.has_edges(wanted)
    alone = alone or residual_rule.seems_alone(wanted, known, code, bits)
    ways = [(bits + residual_rule.cost_without(wanted, known, code), coded)]
    if exactly is not None:
        ways.append((8.0 * len(exactly.parts[EXACT]), exactly))
    if tried or alone:
        found, behind, cost = residual_rule.choose(wanted, known, Steps(code))
        decoded = replace(coded.decoded, residual=behind)
        ways += [(bits + cost, Coded(coded.parts | {RESIDUAL: found}, decoded))] if found else []
    if alone:
        found, behind, cost = residual_rule.choose(wanted, None, Steps(code))
        decoded = Decoded(residual=behind)
        ways += [(cost, Coded({TILE: b"", RESIDUAL: found}, decoded))] if found else []
    cost, best = min(ways, key=lambda way: way[0])
    return best if EXACT in best.parts or cost < least * ways[0][0] else coded


def _alone(wanted: Levels, exactly: Coded | None, steps: Steps) -> Coded | None:
    """Return a tile as a residual alone, in steps for such, or exact; None where that says nothing.

    Args:
        wanted: its levels, (H, W, C).
        exactly: the tile as an exact one, if that has been tried.
        steps: of the residual.
    """
    found, residual, cost = residual_rule.choose(wanted, None, steps)
    if not found or (exactly is not None and 8 * len(exactly.parts[EXACT]) <= cost):
        return exactly
    return Coded({TILE: b"", RESIDUAL: found}, Decoded(residual=residual))


def _behind(coded: Coded, wanted: Levels, known: Levels, steps: Steps) -> Coded:
    """Return a tile by the networks with a residual of these steps behind it, if it says anything.

    Args:
        coded: the tile as the networks code it.
        wanted: its levels, (H, W, C).
        known: what the networks make of it.
        steps: of the residual.
    """
    found, residual, _ = residual_rule.choose(wanted, known, steps)
    if not found:
        return coded
    return Coded(coded.parts | {RESIDUAL: found}, replace(coded.decoded, residual=residual))


# --- by the networks ---


def _quantised(
    model: Model,
    planes: Samples,
    header: Header,
    options: EncoderOptions,
    payload_of: Callable[[Samples], bytes | None],
) -> Iterator[Tried]:
    """Yield what is coded of each tile of an image, and its payload as an exact tile, if tried.

    A tile whose exact payload is hardly longer than that of the networks gives None.

    Args:
        model: the networks.
        planes: the image, (H, W, C), C = 1 or 3.
        header: of its file.
        options: how hard to try, and for what.
        payload_of: returns the payload of pixels (H, W, C) as an exact tile; None: not to be tried.
    """
    level, tune = header.networks_level, options.rule
    first = (
        _unless_exact(
            model,
            latents.quantise(model, *tiles.analyse(model, planes, place, level), level, tune),
            payload_of(planes[place.pixels]),
            level,
        )
        for place in tiles_of(header)
    )
    if not options.effort:
        yield from first
        return
    places = tiles_of(header)
    for (tile, payload), known in tiles.with_pixels(first, _latents_of_tried, header, model):
        place = next(places)
        if tile is not None:
            decoded = tiles.to_rgb(decoder.from_networks(known(), header))
            wanted = tiles.to_rgb(depth.to_levels(planes[place.pixels]))
            error = _latent_error(model, wanted, decoded, level, tune)
            tile = latents.correct(model, tile, error, level, tune)
        yield tile, payload


def _latents_of_tried(item: Tried) -> Float | None:
    return None if item[0] is None else item[0].y_hat


def _unless_exact(model: Model, tile: Quantised, payload: bytes | None, level: int) -> Tried:
    """Return a quantised tile, or None where an exact payload is hardly longer than its own."""
    if payload is None:
        return tile, payload
    if len(payload) > HARDLY_LONGER * size_bytes(latents.code(model, tile, level)):
        return tile, payload
    return None, payload


def _latent_error(
    model: Model, wanted: Levels, known: Levels, level: int, tune: Tune
) -> tuple[Float, Float]:
    """Return by how much a tile's latents are off and what that weighs; see the model's method.

    Args:
        wanted: the levels of the tile, (H, W, 3).
        known: what the decoder makes of them, (H, W, 3).
    """
    pixels = tiles.pad(wanted, LATENT)
    found = pixels.copy()  # beyond the picture there is no error
    found[: known.shape[0], : known.shape[1]] = known
    return model.latent_error(pixels, found, level, tune.chroma, tune.masking)


def symbols_of(
    model: Model, pixels: Samples, level: int, tune: str
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the encoder would code by networks of an image (H, W, 3) as one tile.

    Returns:
        (symbols, table indexes), flat: first those of z, then those of all latents.
    """
    side = -(-max(pixels.shape[:2]) // HYPER) * HYPER
    options = EncoderOptions(tune=tune, tile_size=side)
    header = replace(header_for(pixels, level, options), networks=None, neutral=False)
    ((tile, _),) = _quantised(model, pixels, header, options, lambda _: None)
    assert tile is not None
    group = latents.hyper_group(model, tile.z_hat, level)
    return [group, (tile.symbols.ravel(), tile.indexes.ravel())]
