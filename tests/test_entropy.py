"""Laws of the entropy coder: exact round trips, size near the entropy, and calm under damage."""

import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from npeg.entropy import (
    ESCAPE,
    LOW_BITS,
    MAGNITUDE_OF_TOKEN,
    MAX_MAGNITUDE,
    TOKEN_OF_MAGNITUDE,
    TOKENS,
    Decoder,
    Tables,
    encode,
    entropy_bits,
    quantize_probabilities,
)
from npeg.errors import FormatError, InputError
from npeg.rans import TOTAL

Group = tuple[NDArray[np.int64], NDArray[np.int64]]

SCALES = np.geomspace(0.11, 256, 64)
SMALL = Tables([[6000, 1000, 800, 300, 0] + [0] * 55 + [92], [4092, 4, *[0] * 58, 4096]])
GOLDEN_GROUPS: list[Group] = [
    (np.array([1, 0, -2, 0, 17]), np.array([0, 0, 0, 1, 0])),
    (np.array([[0, -1, 3], [-3, 0, -32767]]), np.array([[1, 1, 0], [0, 0, 1]])),
]
GOLDEN = "b7fff0de2408612cd9573114"


def laplace_probabilities(scale: float) -> NDArray[np.float64]:
    edges = np.append(MAGNITUDE_OF_TOKEN, MAX_MAGNITUDE + 1) - 0.5
    tails: NDArray[np.float64] = np.exp(-edges.clip(0) * 2**0.5 / scale)  # of the magnitudes
    probabilities: NDArray[np.float64] = -np.diff(tails)
    return probabilities


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables(np.stack([quantize_probabilities(laplace_probabilities(s)) for s in SCALES]))


def laplace_group(size: int, indexes: NDArray[np.int64], seed: int = 0) -> Group:
    draw = np.random.default_rng(seed).laplace(0, SCALES[indexes] * 0.5**0.5, size)
    return draw.round().clip(-MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int64), indexes


def spread_indexes(size: int, median: float, seed: int = 0) -> NDArray[np.int64]:
    scales = median * np.exp(1.4 * np.random.default_rng(seed).standard_normal(size))
    nearest: NDArray[np.int64] = np.abs(np.log(SCALES) - np.log(scales)[:, None]).argmin(axis=1)
    return nearest


def decode_all(payload: bytes, groups: list[Group], tables: Tables) -> list[NDArray[np.int32]]:
    decoder = Decoder(payload, tables)
    last = len(groups) - 1
    return [decoder.decode(g[1], last=k == last) for k, g in enumerate(groups)]


def assert_round_trip(groups: list[Group], tables: Tables, lanes: int | None = None) -> bytes:
    payload = encode(groups, tables, lanes)
    for decoded, (symbols, _) in zip(decode_all(payload, groups, tables), groups, strict=True):
        assert decoded.dtype == np.int32
        assert decoded.shape == symbols.shape
        assert (decoded == symbols).all()
    return payload


@st.composite
def some_tables(draw: st.DrawFn) -> Tables:
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        known = rng.random(TOKENS + 1) < draw(st.sampled_from([0, 0.1, 0.5, 1]))
        known[ESCAPE] = True
        skew = draw(st.sampled_from([0.1, 1, 10]))
        shares = rng.dirichlet(np.full(known.sum(), 1 / skew)) * (TOTAL - known.sum())
        row = np.zeros(TOKENS + 1, np.int64)
        row[known] = 1 + shares.astype(np.int64)
        row[rng.choice(np.flatnonzero(known))] += TOTAL - row.sum()
        rows.append(row)
    return Tables(rows)


@st.composite
def some_groups(draw: st.DrawFn, tables: Tables) -> list[Group]:
    groups = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.sampled_from([0, 0, 1, 2, 7, 64, 65, 300]))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        limit = draw(st.sampled_from([0, 1, 4, 20, 300, MAX_MAGNITUDE]))
        symbols = rng.integers(-limit, limit, size, endpoint=True)
        symbols[rng.random(size) < 0.05] = draw(st.sampled_from([-MAX_MAGNITUDE, MAX_MAGNITUDE]))
        groups.append((symbols, rng.integers(0, len(tables), size)))
    return groups


lanes_choices = st.sampled_from([None, 1, 2, 8, 64, 256, 1024])


@settings(deadline=None, max_examples=100)
@given(st.data(), some_tables(), lanes_choices)
def test_every_group_comes_back_as_it_was(
    data: st.DataObject, tables: Tables, lanes: int | None
) -> None:
    assert_round_trip(data.draw(some_groups(tables)), tables, lanes)


class Reference:
    """A decoder in plain Python, one symbol at a time: SPEC.md's description, nothing else."""

    def __init__(self, payload: bytes, frequencies: list[list[int]]) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in reversed(payload))
        self.words = iter(zip(payload[::2], payload[1::2], strict=False))
        self.frequencies = frequencies
        self.stream = iter(self.bits)
        self.states = [0] * (1 << self.read(4))
        extra = [self.read(4) for _ in self.states]
        self.states = [(1 << 16 + n) + self.read(16 + n) for n in extra]

    def read(self, count: int) -> int:
        return int("0" + "".join(next(self.stream) for _ in range(count)), 2)

    def pop(self, lane: int, index: int) -> int:
        slot, start, entry = self.states[lane] % 8192, 0, 0
        while slot >= start + self.frequencies[index][entry]:
            start += self.frequencies[index][entry]
            entry += 1
        frequency = self.frequencies[index][entry]
        state = frequency * (self.states[lane] // 8192) + slot - start
        if state < 1 << 16:
            low, high = next(self.words)
            state = state << 16 | high << 8 | low
        self.states[lane] = state
        return entry

    def decode(self, indexes: list[int], last: bool) -> Iterator[int]:
        tokens = [self.pop(i % len(self.states), index) for i, index in enumerate(indexes)]
        if last:
            self.stream = iter(
                "".join(f"{s - 65536:016b}" for s in self.states) + "".join(self.stream)
            )
        tokens = [self.read(6) if token == 60 else token for token in tokens]
        for token in tokens:
            sign = self.read(1) if token else 0
            octave, part = divmod(token - 16, 4)
            low_bits = octave + 2
            m = token if token < 16 else (4 + part << low_bits) + self.read(low_bits)
            yield -m if sign else m


@settings(deadline=None, max_examples=40)
@given(st.data(), some_tables(), st.sampled_from([None, 1, 4, 32]))
def test_a_plain_decoder_written_from_the_specification_agrees(
    data: st.DataObject, tables: Tables, lanes: int | None
) -> None:
    groups = data.draw(some_groups(tables))
    reference = Reference(encode(groups, tables, lanes), tables.frequencies.tolist())
    for k, (symbols, indexes) in enumerate(groups):
        decoded = reference.decode(indexes.tolist(), last=k == len(groups) - 1)
        assert list(decoded) == symbols.tolist()


def test_the_golden_payload_never_changes() -> None:
    assert encode(GOLDEN_GROUPS, SMALL, lanes=2).hex() == GOLDEN
    for decoded, group in zip(
        decode_all(bytes.fromhex(GOLDEN), GOLDEN_GROUPS, SMALL), GOLDEN_GROUPS, strict=True
    ):
        assert decoded.tolist() == group[0].tolist()


def test_the_same_symbols_give_the_same_bytes_whatever_their_type_and_order(
    tables: Tables,
) -> None:
    symbols, indexes = laplace_group(4000, spread_indexes(4000, 1))
    payload = encode([(symbols, indexes)], tables)
    assert payload == encode([(symbols, indexes)], tables)
    assert payload == encode([(symbols.astype(np.int16), indexes.astype(np.uint8))], tables)
    by_column = np.asfortranarray(symbols.reshape(40, 100)), indexes.reshape(40, 100)
    assert payload == encode([by_column], tables)


def test_tokens_split_the_magnitudes_as_described() -> None:
    assert TOKEN_OF_MAGNITUDE.shape == (MAX_MAGNITUDE + 1,)
    assert TOKEN_OF_MAGNITUDE[:16].tolist() == list(range(16))
    for m in (16, 19, 20, 31, 32, 39, 40, 63, 64, 1000, 20000, 32767):
        octave = m.bit_length() - 1
        token = 16 + 4 * (octave - 4) + (m >> octave - 2) % 4
        assert TOKEN_OF_MAGNITUDE[m] == token
        assert LOW_BITS[token] == octave - 2


@pytest.mark.parametrize("size", [0, 1, 2, 10, 100, 1000, 3000, 20_000, 300_000])
@pytest.mark.parametrize("median", [0.02, 0.2, 1, 30])
def test_the_payload_is_within_one_per_cent_and_16_bytes_of_the_entropy(
    tables: Tables, size: int, median: float
) -> None:
    hyper = laplace_group(size // 50, spread_indexes(size // 50, 2, seed=1), seed=2)
    groups = [hyper, laplace_group(size, spread_indexes(size, median))]
    ideal = sum(entropy_bits(*group, tables) for group in groups) / 8
    assert len(encode(groups, tables)) <= 1.01 * ideal + 16


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000])
def test_symbols_that_cost_nothing_take_few_bytes(tables: Tables, size: int) -> None:
    groups = [(np.zeros(size, np.int64), np.zeros(size, np.int64))]
    assert len(encode(groups, tables)) <= 1.01 * entropy_bits(*groups[0], tables) / 8 + 16


@pytest.mark.parametrize("lanes", [4, 16, 256])
def test_a_lane_costs_half_a_byte(tables: Tables, lanes: int) -> None:
    group = laplace_group(100_000, spread_indexes(100_000, 0.5))
    ideal = entropy_bits(*group, tables) / 8
    assert len(encode([group], tables, lanes)) <= 1.0002 * ideal + 0.6 * lanes + 3


def test_entropy_counts_tokens_escapes_signs_and_low_bits() -> None:
    assert entropy_bits([0], [1], SMALL) == pytest.approx(-np.log2(4092 / 8192))
    assert entropy_bits([-1], [0], SMALL) == pytest.approx(-np.log2(1000 / 8192) + 1)
    assert entropy_bits([-7], [1], SMALL) == pytest.approx(1 + 6 + 1)
    assert entropy_bits([32767], [1], SMALL) == pytest.approx(1 + 6 + 1 + 12)
    assert entropy_bits([], [], SMALL) == 0


def test_every_truncation_is_refused() -> None:
    payload = bytes.fromhex(GOLDEN)
    for size in range(len(payload)):
        for damaged in (payload[:size], payload[len(payload) - size :]):
            with pytest.raises(FormatError, match=r"^[^\n]+$"):
                decode_all(damaged, GOLDEN_GROUPS, SMALL)


def assert_refused_or_plausible(payload: bytes, groups: list[Group], tables: Tables) -> None:
    try:
        decoded = decode_all(payload, groups, tables)
    except FormatError:
        return
    for found, (symbols, _) in zip(decoded, groups, strict=True):
        assert found.shape == symbols.shape
        assert np.abs(found).max(initial=0) <= MAX_MAGNITUDE


@pytest.mark.parametrize("lanes", [1, 2, 16])
def test_every_flipped_bit_gives_other_symbols_or_is_refused(lanes: int) -> None:
    payload = encode(GOLDEN_GROUPS, SMALL, lanes)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        assert_refused_or_plausible(bytes(damaged), GOLDEN_GROUPS, SMALL)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.data(), some_tables())
def test_any_bytes_give_symbols_or_are_refused(
    payload: bytes, data: st.DataObject, tables: Tables
) -> None:
    assert_refused_or_plausible(payload, data.draw(some_groups(tables)), tables)


@settings(deadline=None, max_examples=200)
@given(st.data(), some_tables(), lanes_choices)
def test_any_change_to_a_payload_gives_symbols_or_is_refused(
    data: st.DataObject, tables: Tables, lanes: int | None
) -> None:
    groups = data.draw(some_groups(tables))
    payload = bytearray(encode(groups, tables, lanes))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert_refused_or_plausible(bytes(payload), groups, tables)


def test_what_is_not_a_payload_is_refused_in_words() -> None:
    payload = encode(GOLDEN_GROUPS, SMALL, lanes=1)
    with pytest.raises(FormatError, match="2\\^11 lanes"):
        Decoder(payload[:-1] + b"\xb0", SMALL)
    with pytest.raises(FormatError, match="raw bits are used up"):
        Decoder(b"", SMALL)
    with pytest.raises(FormatError, match="words are used up"):
        Decoder(payload, SMALL).decode(np.zeros(1000, int))
    empty: list[Group] = [(np.zeros(0, int), np.zeros(0, int))]
    assert encode(empty, SMALL) == bytes(3)
    with pytest.raises(FormatError, match="has 5 bytes, its symbols take 3"):
        decode_all(bytes(5), empty, SMALL)
    with pytest.raises(FormatError, match="padding"):
        decode_all(b"\1\0\0", empty, SMALL)
    with pytest.raises(FormatError, match="ends in state 131072"):
        decode_all(bytes(3) + b"\1", empty, SMALL)


def test_an_escape_for_a_token_that_the_table_has_is_refused() -> None:
    without = [0, 0, 0, 0, 0, 0, 100, *[0] * 53, TOTAL - 100]
    with_five = [0, 0, 0, 0, 0, 50, 50, *[0] * 53, TOTAL - 100]
    payload = encode([([5], [0])], Tables([without]))
    assert Decoder(payload, Tables([without])).decode([0], last=True) == [5]
    with pytest.raises(FormatError, match="escapes token 5"):
        Decoder(payload, Tables([with_five])).decode([0], last=True)


def test_nothing_follows_the_last_group() -> None:
    decoder = Decoder(encode(GOLDEN_GROUPS[:1], SMALL), SMALL)
    decoder.decode(GOLDEN_GROUPS[0][1], last=True)
    with pytest.raises(InputError, match="decoded before"):
        decoder.decode([0])


@pytest.mark.parametrize(
    ("groups", "lanes", "message"),
    [
        ([], None, "found none"),
        ([([0, 1], [0])], None, "shape"),
        ([([1 << 15], [0])], None, "32768..32768"),
        ([([0.5], [0])], None, "symbols have dtype float64"),
        ([([0], [2])], None, "expected 0..1"),
        ([([0], [-1])], None, "expected 0..1"),
        ([([0], [0.0])], None, "indexes have dtype float64"),
        ([([0], [0])], 3, "lanes is 3"),
        ([([0], [0])], 2048, "lanes is 2048"),
    ],
)
def test_unusable_arguments_are_refused(
    groups: list[Group], lanes: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        encode(groups, SMALL, lanes)


def test_an_image_of_768x512_at_one_bit_per_pixel_is_fast(tables: Tables) -> None:
    groups = [
        laplace_group(6144, spread_indexes(6144, 1.5), seed=1),
        laplace_group(300_000, spread_indexes(300_000, 0.38)),
    ]
    payload = assert_round_trip(groups, tables)
    assert 45_000 < len(payload) < 52_000
    times_s: dict[str, list[float]] = {"yardstick": [], "encode": [], "decode": []}
    a, b, total = np.zeros((3, 256), np.int64)
    for _ in range(7):
        start = time.thread_time()  # other processes do not count
        for _ in range(10_000):
            np.add(a, b, total)
        before = time.thread_time()
        encode(groups, tables)
        between = time.thread_time()
        decode_all(payload, groups, tables)
        times_s["yardstick"].append(before - start)
        times_s["encode"].append(between - before)
        times_s["decode"].append(time.thread_time() - between)
    # Where 19 ms to decode and 26 ms to encode were measured, the yardstick takes 6 ms: the limits
    # stand for 30 and 45 ms there, and hold on slower and busier machines.
    assert min(times_s["decode"]) < 5 * min(times_s["yardstick"])
    assert min(times_s["encode"]) < 7.5 * min(times_s["yardstick"])


def test_too_few_lanes_for_the_symbols_are_refused_at_once(tables: Tables) -> None:
    few = encode([(np.zeros(10, int), np.zeros(10, int))], tables, lanes=1)
    with pytest.raises(FormatError, match="1 lanes for 32769 symbols"):
        Decoder(few, tables).decode(np.zeros(32769, int), last=True)
    with pytest.raises(InputError, match="1 lanes are too few"):
        encode([(np.zeros(32769, int), np.zeros(32769, int))], tables, lanes=1)


def test_many_symbols_that_cost_nothing_have_the_lanes_they_need(tables: Tables) -> None:
    zeros = np.zeros(200_000, int)
    assert len(assert_round_trip([(zeros, zeros)], tables)) < 200


def test_padding_bits_must_be_zero_also_where_the_states_have_bits_left() -> None:
    row = np.zeros(61, int)
    row[[0, 1, 60]] = 8000, 100, 92
    tables, symbols = Tables(row[None]), np.array([1, 0, 0])
    payload = encode([(symbols, np.zeros(3, int))], tables, lanes=1)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with suppress(FormatError):
            found = Decoder(bytes(damaged), tables).decode(np.zeros(3, int), last=True)
            assert (found != symbols).any(), bit
