"""Bits <-> bytes: binary rANS in many lanes, each bit with a probability of its own.

Enters: groups of bits, and how probable a 1 is for each, in 1/8192.  Leaves: a payload.
Does not know: where probabilities come from, images, networks.

Bit i of a group belongs to lane i mod the number of lanes.  A 1 owns the slots 0..ones-1 of 8192,
a 0 the others.  The payload is a byte L, the 2^L states, then 16-bit words.

Invariants: every state is in [2^16, 2^32) between two steps; the encoder does the decoder's steps
in reverse order; all arithmetic is on exact integers.

Source: Duda 2013, arXiv:1311.2540; Giesen 2014, arXiv:1402.3392 (interleaved lanes).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, InputError

Bits = NDArray[np.uint8]  # one 0 or 1 an element
Ones = NDArray[np.uint16]  # of 8192, 1..8191: the probability that the bit is 1

PRECISION = 13
TOTAL = 1 << PRECISION
WORD_BITS = 16
LOWEST_STATE = 1 << WORD_BITS
MAX_LOG_LANES = 10
BITS_A_LANE = 8192  # at most, half of it at least; a lane costs 24 bits or so, 0.3 to 0.6 %
_SHIFT = 2 * WORD_BITS - PRECISION  # a state below frequency << _SHIFT takes one more bit


def encode(groups: Sequence[tuple[Bits, Ones]], lanes: int | None = None) -> bytes:
    """Code groups of bits so that `Decoder` returns them in the same order.

    Args:
        groups: pairs of bits (n,) and ones (n,) in 1..8191; n may be 0.
        lanes: a power of two in 1..1024; None chooses: more are faster and cost 3 bytes each.

    Raises:
        InputError: the number of lanes is not such a power of two.
    """
    if lanes is None:
        lanes = _choose_lanes(groups)
    if lanes not in [1 << k for k in range(MAX_LOG_LANES + 1)]:
        raise InputError(f"found {lanes} lanes, expected a power of two in 1..1024")
    states = np.full(lanes, LOWEST_STATE, np.uint32)
    words = np.empty(sum(len(bits) for bits, _ in groups), "<u2")  # one a bit at most
    position = len(words)
    for bits, ones in reversed(groups):
        one = bits.astype(np.bool_)
        frequencies = np.where(one, ones, TOTAL - ones).astype(np.uint32)
        starts = np.where(one, 0, ones).astype(np.uint32)
        for first in reversed(range(0, len(bits), lanes)):
            part = slice(first, min(first + lanes, len(bits)))
            position = _push(
                states[: part.stop - first], frequencies[part], starts[part], words, position
            )
    head = bytes([lanes.bit_length() - 1])
    return head + states.astype("<u4").tobytes() + words[position:].tobytes()


class Decoder:
    """Reads back the groups of one payload, in order.

    Raises FormatError if the payload does not hold the states of its lanes.
    """

    def __init__(self, payload: bytes) -> None:
        log_lanes = payload[0] if payload else MAX_LOG_LANES + 1
        end = 1 + (4 << log_lanes) if log_lanes <= MAX_LOG_LANES else 0
        if not end or len(payload) < end or (len(payload) - end) % 2:
            raise FormatError(f"payload of {len(payload)} bytes does not hold 2^{log_lanes} lanes")
        self._states = np.frombuffer(payload[1:end], "<u4").astype(np.uint32)
        if self._states.min() < LOWEST_STATE:
            raise FormatError(f"a lane starts in state {self._states.min()}, expected 65536 up")
        self._words = np.frombuffer(payload[end:], "<u2").astype(np.uint32)
        self._read = 0

    def decode(self, ones: Ones) -> Bits:
        """Return the next group's bits (n,), given how probable a 1 is for each.

        Raises:
            FormatError: the payload ends before.
        """
        frequencies = ones.astype(np.uint32)
        bits = np.empty(len(ones), np.bool_)
        lanes = len(self._states)
        for first in range(0, len(ones), lanes):
            part = slice(first, min(first + lanes, len(ones)))
            self._pop(self._states[: part.stop - first], frequencies[part], bits[part])
        return bits.view(np.uint8)

    def finish(self) -> None:
        """Check that all was read: FormatError if words are left or a state is not the first."""
        left = len(self._words) - self._read
        if left or (self._states != LOWEST_STATE).any():
            raise FormatError(f"payload does not end with its last bit: {left} words are left")

    def _pop(self, states: NDArray[np.uint32], ones: NDArray[np.uint32], bits: Any) -> None:
        """Take a bit from each of the states (n,), which change."""
        slots = states & (TOTAL - 1)
        np.less(slots, ones, out=bits)
        shares = states >> PRECISION
        shares *= ones
        zeros = states - ones
        zeros -= shares  # (TOTAL - ones) * (state >> PRECISION) + slot - ones
        slots += shares
        states[:] = np.where(bits, slots, zeros)
        small = (states < LOWEST_STATE).nonzero()[0]
        start, self._read = self._read, self._read + len(small)
        if self._read > len(self._words):
            raise FormatError("payload ends before its last bit: its words are used up")
        states[small] = states[small] << WORD_BITS | self._words[start : self._read]


def information_bits(bits: Bits, ones: Ones) -> float:
    """Return the ideal length in bits of bits (n,) under their probabilities (n,)."""
    frequencies = np.where(bits.astype(np.bool_), ones, TOTAL - ones)
    return float(PRECISION * len(bits) - np.log2(frequencies).sum())


def _choose_lanes(groups: Sequence[tuple[Bits, Ones]]) -> int:
    coded = sum(information_bits(bits, ones) for bits, ones in groups)
    return 1 << min(MAX_LOG_LANES, int(coded / BITS_A_LANE).bit_length())


def _push(
    states: NDArray[np.uint32],
    frequencies: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    words: NDArray[np.uint16],
    position: int,
) -> int:
    """Put a bit on each of the states (n,), which change; return where the words now begin."""
    large = (states >= frequencies << _SHIFT).nonzero()[0]
    end, position = position, position - len(large)
    words[position:end] = states[large] & (LOWEST_STATE - 1)
    states[large] >>= WORD_BITS
    quotients = states // frequencies
    quotients *= TOTAL - frequencies  # x // f * TOTAL + x % f is x + x // f * (TOTAL - f)
    states += quotients
    states += starts
    return position
