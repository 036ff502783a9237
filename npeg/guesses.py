"""What followed the same neighbours before: guesses of pixels, for `planes`.

Enters: codes of pixels' neighbours, and afterwards the pixels' own. Leaves: guesses, and the rows
of the tables that say whether they hold.

Source: Bloom 1998, PPMZ (guesses from long contexts).
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

HASH_BITS = 16
CERTAIN = 7  # hits in a row from which a guess is as certain as it gets
_ODD = np.array(
    [
        *(0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1, 0x2545F491),
        *(0x3C6EF373, 0x1B873593, 0x5BD1E995, 0x7FEB352D, 0x846CA68B, 0x2C1B3C6D),
    ],
    np.int64,
)
TEMPLATES = np.stack([_ODD, _ODD * (np.arange(12) < 9), _ODD * (np.arange(12) < 4)])
"""Multipliers of the neighbours of each guess, (3, 12), the surest first."""
LEVELS = len(TEMPLATES)
GUESS_ROWS = 64 * (CERTAIN + 1) * LEVELS
_MIX = 0x2C1B3C6D


class Guesses:
    """What followed the same neighbours the last time, by three templates.

    first_row: of the tables that guesses have, GUESS_ROWS of them.
    """

    def __init__(self, first_row: int) -> None:
        self.first_row = first_row
        self.codes = np.full(LEVELS << HASH_BITS, -1, np.int64)
        self.hits = np.zeros(LEVELS << HASH_BITS, np.int64)
        self.mixed: Ints = np.empty(0, np.int64)
        self.places: Ints = np.empty((LEVELS, 0), np.int64)

    def look_up(self, near: Ints, mixed: Ints) -> tuple[Ints, Ints]:
        """Return the guesses (n,), -1 where there is none, and the rows of the tables for them.

        near: codes of the neighbours (12, m) of a diagonal; mixed: (n,) which pixels of it.
        """
        some = near[:, mixed]
        places = (TEMPLATES @ some * _MIX >> 24) & (1 << HASH_BITS) - 1
        places += np.arange(LEVELS)[:, None] << HASH_BITS
        self.mixed, self.places = mixed, places
        codes = self.codes[places]
        level = (codes >= 0).argmax(axis=0)
        columns = np.arange(len(mixed))
        guess, sure = codes[level, columns], self.hits[places[level, columns]]
        w, n, ne, nw = some[:4]
        shape = (guess == w) | (guess == n) << 1 | (guess == ne) << 2 | (guess == nw) << 3
        shape = shape | (w == n) << 4 | (n == ne) << 5
        return guess, self.first_row + shape + 64 * (sure + (CERTAIN + 1) * level)

    def learn(self, codes: Ints) -> None:
        """Remember what the pixels (m,) of the diagonal looked up last turned out to be."""
        for places in self.places:
            new = codes[self.mixed]
            hit = self.codes[places] == new
            self.hits[places] = np.where(hit, np.minimum(self.hits[places] + 1, CERTAIN), 0)
            self.codes[places] = new
