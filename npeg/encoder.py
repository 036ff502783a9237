"""Pixels to payloads of tiles; `decoder` faces it.

Enters: uint8 pixels, (H, W) grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4).
Leaves: the header of a file, the sections of each tile, and what a decoder knows of it.

    header_for: what the file says first
    encode: an image to tiles
        transparency.split, encode: alpha apart from the colours
        _cheapest: each tile by the way that costs least in bits and error
            exact.encode: every pixel as it is
            _quantised: latents, by tiles.analyse, latents.quantise and correct
            latents.code: their symbols to payloads
            _with_residual: what the networks leave, behind them or alone
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, decoder, exact, latents, networks, residual_rule, tiles, transparency
from .container import ALPHA, EXACT, RESIDUAL, TILE, Header, Parts
from .decoder import Decoded
from .encoder_rule import EncoderOptions, Tune
from .errors import InputError
from .latents import Quantised
from .networks import Model
from .tiles import HYPER, LATENT, Float, Pixels, Tile, tiles_of

HARDLY_LONGER = 1.1  # what an exact tile may cost beside the same with errors


@dataclass(frozen=True)
class Coded:
    """A tile in a file: its sections, and what a decoder knows of it."""

    parts: Parts
    decoded: Decoded


def encode(
    pixels: Pixels, level: int, options: EncoderOptions
) -> tuple[Header, list[Parts], list[Decoded]]:
    """Return the header of an image's file, and the sections of each tile and what they say.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    header = header_for(pixels, level, options)
    colours, alpha = transparency.split(pixels)
    planes = colours[..., None] if colours.ndim == 2 else colours[..., : header.planes]
    found = _lossless if options.lossless else _cheapest
    coded = found(planes, header, options)
    if alpha is not None:
        places = zip(coded, tiles_of(header), strict=True)
        coded = [_with_alpha(tile, alpha[place.pixels], options) for tile, place in places]
    decoded = [tile.decoded for tile in coded]
    if all(tile.y_hat is None for tile in decoded):
        header = replace(header, networks=None)
    return header, [tile.parts for tile in coded], decoded


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
    networks_level = residual_rule.SCHEDULES[options.tune].networks_level(level)
    return Header(
        model_id=options.rule.model_id,
        level=level,
        width=width,
        height=height,
        channels=3 if rgb else 1,
        tile_size=options.tile_size or tiles.usual_side(height, width),
        neutral=rgb and _is_neutral(pixels[..., :3]),
        alpha=pixels.ndim == 3 and pixels.shape[2] in (2, 4),
        networks=None if networks_level == level else networks_level,
    )


def _is_neutral(pixels: Pixels) -> bool:
    """Tell RGB (H, W, 3) whose channels are equal everywhere: row by row, most end at once."""
    return all((row == row[:, :1]).all() for row in pixels)


def _with_alpha(tile: Coded, alpha: Pixels, options: EncoderOptions) -> Coded:
    payload = transparency.encode(alpha, options.alpha_quality)
    known = transparency.decode(payload, *alpha.shape)
    return Coded({ALPHA: payload} | tile.parts, replace(tile.decoded, alpha=known))


# --- which way to code a tile ---


def _lossless(planes: Pixels, header: Header, options: EncoderOptions) -> list[Coded]:
    """Return the tiles of an image (H, W, C), each exact."""
    parts = (planes[place.pixels] for place in tiles_of(header))
    return [_exact(_exact_payload(part), part) for part in parts]


def _cheapest(planes: Pixels, header: Header, options: EncoderOptions) -> list[Coded]:
    """Return the tiles of an image (H, W, C), each by the way that costs least."""
    parts = [planes[place.pixels] for place in tiles_of(header)]
    payloads = [
        _exact_payload(part) if exact.may_be_small(_to_pixels(part)) else None for part in parts
    ]
    model = networks.load(header.model_id)
    coded = []
    for tile, payload, part in zip(
        _quantised(model, planes, header, options, payloads), payloads, parts, strict=True
    ):
        if tile is None:
            coded.append(_exact(payload or b"", part))
        else:
            sections = {TILE: latents.code(model, tile, header.networks_level)}
            coded.append(Coded(sections, Decoded(tile.y_hat)))
    return _with_residuals(coded, parts, payloads, header, options)


def _to_pixels(planes: Pixels) -> Pixels:
    return planes[..., 0] if planes.shape[2] == 1 else planes


def _exact_payload(planes: Pixels) -> bytes:
    return exact.encode(_to_pixels(planes))


def _exact(payload: bytes, planes: Pixels) -> Coded:
    return Coded({EXACT: payload}, Decoded(planes=planes))


def _with_residuals(
    coded: list[Coded],
    parts: list[Pixels],
    payloads: list[bytes | None],
    header: Header,
    options: EncoderOptions,
) -> list[Coded]:
    """Return tiles with residuals where they pay, at high qualities or where networks err."""
    schedule = residual_rule.SCHEDULES[options.tune]
    code, tried = schedule.step_code(header.level), header.level >= schedule.first
    candidates = [
        tile.decoded.y_hat is not None and (tried or residual_rule.has_edges(part))
        for tile, part in zip(coded, parts, strict=True)
    ]
    if not any(candidates):
        return coded
    known = decoder.from_networks([tile.decoded.y_hat for tile in coded], header)
    places = list(tiles_of(header))
    return [
        _with_residual(tile, part, known[place.pixels], payload, code, tried) if wanted else tile
        for tile, part, place, payload, wanted in zip(
            coded, parts, places, payloads, candidates, strict=True
        )
    ]


def _with_residual(
    coded: Coded, wanted: Pixels, known: Pixels, payload: bytes | None, code: int, tried: bool
) -> Coded:
    """Return the cheapest of a tile as it is, with a residual, that alone, or exact.

    Args:
        coded: the tile as the networks code it.
        wanted: its pixels, (H, W, C).
        known: what the networks make of it.
        payload: of it as an exact tile, if that has been tried.
        code: of the steps of the residual.
        tried: whether a residual is tried whatever the networks leave.
    """
    bits = 8 * len(coded.parts[TILE])
    least = 1.0 if tried else residual_rule.PAYS
    tried = tried or residual_rule.is_odd(wanted, known, code)
    alone = tried and residual_rule.has_edges(wanted)
    alone = alone or residual_rule.seems_alone(wanted, known, code, bits)
    ways = [(bits + residual_rule.cost_without(wanted, known, code), coded)]
    if payload is not None:
        ways.append((8.0 * len(payload), _exact(payload, wanted)))
    if tried or alone:
        found, behind, cost = residual_rule.choose(wanted, known, code)
        decoded = replace(coded.decoded, residual=behind)
        ways += [(bits + cost, Coded(coded.parts | {RESIDUAL: found}, decoded))] if found else []
    if alone:
        found, behind, cost = residual_rule.choose(wanted, None, code)
        decoded = Decoded(residual=behind)
        ways += [(cost, Coded({TILE: b"", RESIDUAL: found}, decoded))] if found else []
    cost, best = min(ways, key=lambda way: way[0])
    return best if EXACT in best.parts or cost < least * ways[0][0] else coded


# --- by the networks ---


def _quantised(
    model: Model,
    planes: Pixels,
    header: Header,
    options: EncoderOptions,
    payloads: list[bytes | None],
) -> Iterator[Quantised | None]:
    """Yield what is coded of each tile of an image; none is kept longer than it is needed.

    A tile for which there is the payload of an exact one that is hardly longer gives None.
    """
    rgb = planes if header.planes == 3 else np.repeat(planes, 3, axis=2)
    level, tune = header.networks_level, options.rule
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
    known = decoder.from_networks(y_hats, header, model)
    known = known if header.planes == 3 else np.repeat(known, 3, axis=2)
    found.reverse()
    for place in tiles_of(header):
        if (tile := found.pop()) is None:
            yield None
            continue
        estimates = _latent_error(model, rgb, known, place, level, tune)
        yield latents.correct(model, tile, estimates, level, tune)


def _unless_exact(
    model: Model, tile: Quantised, payload: bytes | None, level: int
) -> Quantised | None:
    """Return a quantised tile, or None where an exact payload is hardly longer than its own."""
    if payload is None or len(payload) > HARDLY_LONGER * len(latents.code(model, tile, level)):
        return tile
    return None


def _latent_error(
    model: Model, rgb: Pixels, known: Pixels, tile: Tile, level: int, tune: Tune
) -> tuple[Float, Float]:
    """Return by how much a tile's latents are off and what that weighs; see the model's method."""
    pixels = tiles.pad(rgb[tile.pixels], LATENT)
    found = pixels.copy()  # beyond the picture there is no error
    found[: tile.bottom - tile.top, : tile.right - tile.left] = known[tile.pixels]
    return model.latent_error(pixels, found, level, tune.chroma, tune.masking)


def symbols_of(
    model: Model, pixels: Pixels, level: int, tune: str
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return what the encoder would code by networks of an image (H, W, 3) as one tile.

    Returns:
        (symbols, table indexes), flat: first those of z, then those of all latents.
    """
    side = -(-max(pixels.shape[:2]) // HYPER) * HYPER
    options = EncoderOptions(tune=tune, tile_size=side)
    header = replace(header_for(pixels, level, options), networks=None, neutral=False)
    (tile,) = _quantised(model, pixels, header, options, [None])
    assert tile is not None
    group = latents.hyper_group(model, tile.z_hat, level)
    return [group, (tile.symbols.ravel(), tile.indexes.ravel())]
