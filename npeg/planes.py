"""Planes of integers <-> bytes without loss, a diagonal of pixels at a time.

Enters: planes (C, H, W). Leaves: a payload, and the same planes from it on every machine.
Does not know: colours, palettes, files. Nothing in a payload can make it allocate more than its
planes need.

Diagonal t holds the pixels with column + 2 * row = t. All neighbours of a pixel above it and to
its left are on earlier diagonals, so that a diagonal is coded at once, by array operations.

A pixel is first compared, all its planes together, with its neighbours and with what followed the
same neighbours before (the guess); what equals none of them is predicted plane by plane, and the
difference is coded. Rows of the adaptive tables follow from neighbours only.

Source: Rissanen and Langdon 1981 (templates); Weinberger et al. 2000 (LOCO-I: median prediction,
activity contexts); ISO/IEC 18181-1 (tokens).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .adaptive import Reader, Tables, Writer
from .errors import FormatError
from .guesses import GUESS_ROWS, TEMPLATES, Guesses

try:
    from . import _planes as kernel
except ImportError:  # installed without a C compiler
    kernel = None  # type: ignore[assignment]

Ints = NDArray[np.int64]
Planes = NDArray[np.int32]

BACK = 7  # diagonals that neighbours are looked up in, this one included
MARGIN = 3  # rows above the plane that neighbours are looked up in; they hold 0
RUN = 16  # pixels among equal neighbours that one symbol tells of
WEST, NORTH, NORTH_EAST, NORTH_WEST, OTHER, GUESS = range(6)  # what a pixel equals

# neighbours: diagonals back, rows up
NEIGHBOURS = {
    "w": (1, 0),
    "n": (2, 1),
    "ne": (1, 1),
    "nw": (3, 1),
    "ww": (2, 0),
    "nn": (4, 2),
    "nne": (3, 2),
    "nww": (4, 1),
    "nnee": (2, 2),
    "www": (3, 0),
    "nnw": (5, 2),
    "nnn": (6, 3),
}
LINEAR = ("w", "n", "nw", "ne", "ww", "nn", "nne", "nww")  # of the linear prediction
WEIGHT_BITS = 7  # of its weights' fraction
ACTIVITY = np.array([0, 1, 2, 4, 7, 11, 17, 26, 40, 64, 110])  # upper ends of the contexts
CONTEXTS = len(ACTIVITY) + 1
CONTEXT_BITS = 8  # of samples that these are for; of more, so many leading ones count

PATTERN_ROWS = 1024
FLAG_ROW = PATTERN_ROWS + GUESS_ROWS
BROKEN_ROW = FLAG_ROW + 1

LOW_BITS = np.repeat([0, *range(2, 17)], [16] + [4] * 15)
"""Raw bits of each token, (76,): tokens 0..15 are the values 0..15, then four an octave."""
FIRST_VALUE = np.cumsum(1 << LOW_BITS) - (1 << LOW_BITS)
RAW_AT_ONCE = 8
DIRECT_ROWS = 64  # one for each value of the pixel to the left, the last for all larger ones
VALUE_BITS = 18  # of a sample in the code of a pixel: 16 and the sign of a difference
VALUE_MASK, VALUE_SIGN = (1 << VALUE_BITS) - 1, 1 << VALUE_BITS - 1
CONTEXT_OF_ACTIVITY = np.searchsorted(ACTIVITY, np.arange(ACTIVITY[-1] + 2))


@dataclass(frozen=True)
class Method:
    """How planes are coded; the first byte of a payload says it, the weights follow."""

    matching: bool = True  # pixels are compared with their neighbours first
    guessing: bool = True  # and with what followed the same neighbours before
    direct: bool = False  # what differs from all is coded as it is, not as a difference
    weights: NDArray[np.int64] | None = None  # (C, 8) of the linear prediction; None: the median

    @property
    def flags(self) -> int:
        """The first byte of a payload."""
        linear = self.weights is not None
        return self.matching | self.guessing << 1 | self.direct << 2 | linear << 3


def encode(planes: Planes, method: Method, bounds: tuple[Ints, Ints]) -> bytes:
    """Return the payload of planes (C, H, W), whose values are within the bounds, (C,) each."""
    return _head(method) + _write(planes, method, bounds).finish()


def size_bits(planes: Planes, method: Method, bounds: tuple[Ints, Ints]) -> float:
    """Return about how many bits a payload has."""
    return 8 * len(_head(method)) + _write(planes, method, bounds).size_bits()


def decode(payload: bytes, shape: tuple[int, int, int], bounds: tuple[Ints, Ints]) -> Planes:
    """Return the planes (C, H, W) of a payload.

    Raises:
        FormatError: it holds no such planes.
    """
    method, body = _split_head(payload, shape[0])
    planes = np.zeros(shape, np.int32)
    walk = _Walk(shape, method, bounds)
    reader = Reader(body, walk.matches, walk.tokens)
    if kernel:
        walk.run_compiled(reader, planes)
    else:
        walk.run(reader, planes)
        reader.finish()
    low, high = planes.min(axis=(1, 2)), planes.max(axis=(1, 2))
    if (low < bounds[0]).any() or (high > bounds[1]).any():
        raise FormatError(f"exact payload has samples of {low.min()}..{high.max()}")
    return planes


def _write(planes: Planes, method: Method, bounds: tuple[Ints, Ints]) -> Writer:
    walk = _Walk(planes.shape, method, bounds)
    writer = Writer(walk.matches, walk.tokens)
    walk.run(writer, planes)
    return writer


def _head(method: Method) -> bytes:
    weights = b"" if method.weights is None else method.weights.astype("<i2").tobytes()
    return bytes([method.flags]) + weights


def _split_head(payload: bytes, channels: int) -> tuple[Method, bytes]:
    flags = payload[0] if payload else 255
    size = 2 * channels * len(LINEAR) if flags & 8 else 0
    if flags > 15 or len(payload) < 1 + size or flags & 3 == 2:
        raise FormatError(f"exact payload of {len(payload)} bytes starts with {flags:02x}")
    weights = None
    if size:
        weights = np.frombuffer(payload, "<i2", size // 2, 1).astype(np.int64).reshape(channels, -1)
    return Method(bool(flags & 1), bool(flags & 2), bool(flags & 4), weights), payload[1 + size :]


def _match_tables() -> Tables:
    """Return the tables of what a pixel equals: by pattern, by guess, flags, broken runs."""
    prior = np.ones((BROKEN_ROW + 1, 6), np.int64)
    prior[:PATTERN_ROWS] = [12, 4, 3, 3, 3, 0]
    prior[PATTERN_ROWS:FLAG_ROW] = [3, 2, 2, 2, 6, 60]
    prior[FLAG_ROW] = [40, 1, 0, 0, 0, 0]  # whole, broken
    prior[BROKEN_ROW] = [40, 1, 1, 1, 4, 0]
    sizes = np.repeat([5, 6, 2, 5], [PATTERN_ROWS, GUESS_ROWS, 1, 1])
    return Tables(sizes, prior)


def _token_tables(channels: int, largest: int, direct: bool) -> Tables:
    """Return the tables of the tokens of values up to the largest."""
    count = int(np.searchsorted(FIRST_VALUE, largest, side="right"))
    if direct:
        return Tables(np.full(DIRECT_ROWS, count), np.ones((DIRECT_ROWS, count), np.int64))
    spread = 2 + np.concatenate([[0], 3 * ACTIVITY])[:, None]
    middle = FIRST_VALUE[:count] + (1 << LOW_BITS[:count]) // 2
    density = 600 * spread // (spread + middle) * spread // (spread + middle)
    prior = np.maximum(1, density * spread // (spread + middle) * (1 << LOW_BITS[:count]) // spread)
    return Tables(np.full(channels * CONTEXTS, count), np.tile(prior, (channels, 1)))


class _Walk:
    """The way over the diagonals, the same for a writer and for a reader.

    shape: (C, H, W) of the planes; bounds: the lowest and the highest value of each, (C,).
    """

    def __init__(self, shape: tuple[int, ...], method: Method, bounds: tuple[Ints, Ints]) -> None:
        self.channels, self.height, self.width = shape
        self.method = method
        self.low, self.high = (np.asarray(bound, np.int64)[:, None] for bound in bounds)
        span = self.high.max() if method.direct else 2 * (self.high - self.low).max() + 1
        self.coarseness = max(0, int(self.high.max()).bit_length() - CONTEXT_BITS)
        self.matches = _match_tables()
        self.tokens = _token_tables(self.channels, int(span), method.direct)
        self.values = np.zeros((BACK, self.channels, self.height + MARGIN), np.int64)
        self.codes = np.zeros((BACK, self.height + MARGIN), np.int64)
        self.guesses = Guesses(PATTERN_ROWS) if method.guessing else None

    def run(self, coder: Writer | Reader, planes: Planes) -> None:
        """Write the planes (C, H, W), or fill them with what is read."""
        for t in range(self.width + 2 * self.height - 2):
            first, last = max(0, (t - self.width + 2) // 2), min(self.height - 1, t // 2)
            coder.refresh()
            self.values[t % BACK] = 0
            self.codes[t % BACK] = 0
            rows = np.arange(first, last + 1)
            if not len(rows):
                continue
            known = None if coder.reading else planes[:, rows, t - 2 * rows].astype(np.int64)
            found = self._diagonal(coder, t, slice(first, last + 1), known)
            here = slice(first + MARGIN, last + 1 + MARGIN)
            self.values[t % BACK, :, here] = found
            self.codes[t % BACK, here] = _code_of(found)
            if coder.reading:
                planes[:, rows, t - 2 * rows] = found

    def run_compiled(self, reader: Reader, planes: Planes) -> None:
        """Fill the planes (C, H, W) by compiled loops, to the last word of the reader."""
        method = self.method
        wrong = kernel.decode(
            *(reader.words, reader.states, planes, planes.shape, method.flags & 7, self.coarseness),
            *(self.matches.counts, self.matches.sizes, self.tokens.counts, self.tokens.sizes),
            TEMPLATES,
            np.empty(0, np.int64) if method.weights is None else method.weights,
            *(self.low.ravel(), self.high.ravel()),
            *(CONTEXT_OF_ACTIVITY, LOW_BITS, FIRST_VALUE),
        )
        if wrong:
            raise FormatError(f"exact payload {wrong}")

    def _around(self, past: Ints, t: int, rows: slice, name: str) -> Ints:
        """Return a neighbour of each pixel of a diagonal."""
        back, up = NEIGHBOURS[name]
        return past[(t - back) % BACK, ..., rows.start + MARGIN - up : rows.stop + MARGIN - up]

    def _diagonal(self, coder: Writer | Reader, t: int, rows: slice, known: Ints | None) -> Ints:
        """Code the pixels (C, n) of a diagonal; return them."""
        if not self.method.matching:
            return self._differences(coder, t, rows, None, known)
        near = np.stack([self._around(self.codes, t, rows, name) for name in NEIGHBOURS])
        codes = None if known is None else _code_of(known)
        equal, guess = self._matches(coder, near, codes)
        values = np.zeros((self.channels, near.shape[1]), np.int64)
        matched = np.choose(equal, [near[0], near[1], near[2], near[3], guess, guess])
        values[:] = _values_of(matched, self.channels)
        others = np.flatnonzero(equal == OTHER)
        if len(others):
            some = None if known is None else known[:, others]
            values[:, others] = self._differences(coder, t, rows, others, some)
        if self.guesses:
            self.guesses.learn(_code_of(values))
        return values

    def _matches(self, coder: Writer | Reader, near: Ints, codes: Ints | None) -> tuple[Ints, Ints]:
        """Code what each pixel equals; return it, (n,), and the guesses, (n,)."""
        pattern = _pattern(near)
        rows = pattern + 512 * (near[0] != 0)
        guess = np.full(near.shape[1], -1, np.int64)
        mixed = np.flatnonzero(pattern != 511)
        if self.guesses:
            guess[mixed], there = self.guesses.look_up(near, mixed)
            rows[mixed] = np.where(guess[mixed] < 0, rows[mixed], there)
        equal = np.zeros(near.shape[1], np.int64)
        if codes is not None:
            equal = np.select(
                [(guess >= 0) & (codes == guess), *(codes == near[k] for k in range(4))],
                [GUESS, WEST, NORTH, NORTH_EAST, NORTH_WEST],
                OTHER,
            )
        self._runs(coder, np.flatnonzero(pattern == 511), equal)
        if len(mixed):
            equal[mixed] = coder.code(self.matches, rows[mixed], equal[mixed])
        return equal, guess

    def _runs(self, coder: Writer | Reader, flat: Ints, equal: Ints) -> None:
        """Code the pixels among equal neighbours, RUN at once; `equal` changes there."""
        if not len(flat):
            return
        runs = np.arange(len(flat)) // RUN
        broken = np.zeros(runs[-1] + 1, np.int64)
        broken[runs[equal[flat] != WEST]] = 1
        broken = coder.code(self.matches, np.full(len(broken), FLAG_ROW), broken)
        some = flat[broken[runs] == 1]
        if len(some):
            equal[some] = coder.code(self.matches, np.full(len(some), BROKEN_ROW), equal[some])

    def _differences(
        self, coder: Writer | Reader, t: int, rows: slice, some: Ints | None, known: Ints | None
    ) -> Ints:
        """Code pixels (C, n) plane by plane; return them."""
        names = LINEAR if not self.method.direct else ("w",)
        near = [self._around(self.values, t, rows, name) for name in names]
        if some is not None:
            near = [neighbour[:, some] for neighbour in near]
        if self.method.direct:
            table = np.minimum(near[0], DIRECT_ROWS - 1)
            return _tokens(coder, self.tokens, table, known)
        expected = self._prediction(near)
        table = _activity(near, self.coarseness) + CONTEXTS * np.arange(self.channels)[:, None]
        if known is not None:
            known = known - expected
            known = np.where(known < 0, -2 * known - 1, 2 * known)
        folded = _tokens(coder, self.tokens, table, known)
        return expected + np.where(folded & 1, -(folded + 1 >> 1), folded >> 1)

    def _prediction(self, near: list[Ints]) -> Ints:
        """Return what the neighbours (C, n), in the order of LINEAR, make of pixels."""
        w, n, nw = near[:3]
        if self.method.weights is None:
            low, high = np.minimum(w, n), np.maximum(w, n)
            return np.maximum(low, np.minimum(high, w + n - nw))
        weights = self.method.weights.T[:, :, None]
        total = np.full_like(w, 1 << WEIGHT_BITS - 1)
        for weight, neighbour in zip(weights, near, strict=True):
            total += weight * neighbour
        return np.clip(total >> WEIGHT_BITS, self.low, self.high)


def _code_of(values: Ints) -> Ints:
    """Return one number for the values (C, n) of each pixel, 0 for zeros."""
    code = values[0] & VALUE_MASK
    for channel in range(1, len(values)):
        code = code | (values[channel] & VALUE_MASK) << VALUE_BITS * channel
    return code


def _values_of(codes: Ints, channels: int) -> Ints:
    """Return the values (C, n) of which codes (n,) are made."""
    shifts = VALUE_BITS * np.arange(channels)[:, None]
    values = codes >> shifts & VALUE_MASK
    return (values ^ VALUE_SIGN) - VALUE_SIGN


def _pattern(near: Ints) -> Ints:
    """Return which of the neighbours' codes (12, n) are equal, 0..511; 511: all."""
    w, n, ne, nw, ww, nn, nne, nww = near[:8]
    pairs = ((w, n), (w, nw), (w, ne), (n, nw), (n, ne), (ww, w), (nn, n), (nne, ne), (nww, nw))
    pattern = np.zeros(near.shape[1], np.int64)
    for bit, (one, other) in enumerate(pairs):
        pattern |= (one == other).astype(np.int64) << bit
    return pattern


def _activity(near: list[Ints], coarseness: int) -> Ints:
    """Return the context, 0..11, of pixels by how much neighbours differ, in 2^coarseness."""
    w, n, nw, ne, ww, nn = near[:6]
    differences = abs(w - nw) + abs(n - nw) + abs(n - ne) + abs(ww - w) + abs(nn - n)
    differences >>= coarseness
    return CONTEXT_OF_ACTIVITY[np.minimum(differences, len(CONTEXT_OF_ACTIVITY) - 1)]


def _tokens(coder: Writer | Reader, tables: Tables, rows: Ints, known: Ints | None) -> Ints:
    """Code values (C, n) >= 0 of rows (C, n); return them."""
    values = np.zeros(0, np.int64) if known is None else known.ravel()
    tokens = np.searchsorted(FIRST_VALUE, values, side="right") - 1
    tokens = coder.code(tables, rows.ravel(), tokens)
    found = FIRST_VALUE[tokens]
    large = np.flatnonzero(tokens >= 16)
    if len(large):
        low = values[large] - found[large] if known is not None else large
        found[large] += _raw(coder, LOW_BITS[tokens[large]], low)
    return found.reshape(rows.shape)


def _raw(coder: Writer | Reader, widths: Ints, values: Ints) -> Ints:
    """Code values (n,) of widths (n,) bits: the low eight, and where there are more the others."""
    few = np.minimum(widths, RAW_AT_ONCE)
    low = coder.bits(few, values & (1 << few) - 1)
    if widths.max() <= RAW_AT_ONCE:
        return low
    return low | coder.bits(widths - few, values >> RAW_AT_ONCE) << RAW_AT_ONCE
