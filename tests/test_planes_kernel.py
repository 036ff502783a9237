"""The compiled way over the planes gives what NumPy gives, of sound payloads and of any bytes."""

import random
import re
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from npeg import planes
from npeg.errors import FormatError
from npeg.guesses import TEMPLATES
from npeg.planes import Ints, Method, Planes

kernel = pytest.importorskip("npeg._planes", reason="npeg was installed without a C compiler")

METHODS = [
    Method(),
    Method(guessing=False),
    Method(matching=False, guessing=False),
    Method(direct=True),
]


def picture(kind: str, shape: tuple[int, int, int], most: int) -> Planes:
    """Return planes of noise, of few values in runs, or smooth ones, in 0..most."""
    rng = np.random.default_rng(shape[1])
    if kind == "noise":
        return rng.integers(0, most + 1, shape).astype(np.int32)
    if kind == "runs":
        few = rng.integers(0, most + 1, (shape[0], 5))
        index = np.repeat(rng.integers(0, 5, (shape[1], -(-shape[2] // 7))), 7, axis=1)
        return few[:, index[:, : shape[2]]].astype(np.int32)
    waves = 0.5 + 0.5 * np.sin(np.add.outer(np.arange(shape[1]), np.arange(shape[2])) / 9)
    return np.rint(most * waves[None] * rng.uniform(0.5, 1, (shape[0], 1, 1))).astype(np.int32)


def outcome(payload: bytes, shape: tuple[int, int, int], bounds: tuple[Ints, Ints]) -> bytes | str:
    """Return the samples of a payload, or why it is refused."""
    try:
        return planes.decode(payload, shape, bounds).tobytes()
    except FormatError as error:
        return str(error)


CASES = list(
    product(("noise", "runs", "smooth"), ((1, 1, 1), (1, 1, 40), (1, 30, 31), (3, 17, 64)))
)


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("most", [1, 255, 65535])
def test_both_read_the_same(
    kind: str, shape: tuple[int, int, int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = picture(kind, shape, most)
    bounds = np.zeros(shape[0], np.int64), np.full(shape[0], most)
    weights = np.random.default_rng(1).integers(-40, 90, (shape[0], 8))
    methods = [*METHODS, Method(weights=weights)]
    payloads = [planes.encode(stack, method, bounds) for method in methods]
    rng, bad = random.Random(most), []
    for payload in payloads:
        for _ in range(3):
            changed = bytearray(payload)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            bad.append(bytes(changed[: rng.choice((len(changed), rng.randrange(len(changed))))]))
    compiled = [outcome(payload, shape, bounds) for payload in payloads + bad]
    monkeypatch.setattr(planes, "kernel", None)
    assert compiled == [outcome(payload, shape, bounds) for payload in payloads + bad]
    assert compiled[: len(payloads)] == [stack.tobytes()] * len(payloads)


def test_too_few_lanes_are_refused_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = picture("smooth", (1, 300, 310), 255)
    bounds = np.zeros(1, np.int64), np.full(1, 255)
    payload = planes.encode(stack, Method(matching=False, guessing=False), bounds)
    states = np.frombuffer(payload, "<u4", 2, 2).tobytes()  # two lanes in place of more
    payload = payload[:1] + b"\1" + states + bytes(200_000)
    compiled = outcome(payload, stack.shape, bounds)
    monkeypatch.setattr(planes, "kernel", None)
    assert compiled == outcome(payload, stack.shape, bounds)
    assert re.fullmatch("exact payload has 2 lanes for 65[0-9]{3} symbols", str(compiled))


def test_many_symbols_halve_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = picture("noise", (1, 260, 300), 1)
    bounds = np.zeros(1, np.int64), np.ones(1, np.int64)
    payload = planes.encode(stack, Method(matching=False, guessing=False), bounds)
    assert (planes.decode(payload, stack.shape, bounds) == stack).all()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("planes", np.zeros(3, np.int32), "too short"),
        ("states", np.zeros(0, np.int64), "too short"),
        ("words", np.zeros(4, np.uint8), "items of another size"),
        ("match_sizes", np.full(planes.BROKEN_ROW + 1, 7, np.uint8), "more symbols than columns"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: NDArray[Any], message: str) -> None:
    matches, tokens = planes._match_tables(), planes._token_tables(1, 511, False)
    arguments = {
        "words": np.zeros(0, np.uint16),
        "states": np.full(1, 1 << 16, np.int64),
        "planes": np.zeros(4, np.int32),
        "shape": (1, 2, 2),
        "flags": 3,
        "coarseness": 0,
        "match_counts": matches.counts,
        "match_sizes": matches.sizes,
        "token_counts": tokens.counts,
        "token_sizes": tokens.sizes,
        "templates": TEMPLATES,
        "weights": np.empty(0, np.int64),
        "low": np.zeros(1, np.int64),
        "high": np.full(1, 255),
        "context_of_activity": planes.CONTEXT_OF_ACTIVITY,
        "low_bits": planes.LOW_BITS,
        "first_value": planes.FIRST_VALUE,
    }
    assert message in kernel.decode(*(arguments | {name: value}).values())
