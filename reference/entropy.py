"""Payloads of symbols: tokens, tables and rANS (SPEC.md, section 6).

A payload is read from both ends: 16-bit words from the front, single bits from the back.
"""

import numpy as np

from refused import need

Array = np.ndarray
TOTAL, ESCAPE = 8192, 60
MOST_PER_LANE = 2**15


def token_starts(octaves: int) -> tuple[list[int], list[int]]:
    """Return the lowest magnitude of each token, and how many low bits follow it."""
    starts, low_bits = list(range(16)), [0] * 16
    for k in range(4, 4 + octaves):
        starts += [2**k + j * 2 ** (k - 2) for j in range(4)]
        low_bits += [k - 2] * 4
    return starts, low_bits


STARTS, LOW_BITS = token_starts(11)


class Tables:
    """Frequencies (n, 61) of tokens, the last one of ESCAPE, and where each begins."""

    def __init__(self, frequencies: Array) -> None:
        self.frequency = frequencies.astype(np.int64)
        self.end = self.frequency.cumsum(1)
        self.start = self.end - self.frequency


class Payload:
    """A payload that is read group by group; the last one must use it up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.words_read = 0
        self.bits = "".join(f"{byte:08b}" for byte in reversed(data))
        self.bits_read = 0
        lanes = self.number(4)
        need(lanes <= 10, "too many lanes")
        extra = [self.number(4) for _ in range(2**lanes)]
        states = [2 ** (16 + e) + self.number(16 + e) for e in extra]
        self.states = np.array(states, np.int64)

    def group(self, tables: Tables, index: Array, last: bool = False) -> Array:
        """Return the symbols of a group, one for each table's index; all in one dimension."""
        self.need_lanes(len(index))
        entries = self.entries(tables, index)
        given = self.take_back_states() if last else 0
        tokens = self.escaped(entries, tables, index)
        symbols = np.array([self.symbol(token) for token in tokens.tolist()], np.int64)
        if last:
            self.finish(given)
        return symbols

    def need_lanes(self, symbols: int) -> None:
        """Refuse fewer lanes than so many symbols must have."""
        need(symbols <= MOST_PER_LANE * len(self.states), "too few lanes for its symbols")

    def entries(self, tables: Tables, index: Array) -> Array:
        """Return the entry of each symbol: its token, or ESCAPE. Lanes take turns."""
        found = np.zeros(len(index), np.int64)
        for at in range(0, len(index), len(self.states)):
            table = index[at : at + len(self.states)]
            x = self.states[: len(table)]
            slot = x % TOTAL
            entry = (tables.end[table] <= slot[:, None]).sum(1)
            x = tables.frequency[table, entry] * (x // TOTAL) + slot - tables.start[table, entry]
            self.states[: len(table)] = self.filled(x)
            found[at : at + len(table)] = entry
        return found

    def filled(self, x: Array) -> Array:
        """Return states of which those below 2^16 have got a word more."""
        low = x < 2**16
        first, self.words_read = self.words_read, self.words_read + int(low.sum())
        need(2 * self.words_read <= len(self.data), "a payload ends too early")
        x[low] = x[low] * 2**16 + np.frombuffer(self.data, "<u2", low.sum(), 2 * first)
        return x

    def escaped(self, entries: Array, tables: Tables, index: Array) -> Array:
        """Return the tokens of entries; those that are escaped come from the bits."""
        for i in np.flatnonzero(entries == ESCAPE).tolist():
            token = self.number(6)
            need(token < ESCAPE, "no such token")
            need(tables.frequency[index[i], token] == 0, "a token is escaped without need")
            entries[i] = token
        return entries

    def symbol(self, token: int) -> int:
        """Return the symbol of a token, whose sign and low bits come from the bits."""
        if token == 0:
            return 0
        negative = self.number(1)
        magnitude = STARTS[token] + self.number(LOW_BITS[token])
        return -magnitude if negative else magnitude

    def number(self, bits: int) -> int:
        """Return the next so many bits as a number."""
        first, self.bits_read = self.bits_read, self.bits_read + bits
        need(self.bits_read <= len(self.bits), "a payload ends too early")
        return int(self.bits[first : self.bits_read] or "0", 2)

    def take_back_states(self) -> int:
        """Put the low bits of the final states before those unread; return how many there are."""
        need(bool((self.states < 2**17).all()), "a payload's final states are wrong")
        given = "".join(f"{x % 2**16:016b}" for x in self.states.tolist())
        self.bits = self.bits[: self.bits_read] + given + self.bits[self.bits_read :]
        self.given_from = self.bits_read
        return len(given)

    def finish(self, given: int) -> None:
        """Refuse a payload that is not used up, or whose unused bits are not 0."""
        given_end = self.given_from + given
        end = max(self.bits_read, given_end) - given  # of the bits in the payload itself
        padded = -(-end // 8) * 8
        need(8 * 2 * self.words_read + padded == 8 * len(self.data), "a payload is not used up")
        rest = self.bits[self.bits_read : padded + given]
        need("1" not in rest, "unused bits of a payload are not 0")
