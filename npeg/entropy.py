"""Integers <-> bytes: static tables, hybrid-integer tokens and interleaved rANS.

Enters: signed integers, and for each the index of the probability table that it follows.
Leaves: a payload of bytes, within about half a per cent of the tables' own entropy.
Does not know: images, networks, the file around the payload, or whether its bytes are intact
(a damaged payload gives `FormatError` or other symbols: the container's checksum tells).

A symbol is split in a token, coded with its table, and raw bits, stored as they are:

    magnitude 0..15         token = magnitude
    magnitude 16..32767     token = one of four equal parts of its octave; the rest is low bits
    raw bits                the sign of a non-zero symbol, then the low bits

A table gives a frequency to each token that it knows; any other is coded as ESCAPE, its number
following in six raw bits. Payload: rANS words from the front, a bit string from the back.

Invariants: every lane's state is in [2^16, 2^32) between two steps; the encoder does exactly the
decoder's steps in reverse order; all arithmetic is on exact integers.

Source: Duda 2013, arXiv:1311.2540 (rANS); Giesen 2014, arXiv:1402.3392 (interleaved lanes);
ISO/IEC 18181-1, JPEG XL (hybrid integers).
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import rans
from .errors import FormatError, InputError
from .rans import LOWEST_STATE, PRECISION, TOTAL, WORD_BITS, Bits, Ints

TOKENS = 60  # 16 magnitudes, then four parts in each of the octaves [2^4, 2^5) .. [2^14, 2^15)
ESCAPE = TOKENS  # last column of a table: "the token follows in six raw bits"
ESCAPE_BITS = 6
MAX_MAGNITUDE = (1 << 15) - 1
MAX_LANES = 1 << 10
STEPS = 1024  # the fewest of a long payload: about 5 ms, below which more lanes only cost bytes
MAX_STEPS = 1 << 15  # symbols of a group a lane: bounds what a few bytes can make a decoder do

LOW_BITS: Ints = np.repeat([0, *range(2, 13)], [16] + [4] * 11)
"""Low bits of each token, (60,) int64 in 0..12."""
MAGNITUDE_OF_TOKEN: Ints = np.cumsum(1 << LOW_BITS) - (1 << LOW_BITS)
"""Smallest magnitude of each token, (60,) int64."""
TOKEN_OF_MAGNITUDE: NDArray[np.uint8] = np.repeat(np.arange(TOKENS, dtype=np.uint8), 1 << LOW_BITS)
"""Token of each magnitude, (32768,) uint8."""
FIELD_BITS: Ints = LOW_BITS + (np.arange(TOKENS) > 0)
"""Sign bit and low bits of each token, (60,) int64 in 0..13."""


class Tables:
    """The probability tables of a model.

    frequencies: (T, 61) integers, T >= 1. Column t < 60 is the frequency of token t, or 0 if the
        token is sent as an escape; column 60 is the frequency of ESCAPE, at least 1; each row
        sums to 8192.
    Raises InputError if the frequencies break these rules.
    """

    def __init__(self, frequencies: ArrayLike) -> None:
        given = np.asarray(frequencies)
        if given.ndim != 2 or len(given) < 1 or given.shape[1] != TOKENS + 1:
            raise InputError(f"tables have shape {given.shape}, expected (T, {TOKENS + 1})")
        if given.dtype.kind not in "iu":
            raise InputError(f"tables have dtype {given.dtype}, expected integers")
        if given.min() < 0 or given.max() > TOTAL:
            raise InputError(f"tables span {given.min()}..{given.max()}, expected 0..{TOTAL}")
        wrong = np.flatnonzero((given.sum(axis=1) != TOTAL) | (given[:, ESCAPE] < 1))
        if wrong.size:
            row = given[wrong[0]]
            raise InputError(
                f"table {wrong[0]} sums to {row.sum()} with escape {row[ESCAPE]}, "
                f"expected {TOTAL} with escape >= 1"
            )
        self.frequencies: NDArray[np.uint16] = given.astype(np.uint16)
        self.lookup = rans.Lookup(self.frequencies)

    def __len__(self) -> int:
        """Return the number of tables, T."""
        return len(self.frequencies)

    @cached_property
    def token_bits(self) -> NDArray[np.float64]:
        """Ideal length of each token, (T, 60) float64 in bits, sign and low bits included."""
        known = self.frequencies[:, :ESCAPE].astype(np.float64)
        escape = self.frequencies[:, ESCAPE:] * 2.0**-ESCAPE_BITS
        return PRECISION - np.log2(np.where(known > 0, known, escape)) + FIELD_BITS

    @cached_property
    def _row_bits(self) -> NDArray[np.float64]:
        """Ideal length of each entry without its raw bits, (T * 61,)."""
        return PRECISION - np.log2(np.maximum(self.frequencies, 1).ravel())


def quantize_probabilities(probabilities: ArrayLike) -> NDArray[np.uint16]:
    """Turn the probabilities of the tokens into the table of smallest expected length.

    probabilities: (60,) floats >= 0 with a positive sum, which need not be 1.
    Returns (61,) uint16, one row of `Tables`.
    Raises InputError if they are no probabilities.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != (TOKENS,) or not np.isfinite(p).all() or p.min() < 0 or p.sum() <= 0:
        raise InputError(f"expected {TOKENS} finite probabilities >= 0 with a positive sum")
    p = p / p.sum()
    likely = np.argsort(-p, kind="stable")
    best_bits, best = np.inf, np.zeros(TOKENS + 1, np.uint16)
    for known in range(np.count_nonzero(p) + 1):
        escaped = p[likely[known:]].sum()
        weights = np.append(p[likely[:known]], escaped)
        shares = _apportion(weights)
        bits = escaped * ESCAPE_BITS - weights @ np.log2(shares)
        if bits < best_bits:
            best_bits, best = bits, np.zeros(TOKENS + 1, np.uint16)
            best[np.append(likely[:known], ESCAPE)] = shares
    return best


def _apportion(weights: NDArray[np.float64]) -> Ints:
    """Share TOTAL out, at least 1 each, so that sum(weights * log2(shares)) is largest."""
    worth = np.diff(np.log2(np.arange(1, TOTAL + 2)), prepend=np.inf)  # of one unit more
    shares = np.maximum(1, weights * TOTAL).astype(np.int64)
    while True:  # the sum is concave: once no single unit moves to advantage it is largest
        gain = weights * worth[shares]
        loss = np.where(shares > 1, weights * worth[np.maximum(shares, 2) - 1], np.inf)
        to, fro = gain.argmax(), loss.argmin()
        missing = TOTAL - shares.sum()
        if missing == 0 and gain[to] <= loss[fro]:
            return shares
        shares[to] += missing >= 0
        shares[fro] -= missing <= 0


def entropy_bits(symbols: ArrayLike, indexes: ArrayLike, tables: Tables) -> float:
    """Return the ideal length in bits of symbols under their tables, raw bits included.

    symbols: integers of any shape, |symbol| < 2^15.
    indexes: integers of the same shape, in 0..T-1.
    Raises InputError if either is out of range or the shapes differ.
    """
    checked, flat_indexes = _check_group(symbols, indexes, tables)
    return float(tables.token_bits[flat_indexes, TOKEN_OF_MAGNITUDE[np.abs(checked)]].sum())


def encode(
    groups: Sequence[tuple[ArrayLike, ArrayLike]],
    tables: Tables,
    lanes: int | None = None,
    fewest: int = 1,
) -> bytes:
    """Code groups of symbols so that `Decoder` returns them in the same order.

    groups: one or more pairs (symbols, indexes) of one shape each, |symbol| < 2^15 and index in
        0..T-1; a group may be empty.
    lanes: a power of two in 1..1024; None weighs decoding time against size. More are faster and
        cost about half a byte each.
    fewest: lanes that are taken at least where the number is chosen, a power of two.
    Returns the payload.
    Raises InputError if an argument breaks these rules.
    """
    if not groups:
        raise InputError("expected one group of symbols or more, found none")
    coded = [_tokenize(*_check_group(*group, tables), tables) for group in groups]
    rows, raw = [rows for rows, _ in coded], [raw for _, raw in coded]
    if lanes is None:
        lanes = max(_choose_lanes(rows, raw, tables), fewest)
    if lanes not in [1 << k for k in range(MAX_LANES.bit_length())]:
        raise InputError(f"lanes is {lanes}, expected a power of two in 1..{MAX_LANES}")
    if max(map(len, rows)) > lanes * MAX_STEPS:
        raise InputError(f"{lanes} lanes are too few: expected one for each {MAX_STEPS} symbols")
    hidden = np.zeros(WORD_BITS * lanes, np.uint8)  # in the states; padded where there is no more
    hidden[: len(raw[-1])] = raw[-1][: len(hidden)]
    states = (LOWEST_STATE + rans.split(hidden, np.full(lanes, WORD_BITS))).astype("<i8")
    words = np.empty(sum(map(len, rows)), "<u2")  # a symbol shifts out one at most
    position = len(words)
    for group in reversed(rows):
        position = tables.lookup.push(group, states, words[:position])
    extra = np.frexp(states)[1] - (WORD_BITS + 1)  # bits of a state above the 17 of the smallest
    head = [
        rans.join(np.array([lanes.bit_length() - 1]), np.array([4])),
        rans.join(extra, np.full(lanes, 4)),
        rans.join(states, WORD_BITS + extra),  # without its leading 1
    ]
    bits = np.concatenate([*head, *raw[:-1], raw[-1][len(hidden) :]])
    return words[position:].tobytes() + np.packbits(bits).tobytes()[::-1]


class Decoder:
    """Reads back the groups of one payload, in order.

    payload: bytes, of any content.
    tables: the tables that the encoder used.
    Raises FormatError if the payload does not hold the state of its lanes.
    """

    def __init__(self, payload: bytes, tables: Tables) -> None:
        self._payload = payload
        self._tables = tables
        self._backward = np.frombuffer(payload[::-1], np.uint8)
        self._words = np.frombuffer(payload, "<u2", count=len(payload) // 2)
        self._words_read = self._bits_read = 0
        self._hidden: Bits = np.empty(0, np.uint8)  # the raw bits that the states carry
        self._finished = False
        log_lanes = int(rans.split(self._take_bits(4), np.array([4]))[0])
        if 1 << log_lanes > MAX_LANES:
            raise FormatError(f"payload has 2^{log_lanes} lanes, expected 2^10 at most")
        lanes = 1 << log_lanes
        extra = rans.split(self._take_bits(4 * lanes), np.full(lanes, 4))
        low = rans.split(self._take_bits(int((WORD_BITS + extra).sum())), WORD_BITS + extra)
        self._states = ((LOWEST_STATE << extra) + low).astype("<i8")

    @property
    def lanes(self) -> int:
        """Return how many lanes the payload has."""
        return len(self._states)

    def decode(self, indexes: ArrayLike, *, last: bool = False) -> NDArray[np.int32]:
        """Return the next group of symbols.

        indexes: integers of any shape, in 0..T-1: the table of each symbol.
        last: whether this is the payload's last group, which must then end where it does.
        Returns the symbols, int32 of the shape of indexes, |symbol| < 2^15.
        Raises FormatError if the payload is no coding of such a group, InputError if an index is
            out of range or the last group was decoded before.
        """
        if self._finished:
            raise InputError("the last group of this payload was decoded before")
        flat_indexes = _check_indexes(indexes, self._tables)
        lanes = len(self._states)
        if len(flat_indexes) > lanes * MAX_STEPS:
            raise FormatError(
                f"payload has {lanes} lanes for {len(flat_indexes)} symbols, "
                f"expected one for each {MAX_STEPS}"
            )
        end_of_words = (len(self._payload) - -(-self._bits_read // 8)) // 2
        words = self._words[self._words_read : end_of_words]
        entries, read = self._tables.lookup.pop(flat_indexes, self._states, words)
        self._words_read += read
        if last:
            self._finished = True
            self._open_states()
        symbols = self._read_symbols(entries, flat_indexes)
        if last:
            self._check_end()
        return symbols.reshape(np.shape(indexes))

    def _take_bits(self, count: int) -> Bits:
        """Return the next raw bits, (count,): from the states while these have any."""
        hidden, self._hidden = self._hidden[:count], self._hidden[count:]
        start, end = self._bits_read, self._bits_read + count - len(hidden)
        if end > 8 * (len(self._payload) - 2 * self._words_read):
            raise FormatError("payload ends within a group: its raw bits are used up")
        self._bits_read = end
        unpacked = np.unpackbits(self._backward[start // 8 : -(-end // 8)])
        return np.concatenate([hidden, unpacked[start % 8 :][: end - start]])

    def _open_states(self) -> None:
        """Turn the states that the encoder started from into the raw bits that they carry."""
        if self._states.max() >= 2 * LOWEST_STATE:
            raise FormatError(f"a lane ends in state {self._states.max()}, expected 65536..131071")
        self._hidden = rans.join(self._states, np.full(len(self._states), WORD_BITS))

    def _read_symbols(self, entries: NDArray[np.uint8], indexes: Ints) -> NDArray[np.int32]:
        """Complete entries (n,) of tables indexes (n,) by their raw bits, to symbols (n,)."""
        escaped = np.flatnonzero(entries == ESCAPE)
        if escaped.size:
            bits = self._take_bits(ESCAPE_BITS * len(escaped))
            missing = rans.split(bits, np.full(len(escaped), ESCAPE_BITS))
            known = self._tables.frequencies[indexes[escaped], np.minimum(missing, ESCAPE)] > 0
            if known.any():  # the column of ESCAPE is never 0, so this catches 60..63 too
                raise FormatError(
                    f"payload escapes token {missing[known][0]}, expected one below {TOKENS} "
                    "that its table lacks"
                )
            entries[escaped] = missing
        symbols = np.zeros(len(entries), np.int32)
        nonzero = np.flatnonzero(entries > 0)
        tokens = entries[nonzero]
        widths = FIELD_BITS[tokens]
        fields = rans.split(self._take_bits(int(widths.sum())), widths)
        sign = fields >> LOW_BITS[tokens]
        magnitudes = MAGNITUDE_OF_TOKEN[tokens] + fields - (sign << LOW_BITS[tokens])
        symbols[nonzero] = np.where(sign, -magnitudes, magnitudes)
        return symbols

    def _check_end(self) -> None:
        """Raise FormatError unless the payload is used up and its padding is zero."""
        used = 2 * self._words_read + -(-self._bits_read // 8)
        if used != len(self._payload):
            raise FormatError(f"payload has {len(self._payload)} bytes, its symbols take {used}")
        if self._take_bits(len(self._hidden) + -self._bits_read % 8).any():
            raise FormatError("payload has a 1 among its padding bits, expected zeros")


def _check_indexes(indexes: ArrayLike, tables: Tables) -> Ints:
    """Return indexes flat; raise InputError unless they are integers in 0..T-1."""
    given = np.asarray(indexes)
    if given.size == 0:
        return np.empty(0, np.int64)
    if given.dtype.kind not in "iu":
        raise InputError(f"indexes have dtype {given.dtype}, expected integers")
    if given.min() < 0 or given.max() >= len(tables):
        raise InputError(
            f"indexes span {given.min()}..{given.max()}, expected 0..{len(tables) - 1}"
        )
    return given.ravel().astype(np.int64)


def _check_group(symbols: ArrayLike, indexes: ArrayLike, tables: Tables) -> tuple[Ints, Ints]:
    """Return symbols and indexes flat; raise InputError if a value or a shape is wrong."""
    given = np.asarray(symbols)
    if given.shape != np.shape(indexes):
        raise InputError(f"symbols have shape {given.shape}, indexes {np.shape(indexes)}")
    flat_indexes = _check_indexes(indexes, tables)
    if given.size == 0:
        return np.empty(0, np.int64), flat_indexes
    if given.dtype.kind not in "iu":
        raise InputError(f"symbols have dtype {given.dtype}, expected integers")
    if given.min() < -MAX_MAGNITUDE or given.max() > MAX_MAGNITUDE:
        raise InputError(
            f"symbols span {given.min()}..{given.max()}, expected magnitudes to {MAX_MAGNITUDE}"
        )
    return given.ravel().astype(np.int64), flat_indexes


def _tokenize(symbols: Ints, indexes: Ints, tables: Tables) -> tuple[Ints, Bits]:
    """Split checked symbols (n,) in rows of `Tables._push_rows` (n,) and the group's raw bits."""
    magnitudes = np.abs(symbols)
    tokens = TOKEN_OF_MAGNITUDE[magnitudes]
    rows = indexes * (TOKENS + 1) + tokens
    escaped = np.flatnonzero(tables.frequencies.take(rows) == 0)
    missing = tokens[escaped].astype(np.int64)
    rows[escaped] += ESCAPE - missing
    nonzero = np.flatnonzero(tokens > 0)
    tokens, signed = tokens[nonzero], symbols[nonzero]
    low_bits = LOW_BITS[tokens]
    low = magnitudes[nonzero] - MAGNITUDE_OF_TOKEN[tokens]
    fields = ((signed < 0) << low_bits) + low
    escapes = rans.join(missing, np.full(len(missing), ESCAPE_BITS))
    return rows, np.concatenate([escapes, rans.join(fields, 1 + low_bits)])


def _choose_lanes(rows: Sequence[Ints], raw: Sequence[Bits], tables: Tables) -> int:
    """Return the lanes for groups of rows of `Tables._push_rows` and of raw bits.

    A lane costs about four bits, and sixteen more where no raw bits of the last group fill it.
    As many as have STEPS symbols or more each, for no more than 0.26 % and ten bytes; but no
    fewer than the decoder demands.
    """
    symbols = sum(map(len, rows))
    bits = sum(tables._row_bits.take(group).sum() for group in rows) + sum(map(len, raw))
    lanes = MAX_LANES
    fewest = max(map(len, rows)) / MAX_STEPS
    while lanes // 2 >= max(1, fewest) and (
        lanes * STEPS > symbols
        or 4 * lanes + max(0, WORD_BITS * lanes - len(raw[-1])) > bits / 384 + 80
    ):
        lanes //= 2
    return lanes
