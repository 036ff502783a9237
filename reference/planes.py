"""Planes of integers without loss (SPEC.md, section 10, "Planes" to "Values")."""

from adaptive import Row, Symbols
from entropy import token_starts
from guesses import Guess, Guesses
from refused import need

MATCHING, GUESSING, DIRECT, WEIGHTS = 1, 2, 4, 8
# W N NE NW WW NN NNE NWW NNEE WWW NNW NNN: rows up, columns to the right
NEIGHBOURS = ((0, -1), (1, 0), (1, 1), (1, -1), (0, -2), (2, 0), (2, 1), (1, -2))
NEIGHBOURS += ((2, 2), (0, -3), (2, -1), (3, 0))
W, N, NE, NW, WW, NN, NNE, NWW = range(8)
WEIGHTED = (W, N, NW, NE, WW, NN, NNE, NWW)
ALIKE = ((W, N), (W, NW), (W, NE), (N, NW), (N, NE), (WW, W), (NN, N), (NNE, NE), (NWW, NW))
FLAT, NO_MATCH, GUESSED = 511, 4, 5
COPIES = (W, N, NE, NW)  # what symbols 0 to 3 stand for
STARTS, LOW_BITS = token_starts(14)
ACTIVITIES = (0, 1, 2, 4, 7, 11, 17, 26, 40, 64, 110)
MATCH_COUNTS = [12, 4, 3, 3, 3]
GUESS_COUNTS = [3, 2, 2, 2, 6, 60]
Range = tuple[int, int]
Place = tuple[int, int]


def read(data: bytes, ranges: list[Range], height: int, width: int) -> list[list[list[int]]]:
    """Return planes, [plane][row][column], of values within ranges; at most as high as wide."""
    planes = Planes(data, ranges, height, width)
    for diagonal in range(width + 2 * (height - 1)):
        planes.read_diagonal(diagonal)
    planes.symbols.finish()
    return planes.values


class Planes:
    """Planes while they are read, diagonal by diagonal."""

    def __init__(self, data: bytes, ranges: list[Range], height: int, width: int) -> None:
        need(len(data) > 0 and data[0] < 16, "no such way to code planes")
        self.flags, at = data[0], 1
        need(self.flags & 3 != GUESSING, "guesses without matching")
        self.weights: list[list[int]] = []
        if self.flags & WEIGHTS:
            at += 16 * len(ranges)
            need(len(data) >= at, "weights end too early")
            numbers = [
                int.from_bytes(data[i : i + 2], "little", signed=True) for i in range(1, at, 2)
            ]
            self.weights = [numbers[8 * k : 8 * k + 8] for k in range(len(ranges))]
        self.symbols = Symbols(data[at:])
        self.ranges, self.height, self.width = ranges, height, width
        self.values = [[[0] * width for _ in range(height)] for _ in ranges]
        self.codes = [[0] * width for _ in range(height)]
        self.guesses = Guesses()
        self.guessed_at: dict[Place, list[int]] = {}
        highest = max(high for _, high in ranges)
        direct = self.flags & DIRECT
        most = highest if direct else max(2 * (high - low) + 1 for low, high in ranges)
        self.tokens = sum(start <= most for start in STARTS)
        self.quieter = max(0, highest.bit_length() - 8)

    def read_diagonal(self, diagonal: int) -> None:
        """Read the pixels with column + 2 row = diagonal."""
        self.symbols.begin_diagonal()
        first = max(0, (diagonal - self.width + 2) // 2)
        last = min(self.height - 1, diagonal // 2)
        pixels = [(row, diagonal - 2 * row) for row in range(first, last + 1)]
        if self.flags & MATCHING:
            self.read_values(self.read_matches(pixels))
        else:
            self.read_values(pixels)

    # --- matching ---

    def read_matches(self, pixels: list[Place]) -> list[Place]:
        """Read the symbols of pixels, copy those that match, and return the others."""
        around = {place: self.codes_around(place) for place in pixels}
        patterns = {place: pattern(codes) for place, codes in around.items()}
        found = self.read_flat([place for place in pixels if patterns[place] == FLAT])
        busy = [place for place in pixels if patterns[place] != FLAT]
        places, guesses, rows = {}, {}, []
        for place in busy:
            if self.flags & GUESSING:
                places[place] = self.guesses.places(around[place])
                guesses[place] = self.guesses.best(places[place])
            rows.append(self.match_row(patterns[place], around[place], guesses.get(place)))
        found |= dict(zip(busy, self.symbols.group(rows), strict=True))
        for place, symbol in found.items():
            if symbol == GUESSED:
                self.set_code(place, guesses[place].code)
            elif symbol != NO_MATCH:
                self.set_code(place, around[place][COPIES[symbol]])
        self.guessed_at = places
        return [place for place in pixels if found[place] == NO_MATCH]

    def read_flat(self, pixels: list[Place]) -> dict[Place, int]:
        """Return the symbols of pixels whose neighbours are all the same."""
        groups = [pixels[i : i + 16] for i in range(0, len(pixels), 16)]
        all_west = self.symbols.row(2560, [40, 1])
        mixed = self.symbols.group([all_west] * len(groups))
        found = dict.fromkeys(pixels, 0)
        others = [p for group, one in zip(groups, mixed, strict=True) if one for p in group]
        row = self.symbols.row(2561, [40, 1, 1, 1, 4])
        return found | dict(zip(others, self.symbols.group([row] * len(others)), strict=True))

    def match_row(self, shape: int, codes: list[int], guess: Guess | None) -> Row:
        """Return the row of a pixel's symbol."""
        if guess is None:
            return self.symbols.row(shape + 512 * (codes[W] != 0), MATCH_COUNTS)
        return self.symbols.row(1024 + self.guesses.context(guess, codes), GUESS_COUNTS)

    def codes_around(self, place: Place) -> list[int]:
        """Return the codes of the twelve neighbours."""
        return [around(self.codes, place, neighbour) for neighbour in NEIGHBOURS]

    def set_code(self, place: Place, code: int) -> None:
        """Set a pixel of all planes to what a code stands for."""
        row, column = place
        self.codes[row][column] = code
        for k, plane in enumerate(self.values):
            value = code >> 18 * k & 2**18 - 1
            plane[row][column] = value - 2**18 if value >= 2**17 else value

    # --- values ---

    def read_values(self, pixels: list[Place]) -> None:
        """Read the values of pixels that are no copies, plane by plane, and end the diagonal."""
        every = [(k, place) for k in range(len(self.ranges)) for place in pixels]
        coded = self.read_tokens([self.value_row(k, place) for k, place in every])
        for (k, place), number in zip(every, coded, strict=True):
            low, high = self.ranges[k]
            value = number
            if not self.flags & DIRECT:
                difference = -(number + 1) // 2 if number % 2 else number // 2
                value = self.prediction(k, place) + difference
            need(low <= value <= high, "a value is out of its range")
            self.values[k][place[0]][place[1]] = value
        for row, column in pixels:
            self.codes[row][column] = sum(
                plane[row][column] % 2**18 << 18 * k for k, plane in enumerate(self.values)
            )
        if self.flags & GUESSING:
            self.guesses.learn(self.guessed_at, self.codes)

    def read_tokens(self, rows: list[Row]) -> list[int]:
        """Return one number of each row: tokens first, then their low bits."""
        tokens = self.symbols.group(rows)
        numbers = [STARTS[token] for token in tokens]
        more = [i for i, token in enumerate(tokens) if LOW_BITS[token]]
        widths = [LOW_BITS[tokens[i]] for i in more]
        raw = self.symbols.raw([min(width, 8) for width in widths])
        if max(widths, default=0) > 8:
            others = self.symbols.raw([max(width - 8, 0) for width in widths])
            raw = [low + (high << 8) for low, high in zip(raw, others, strict=True)]
        for i, value in zip(more, raw, strict=True):
            numbers[i] += value
        return numbers

    def value_row(self, k: int, place: Place) -> Row:
        """Return the row of a value of plane k."""
        if self.flags & DIRECT:
            name = min(self.near(k, place)[W], 63)
            return self.symbols.row(("direct", name), [1] * self.tokens)
        near = self.near(k, place)
        pairs = ((W, NW), (N, NW), (N, NE), (WW, W), (NN, N))
        differences = sum(abs(near[a] - near[b]) for a, b in pairs) >> self.quieter
        activity = sum(limit < differences for limit in ACTIVITIES)
        return self.symbols.row(("value", 12 * k + activity), first_counts(activity, self.tokens))

    def prediction(self, k: int, place: Place) -> int:
        """Return what a value of plane k is expected to be."""
        near = self.near(k, place)
        if not self.weights:
            return sorted((near[W], near[N], near[W] + near[N] - near[NW]))[1]
        terms = zip(self.weights[k], WEIGHTED, strict=True)
        low, high = self.ranges[k]
        return min(max(sum(weight * near[i] for weight, i in terms) + 64 >> 7, low), high)

    def near(self, k: int, place: Place) -> list[int]:
        """Return the values of the first eight neighbours in plane k."""
        return [around(self.values[k], place, neighbour) for neighbour in NEIGHBOURS[:8]]


def around(plane: list[list[int]], place: Place, neighbour: Place) -> int:
    """Return what is at a neighbour of a place, 0 outside."""
    row, column = place[0] - neighbour[0], place[1] + neighbour[1]
    return plane[row][column] if row >= 0 and 0 <= column < len(plane[0]) else 0


def pattern(codes: list[int]) -> int:
    """Return which neighbours have the same code, a bit each."""
    return sum((codes[a] == codes[b]) << bit for bit, (a, b) in enumerate(ALIKE))


def first_counts(activity: int, tokens: int) -> list[int]:
    """Return what the counts of a row of values begin as."""
    s = 2 + 3 * (ACTIVITIES[activity - 1] if activity else 0)
    counts = []
    for start, bits in zip(STARTS[:tokens], LOW_BITS[:tokens], strict=True):
        m = start + 2**bits // 2
        e = 600 * s // (s + m) * s // (s + m)
        counts.append(max(1, (e * s // (s + m)) * 2**bits // s))
    return counts
