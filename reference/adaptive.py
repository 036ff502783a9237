"""Symbols of tables that adapt to them (SPEC.md, section 10, "Symbols" and "Adaptive tables")."""

from bisect import bisect_right
from itertools import accumulate

from refused import need

TOTAL = 8192
STEP, MOST_COUNTED = 24, 24 * 2**16
MOST_PER_LANE = 2**15


class Row:
    """Counts of symbols, and the frequencies that follow from them."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts
        self.seen = [0] * len(counts)
        self.count()

    def count(self) -> None:
        """Take what was seen into the counts, and make frequencies of them."""
        self.counts = [c + STEP * seen for c, seen in zip(self.counts, self.seen, strict=True)]
        self.seen = [0] * len(self.counts)
        if sum(self.counts) > MOST_COUNTED:
            self.counts = [(c + 1) // 2 for c in self.counts]
        total, free = sum(self.counts), TOTAL - len(self.counts)
        self.frequencies = [1 + c * free // total for c in self.counts]
        largest = self.frequencies.index(max(self.frequencies))
        self.frequencies[largest] += TOTAL - sum(self.frequencies)
        self.starts = list(accumulate(self.frequencies, initial=0))[:-1]


class Symbols:
    """The coded symbols of planes, read group by group."""

    def __init__(self, data: bytes) -> None:
        need(len(data) > 0 and data[0] <= 10, "no such number of lanes")
        lanes = 2 ** data[0]
        self.words_at = 1 + 4 * lanes
        need(len(data) >= self.words_at, "symbols end too early")
        states = data[1 : self.words_at]
        self.states = [int.from_bytes(states[4 * i : 4 * i + 4], "little") for i in range(lanes)]
        need(min(self.states) >= 2**16, "a state is too low")
        self.data = data
        self.rows: dict[object, Row] = {}
        self.done, self.next_count = 0, 32

    def row(self, name: object, counts: list[int]) -> Row:
        """Return the row of a name, which begins with these counts."""
        if name not in self.rows:
            self.rows[name] = Row(counts)
        return self.rows[name]

    def group(self, rows: list[Row]) -> list[int]:
        """Return one symbol of each row."""
        found = []
        for i, row in enumerate(rows):
            lane = i % len(self.states)
            slot = self.states[lane] % TOTAL
            symbol = bisect_right(row.starts, slot) - 1
            self.advance(lane, row.frequencies[symbol], row.starts[symbol])
            row.seen[symbol] += 1
            found.append(symbol)
        return found

    def raw(self, bits: list[int]) -> list[int]:
        """Return numbers of so many raw bits each, at most 13."""
        found = []
        for i, n in enumerate(bits):
            lane, frequency = i % len(self.states), 2 ** (13 - n)
            value = self.states[lane] % TOTAL // frequency
            self.advance(lane, frequency, value * frequency)
            found.append(value)
        return found

    def advance(self, lane: int, frequency: int, start: int) -> None:
        """Take a symbol out of a lane's state."""
        self.done += 1
        need(self.done <= MOST_PER_LANE * len(self.states), "too many symbols for the lanes")
        x = self.states[lane]
        x = frequency * (x // TOTAL) + x % TOTAL - start
        if x < 2**16:
            need(self.words_at + 2 <= len(self.data), "symbols end too early")
            word = self.data[self.words_at : self.words_at + 2]
            x = 2**16 * x + int.from_bytes(word, "little")
            self.words_at += 2
        self.states[lane] = x

    def begin_diagonal(self) -> None:
        """Let the rows adapt, if enough symbols have come since they last did."""
        if self.done < self.next_count:
            return
        for row in self.rows.values():
            row.count()
        self.next_count = self.done + self.done // 4 + 16

    def finish(self) -> None:
        """Refuse symbols that are not used up."""
        need(self.words_at == len(self.data), "symbols are not used up")
        need(all(x == 2**16 for x in self.states), "the final states of symbols are wrong")
