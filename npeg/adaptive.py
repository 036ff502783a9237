"""Symbols <-> bytes where the tables adapt to what is coded: exact, many symbols at once.

Enters: groups of symbols, and for each symbol the row of the table that it follows. Leaves: bytes.
Does not know: planes, pixels, or whether its bytes are intact (a damaged payload gives
`FormatError` or other symbols: the container's checksum tells).

`Writer` and `Reader` have the same methods and are told the same rows in the same order, so one
function describes a bitstream in both directions: a writer is given symbols, a reader finds them.

Invariants: tables change between groups only, by integers alone; every lane's state is in
[2^16, 2^32) between two steps; the writer does the reader's steps in reverse order.

Source: Duda 2013, arXiv:1311.2540 (rANS); Giesen 2014, arXiv:1402.3392 (interleaved lanes).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError

Ints = NDArray[np.int64]

PRECISION = 13  # bits of a row's total
TOTAL = 1 << PRECISION
GAIN = 24  # what one symbol adds to its count; priors are in the same unit
FIRST_REFRESH = 32  # symbols until tables change for the first time
HALVED = GAIN << 16  # sum of a row's counts above which all are halved: old symbols count less
MAX_STEPS = 1 << 15  # symbols a lane: bounds what a few bytes can make a reader do
MAX_LOG_LANES = 10
LOWEST_STATE = 1 << 16
FEW = 8  # symbols of a row up to which comparing finds one faster than a table of all slots


class Tables:
    """Rows of frequencies that follow the symbols coded with them.

    sizes: (T,) integers, how many symbols each row has, at most as many as there are columns.
    prior: (T, A) integers, counts before anything is coded; each row has one above 0.
    """

    def __init__(self, sizes: Ints, prior: Ints) -> None:
        self.sizes = sizes.astype(np.uint8)
        self.known = np.arange(prior.shape[1]) < sizes[:, None]
        self.counts = np.where(self.known, prior, 0).astype(np.int64)
        self.width = prior.shape[1]
        self.frequency = np.zeros(self.counts.size, np.int64)
        self.start = np.zeros(self.counts.size, np.int64)
        slots = 0 if self.width <= FEW else TOTAL
        self.symbol_of_slot = np.zeros((len(sizes), slots), np.uint8)
        self.keys: list[Ints] = []
        self._rebuild(np.arange(len(sizes)))

    def find(self, rows: Ints, slots: Ints) -> Ints:
        """Return the symbol (n,) of each slot (n,) of its row (n,)."""
        if self.width > FEW:
            return self.symbol_of_slot[rows, slots].astype(np.int64)
        starts = self.start.reshape(-1, self.width)[rows]
        return np.count_nonzero(starts <= slots[:, None], axis=1) - 1

    def refresh(self) -> None:
        """Let the tables follow the symbols since the last refresh."""
        if not self.keys:
            return
        new = np.bincount(np.concatenate(self.keys), minlength=self.counts.size)
        self.keys = []
        new = new.reshape(self.counts.shape)
        rows = np.flatnonzero(new.any(axis=1))
        counts = self.counts[rows] + GAIN * new[rows]
        large = counts.sum(axis=1) > HALVED
        counts[large] = (counts[large] + 1) >> 1
        self.counts[rows] = counts
        self._rebuild(rows)

    def _rebuild(self, rows: Ints) -> None:
        """Turn the counts of these rows into frequencies with sum TOTAL, each 1 or more."""
        counts, known = self.counts[rows], self.known[rows]
        left = TOTAL - known.sum(axis=1, keepdims=True)
        frequency = known + counts * left // counts.sum(axis=1, keepdims=True)
        frequency[np.arange(len(rows)), frequency.argmax(axis=1)] += TOTAL - frequency.sum(axis=1)
        start = np.cumsum(frequency, axis=1) - frequency
        self.frequency.reshape(-1, self.width)[rows] = frequency
        self.start.reshape(-1, self.width)[rows] = np.where(known, start, TOTAL)
        if self.width > FEW:
            symbols = np.tile(np.arange(self.width, dtype=np.uint8), len(rows))
            self.symbol_of_slot[rows] = np.repeat(symbols, frequency.ravel()).reshape(-1, TOTAL)


class _Schedule:
    """When tables are refreshed: each time a quarter more symbols are coded than before."""

    def __init__(self, *tables: Tables) -> None:
        self.tables = tables
        self.coded, self.next = 0, FIRST_REFRESH

    def refresh(self) -> None:
        """Refresh the tables if it is time; called where both directions know the same."""
        if self.coded >= self.next:
            self.next = self.coded + self.coded // 4 + 16
            for tables in self.tables:
                tables.refresh()


class Writer(_Schedule):
    """Takes groups of symbols, first to last, and gives the payload at the end."""

    reading = False

    def __init__(self, *tables: Tables) -> None:
        super().__init__(*tables)
        self._frequency: list[Ints] = []
        self._start: list[Ints] = []

    def code(self, tables: Tables, rows: Ints, symbols: Ints) -> Ints:
        """Code symbols (n,) of rows (n,); return them."""
        keys = rows * tables.width + symbols
        self._frequency.append(tables.frequency[keys])
        self._start.append(tables.start[keys])
        tables.keys.append(keys)
        self.coded += len(keys)
        return symbols

    def bits(self, widths: Ints, values: Ints) -> Ints:
        """Code values (n,) as they are, in widths (n,) of 0..13 bits each; return them."""
        self._frequency.append(TOTAL >> widths)
        self._start.append(values << (PRECISION - widths))
        self.coded += len(widths)
        return values

    def size_bits(self) -> float:
        """Return the ideal length of what was coded so far, in bits."""
        frequency = np.concatenate([*self._frequency, np.empty(0, np.int64)])
        return PRECISION * len(frequency) - float(np.log2(frequency).sum())

    def finish(self) -> bytes:
        """Return the payload: log2 of the lanes, their states, words."""
        log_lanes = self._log_lanes()
        lanes = 1 << log_lanes
        states = np.full(lanes, LOWEST_STATE, np.int64)
        words: list[NDArray[np.uint16]] = []
        for frequency, start in zip(reversed(self._frequency), reversed(self._start), strict=True):
            for step in reversed(list(_steps(len(frequency), lanes))):
                words.append(_push(states[: step.stop - step.start], frequency[step], start[step]))
        body = np.concatenate([*reversed(words), np.empty(0, np.uint16)]).astype("<u2")
        return bytes([log_lanes]) + states.astype("<u4").tobytes() + body.tobytes()

    def _log_lanes(self) -> int:
        """Return how many lanes are fast enough and cost little: each costs about 2.5 bytes."""
        size = max(self.size_bits() / 8 / 400, self.coded / (1 << 13))
        least = max(0, (self.coded - 1) // MAX_STEPS).bit_length()
        return min(max(round(np.log2(max(1.0, size))), least), MAX_LOG_LANES)


class Reader(_Schedule):
    """Finds the groups of symbols that a `Writer` was given.

    payload: bytes, of any content: words (n,) uint16 behind the states (lanes,) of the lanes.
    Raises FormatError if it does not hold the states of its lanes.
    """

    reading = True

    def __init__(self, payload: bytes, *tables: Tables) -> None:
        super().__init__(*tables)
        log_lanes = payload[0] if payload else MAX_LOG_LANES + 1
        lanes = 1 << min(log_lanes, MAX_LOG_LANES)
        head = 1 + 4 * lanes
        if log_lanes > MAX_LOG_LANES or len(payload) < head or (len(payload) - head) % 2:
            raise FormatError(f"exact payload of {len(payload)} bytes has no 2^{log_lanes} lanes")
        self.states = np.frombuffer(payload, "<u4", lanes, 1).astype("<i8")
        self.words = np.frombuffer(payload, "<u2", -1, head)
        self._read = 0
        if self.states.min() < LOWEST_STATE:
            raise FormatError("exact payload has a lane that starts below 2^16")

    def code(self, tables: Tables, rows: Ints, symbols: Any = None) -> Ints:
        """Return the symbols (n,) of rows (n,)."""
        self._count(len(rows))
        found = np.empty(len(rows), np.int64)
        for step in _steps(len(rows), len(self.states)):
            states = self.states[: step.stop - step.start]
            slots = states & (TOTAL - 1)
            found[step] = tables.find(rows[step], slots)
            keys = rows[step] * tables.width + found[step]
            self._pop(states, slots, tables.frequency[keys], tables.start[keys])
        tables.keys.append(rows * tables.width + found)
        return found

    def bits(self, widths: Ints, values: Any = None) -> Ints:
        """Return values (n,) of widths (n,) of 0..13 bits each."""
        self._count(len(widths))
        found = np.empty(len(widths), np.int64)
        for step in _steps(len(widths), len(self.states)):
            states = self.states[: step.stop - step.start]
            slots = states & (TOTAL - 1)
            shifts = PRECISION - widths[step]
            found[step] = slots >> shifts
            self._pop(states, slots, TOTAL >> widths[step], found[step] << shifts)
        return found

    def _count(self, new: int) -> None:
        self.coded += new
        if self.coded > MAX_STEPS * len(self.states):
            raise FormatError(
                f"exact payload has {len(self.states)} lanes for {self.coded} symbols"
            )

    def _pop(self, states: Ints, slots: Ints, frequency: Ints, start: Ints) -> None:
        states >>= PRECISION
        states *= frequency
        states += slots - start
        small = np.flatnonzero(states < LOWEST_STATE)
        begin, self._read = self._read, self._read + len(small)
        if self._read > len(self.words):
            raise FormatError("exact payload ends too early: its words are used up")
        states[small] = states[small] << 16 | self.words[begin : self._read]

    def finish(self) -> None:
        """Raise FormatError unless the payload is used up and all lanes are at rest."""
        if self._read != len(self.words) or (self.states != LOWEST_STATE).any():
            left = len(self.words) - self._read
            raise FormatError(f"exact payload does not end with its symbols: {left} words are left")


def _steps(count: int, lanes: int) -> Iterator[slice]:
    """Yield the parts of a group of count symbols that the lanes take at once."""
    for begin in range(0, count, lanes):
        yield slice(begin, min(begin + lanes, count))


def _push(states: Ints, frequency: Ints, start: Ints) -> NDArray[np.uint16]:
    """Put one symbol on each of the states (n,), which change; return the words it shifts out."""
    large = np.flatnonzero(states >= frequency << (32 - PRECISION))
    words = (states[large] & 0xFFFF).astype(np.uint16)
    states[large] >>= 16
    states[:] = (states // frequency << PRECISION) + states % frequency + start
    return words
