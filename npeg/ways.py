"""The ways to code a tile beside the networks: exactly, and with what they leave.

Enters: a tile's pixels or levels, what the networks make of it. Leaves: its sections, and what a
decoder knows of it. Knows no other tile; `encoder` chooses.
"""

from dataclasses import dataclass, replace

from . import depth, exact, residual_rule
from .arrays import Levels, Samples
from .container import Header
from .decoder import Decoded
from .residual_rule import Steps
from .sections import EXACT, RESIDUAL, TILE, Parts, size_bytes


@dataclass(frozen=True)
class Coded:
    """A tile in a file: its sections, and what a decoder knows of it."""

    parts: Parts
    decoded: Decoded


def to_pixels(planes: Samples) -> Samples:
    """Return (H, W, C) without its last axis where that has one channel."""
    return planes[..., 0] if planes.shape[2] == 1 else planes


def exact_payload(planes: Samples, header: Header) -> bytes:
    """Return the payload of samples (H, W, C) as an exact tile."""
    samples = depth.of_bits(to_pixels(planes), header.bit_depth)
    return exact.encode(samples, header.bit_depth)


def exact_tile(payload: bytes, planes: Samples) -> Coded:
    """Return a tile (H, W, C) of an exact payload."""
    return Coded({EXACT: payload}, Decoded(planes=planes))


def with_residual(
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


def residual_alone(wanted: Levels, exactly: Coded | None, steps: Steps) -> Coded | None:
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


def residual_behind(coded: Coded, wanted: Levels, known: Levels, steps: Steps) -> Coded:
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


def behind_again(coded: Coded, wanted: Levels, known: Levels) -> Coded:
    """Return a tile with a residual behind the networks, coded again in its own steps.

    Args:
        coded: the tile; its residual was to be added to other levels.
        wanted: its levels, (H, W, C).
        known: what the networks make of it now.
    """
    before = coded.decoded.residual
    assert before is not None
    parts = {kind: data for kind, data in coded.parts.items() if kind != RESIDUAL}
    plain = Coded(parts, replace(coded.decoded, residual=None))
    luma, red_blue, green = (*before.slopes, 0, 0, 0)[:3]
    steps = Steps(before.steps[0], (luma, red_blue, green))
    return residual_behind(plain, wanted, known, steps)
