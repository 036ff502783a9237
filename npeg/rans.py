"""Entries of frequency tables <-> 16-bit words by interleaved rANS, and fields <-> bits.

Enters or leaves: for each symbol the number of its table and its entry there, the states of the
lanes, words; values and how many bits each takes. Knows no tokens and no payload.

The loops run in `_rans.c` where that was compiled when npeg was installed; the NumPy code here is
their reference and their stand-in, to the bit.

Source: Duda 2013, arXiv:1311.2540 (rANS); Giesen 2014, arXiv:1402.3392 (interleaved lanes).
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError

try:
    from . import _rans as kernel
except ImportError:  # installed without a C compiler
    kernel = None  # type: ignore[assignment]

Bits = NDArray[np.uint8]  # one 0 or 1 an element
Ints = NDArray[np.int64]

PRECISION = 13  # bits of a table's total: 14 saves 0.01 % more bytes and doubles the lookup table
TOTAL = 1 << PRECISION
WORD_BITS = 16  # states grow and shrink by words
LOWEST_STATE = 1 << WORD_BITS


class Lookup:
    """Frequencies as the loops need them.

    frequencies: (T, 61) uint16, rows that sum to 8192.
    """

    def __init__(self, frequencies: NDArray[np.uint16]) -> None:
        self.frequencies = np.ascontiguousarray(frequencies)
        self.starts = (np.cumsum(frequencies, axis=1) - frequencies).astype(np.uint16)

    @cached_property
    def entry_of_slot(self) -> NDArray[np.uint8]:
        """Entry of each slot, (T << 13,)."""
        tables, entries = self.frequencies.shape
        every = np.tile(np.arange(entries, dtype=np.uint8), tables)
        return np.repeat(every, self.frequencies.ravel())

    @cached_property
    def _push_rows(self) -> Ints:
        """Encoder's constants, (T * 61, 4): state limit, frequency, its complement, start."""
        frequency, start = self.frequencies.astype(np.int64), self.starts.astype(np.int64)
        limit = frequency << (2 * WORD_BITS - PRECISION)
        return np.stack([limit, frequency, TOTAL - frequency, start], axis=-1).reshape(-1, 4)

    @cached_property
    def _pop_rows(self) -> Ints:
        """Decoder's constants, (T << 13, 2): frequency, and offset of the slot within it."""
        _, frequency, _, start = self._push_rows.T
        slots = np.arange(len(self.entry_of_slot)) & (TOTAL - 1)
        offset = slots - np.repeat(start, frequency)
        return np.stack([np.repeat(frequency, frequency), offset], axis=-1)

    def push(self, rows: Ints, states: Ints, words: NDArray[np.uint16]) -> int:
        """Run the lanes backwards over a group.

        Args:
            rows: table * 61 + entry of each symbol, (n,), in 0..61 T - 1, of frequencies above 0.
            states: (lanes,), changed.
            words: filled up from its end, uint16; one a symbol is enough.

        Returns:
            Where the words begin.
        """
        if kernel:
            return kernel.push(rows, states, self.frequencies, self.starts, words)
        lanes, position = len(states), len(words)
        full = len(rows) - len(rows) % lanes
        for steps in (rows[full:].reshape(1, -1), rows[:full].reshape(-1, lanes)):
            position = self._push_steps(steps, states[: steps.shape[1]], words, position)
        return position

    def pop(
        self, indexes: Ints, states: Ints, words: NDArray[np.uint16]
    ) -> tuple[NDArray[np.uint8], int]:
        """Run the lanes over a group.

        Args:
            indexes: table of each symbol, (n,), in 0..T - 1.
            states: (lanes,), changed.
            words: uint16, those of this group and perhaps others behind.

        Returns:
            The entries (n,), and how many words they took.

        Raises:
            FormatError: there are too few words.
        """
        if kernel:
            entries, tables = np.empty(len(indexes), np.uint8), (self.frequencies, self.starts)
            read = kernel.pop(indexes, states, self.entry_of_slot, *tables, words, entries)
            if read < 0:
                raise FormatError("payload ends within a group: its words are used up")
            return entries, read
        slots, lanes, read = indexes << PRECISION, len(states), 0
        full = len(slots) - len(slots) % lanes
        for steps in (slots[:full].reshape(-1, lanes), slots[full:].reshape(1, -1)):
            read += self._pop_steps(steps, states[: steps.shape[1]], words[read:])
        return self.entry_of_slot.take(slots), read

    # The calls that the loops below make cost more than the arithmetic in them, at any number of
    # lanes: hence outputs and constants made beforehand, one gather for all constants of a symbol,
    # and shifts by a word done as copies between the 16-bit parts of a state.

    def _push_steps(
        self, steps: Ints, states: Ints, words: NDArray[np.uint16], position: int
    ) -> int:
        """Push steps (n, lanes), last first; words fill up from position down to the result."""
        halves = states.view("<u2").reshape(-1, 4)
        low, high = halves[:, 0], halves[:, 1]
        constants = np.empty((len(states), 4), np.int64)
        limit, frequency, complement, start = constants.T
        large, quotient = np.empty(states.shape, np.bool_), np.empty_like(states)
        take = self._push_rows.take
        for step in steps[::-1]:
            take(step, 0, constants, "clip")
            np.greater_equal(states, limit, large)
            shrunk = large.nonzero()[0]
            end, position = position, position - len(shrunk)
            words[position:end] = low[shrunk]
            low[shrunk] = high[shrunk]
            high[shrunk] = 0
            # (state // frequency) * TOTAL + state % frequency + start, without the remainder
            np.floor_divide(states, frequency, quotient)
            np.multiply(quotient, complement, quotient)
            np.add(states, quotient, states)
            np.add(states, start, states)
        return position

    def _pop_steps(self, steps: Ints, states: Ints, words: NDArray[np.uint16]) -> int:
        """Pop steps (n, lanes), adding its slot to each; return how many words that took."""
        halves = states.view("<u2").reshape(-1, 4)
        low, high = halves[:, 0], halves[:, 1]
        constants = np.empty((len(states), 2), np.int64)
        frequency, offset = constants.T
        small, slot = np.empty(states.shape, np.bool_), np.empty_like(states)
        mask, shift = np.full_like(states, TOTAL - 1), np.full_like(states, PRECISION)
        lowest = np.full_like(states, LOWEST_STATE)
        take = self._pop_rows.take
        position = 0
        for step in steps:
            np.bitwise_and(states, mask, slot)
            np.add(step, slot, step)
            take(step, 0, constants, "clip")
            np.right_shift(states, shift, states)
            np.multiply(states, frequency, states)
            np.add(states, offset, states)
            np.less(states, lowest, small)
            grown = small.nonzero()[0]
            start, position = position, position + len(grown)
            if position > len(words):
                raise FormatError("payload ends within a group: its words are used up")
            high[grown] = low[grown]
            low[grown] = words[start:position]
        return position


def join(values: Ints, widths: Ints) -> Bits:
    """Write the low widths[i] bits of each value, most significant first, one after another."""
    if kernel:
        bits = np.empty(int(widths.sum()), np.uint8)
        kernel.join(_as_ints(values), _as_ints(widths), bits)
        return bits
    ends = np.cumsum(widths)
    shifts = np.repeat(ends, widths) - 1 - np.arange(widths.sum())
    return (np.repeat(values, widths) >> shifts & 1).astype(np.uint8)


def split(bits: Bits, widths: Ints) -> Ints:
    """Read back fields of widths[i] in 1..31 bits: the inverse of `join`."""
    if kernel:
        found = np.empty(len(widths), np.int64)
        kernel.split(bits, _as_ints(widths), found)
        return found
    padded = np.append(np.packbits(bits), np.zeros(8, np.uint8)).tobytes()
    starts = np.cumsum(widths) - widths
    windows: NDArray[Any] = np.ndarray(len(padded) - 7, ">u8", padded, strides=(1,))
    aligned = windows[starts >> 3].astype(np.uint64) << (starts & 7).astype(np.uint64)
    fields: Ints = (aligned >> (64 - widths).astype(np.uint64)).astype(np.int64)
    return fields


def _as_ints(values: Any) -> Ints:
    return np.ascontiguousarray(values, np.int64)
