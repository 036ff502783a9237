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
            ways.with_residual: what the networks leave, behind them or alone
        transparency.encode: alpha
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
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
    ways,
)
from .arrays import Levels, Samples
from .container import Header
from .decoder import Decoded
from .encoder_rule import EncoderOptions, Tune
from .errors import InputError
from .latents import Quantised
from .networks import Model
from .sections import ALPHA, RESIDUAL, TILE, Parts, size_bytes
from .tiles import HYPER, LATENT, Float, tiles_of
from .ways import Coded

Tried = tuple[Quantised | None, bytes | None]
"""A tile by the networks, if that is the shorter way, and its payload as an exact tile."""

HARDLY_LONGER = 1.1  # what an exact tile may cost beside the same with errors


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
        yield ways.exact_tile(ways.exact_payload(part, header), part)


def _cheapest(planes: Samples, header: Header, options: EncoderOptions) -> Iterator[Coded]:
    """Yield the tiles of an image (H, W, C), each by the way that costs least.

    Where a tile gave up latents that its neighbours' pixels were reckoned with, what the networks
    leave of these is coded again.
    """
    lost: set[int] = set()
    chosen, places = _chosen(planes, header, options, lost), tiles_of(header)
    found = tiles.with_pixels(chosen, lambda tile: tile.decoded.y_hat, header)
    for number, (tile, known) in enumerate(found):
        part = planes[next(places).pixels]
        behind = tile.decoded.residual is not None and tile.decoded.y_hat is not None
        if behind and lost & tiles.reaching([number], header):
            decoded = decoder.from_networks(known(), header)
            tile = ways.behind_again(tile, depth.to_levels(part), decoded)
        yield tile


def _chosen(
    planes: Samples, header: Header, options: EncoderOptions, lost: set[int]
) -> Iterator[Coded]:
    """Yield each tile by the way that costs least if all others keep their latents.

    Args:
        planes: the image, (H, W, C).
        header: of its file.
        options: how hard to try, and for what.
        lost: gets the numbers of tiles that give up their latents.
    """
    schedule = residual_rule.SCHEDULES[options.tune]
    code, always = schedule.step_code(header.level), header.level >= schedule.first
    places = tiles_of(header)
    coded = _by_networks(planes, header, options)
    tried_all = tiles.with_pixels(coded, _latents_of_coded, header)
    for number, ((tile, payload), known) in enumerate(tried_all):
        part = planes[next(places).pixels]
        wanted = depth.to_levels(part)
        if tile.decoded.y_hat is None or not (always or residual_rule.has_edges(wanted)):
            yield tile
        else:
            decoded = decoder.from_networks(known(), header)
            exactly = None if payload is None else ways.exact_tile(payload, part)
            letters = residual_rule.has_letters(wanted)
            tried = always or (letters and header.level >= schedule.letters)
            found = ways.with_residual(tile, wanted, decoded, exactly, code, tried)
            if letters and RESIDUAL in found.parts:
                if found.decoded.y_hat is None:
                    alone = ways.residual_alone(wanted, exactly, schedule.steps_alone(header.level))
                    found = alone or ways.exact_tile(ways.exact_payload(part, header), part)
                else:
                    found = ways.residual_behind(
                        tile, wanted, decoded, schedule.steps_behind(header.level)
                    )
            if found.decoded.y_hat is None:
                lost.add(number)
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
            yield ways.exact_tile(payload or b"", planes[place.pixels]), payload
        else:
            sections = latents.code(model, tile, header.networks_level)
            yield Coded(sections, Decoded(tile.y_hat)), payload


def _payload_if_small(planes: Samples, header: Header) -> bytes | None:
    """Return the payload of an exact tile (H, W, C) where that may be the shorter way."""
    return (
        ways.exact_payload(planes, header) if exact.may_be_small(ways.to_pixels(planes)) else None
    )


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
