"""Guesses: pixels that came before after the same neighbours (SPEC.md, section 10, "Guesses")."""

from dataclasses import dataclass

FACTOR = 0x2C1B3C6D
MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1, 0x2545F491)
MULTIPLIERS += (0x3C6EF373, 0x1B873593, 0x5BD1E995, 0x7FEB352D, 0x846CA68B, 0x2C1B3C6D)
SEEN = (12, 9, 4)  # neighbours that each level looks at
MOST_HITS = 7
W, N, NE, NW = range(4)


@dataclass(frozen=True)
class Guess:
    """A code, how often it was right, and the level whose table has it."""

    code: int
    hits: int
    level: int


class Guesses:
    """Three tables from what is around a pixel to its code, and how often that was right."""

    def __init__(self) -> None:
        self.tables: list[dict[int, tuple[int, int]]] = [{}, {}, {}]

    def places(self, codes: list[int]) -> list[int]:
        """Return the place in each table of a pixel with these neighbours."""
        found = []
        for count in SEEN:
            pairs = zip(codes[:count], MULTIPLIERS[:count], strict=True)
            total = sum(code * multiplier for code, multiplier in pairs)
            found.append((total * FACTOR >> 24) % 2**16)
        return found

    def best(self, places: list[int]) -> Guess | None:
        """Return the guess of the first table that has one."""
        for level, place in enumerate(places):
            if place in self.tables[level]:
                return Guess(*self.tables[level][place], level)
        return None

    def context(self, guess: Guess, codes: list[int]) -> int:
        """Return the row of a pixel that has a guess, behind the first of these rows."""
        shape = sum((guess.code == codes[i]) << i for i in (W, N, NE, NW))
        shape += 16 * (codes[W] == codes[N]) + 32 * (codes[N] == codes[NE])
        return shape + 64 * (guess.hits + 8 * guess.level)

    def learn(self, places: dict[tuple[int, int], list[int]], codes: list[list[int]]) -> None:
        """Take in a diagonal: the places of its pixels, and the codes that they turned out as."""
        learned = []
        for (row, column), found in places.items():
            code = codes[row][column]
            for table, place in zip(self.tables, found, strict=True):
                before, hits = table.get(place, (None, 0))
                hits = min(hits + 1, MOST_HITS) if before == code else 0
                learned.append((table, place, (code, hits)))
        for table, place, entry in learned:
            table[place] = entry
