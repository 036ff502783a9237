"""How JPEG works, in one page: 8x8 blocks, a change of basis, quantisation, entropy coding.

    RGB -> Y, Cb, Cr -> blocks of 8x8 -> 64 coefficients each -> divided by steps and rounded
        -> lowest frequencies first, up to the last that is not zero -> rANS

`dct` and `dft` differ in the basis alone: 64 patterns of which every block is a weighted sum. The
cosine's patterns continue a block mirrored at its edges, the Fourier waves continue it repeated:
its left edge meets its right one, and that jump costs coefficients. This is why JPEG has cosines.

File: height and width (2 bytes each, big-endian), quality (1), subsampling (1), the probability
laws of luma and of chroma (65 bytes each), the payload of `npeg.entropy`.

Source: ITU-T T.81 (JPEG); its zigzag, run lengths and Huffman codes are replaced by simpler means.
"""

import struct
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

import npeg
from npeg import entropy
from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.errors import FormatError, InputError, LimitError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDE = 8  # of a block
PATTERNS = SIDE * SIDE
MAX_BLOCKS = 1 << 19  # so that 64 symbols each fit in one group of `npeg.entropy`
MAX_SIDE = (1 << 16) - 1  # what two bytes hold
HALVINGS = {"4:4:4": 1, "4:2:0": 2}  # subsampling: factor by which chroma is smaller
MIDDLE_GREY = np.array([128.0, 0.0, 0.0])
YCBCR_OF_RGB: Floats = np.array(  # BT.601, as in JFIF
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
END = PATTERNS  # context of the symbols that say where blocks end; the others are frequencies
CONTEXTS = PATTERNS + 1
LAWS, NARROWEST, RATIO = 32, 0.05, 2**0.5  # scales 0.05 to 2300: all that 8-bit images need
HEADER = struct.Struct(f">HHBB{CONTEXTS}s{CONTEXTS}s")


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis of 8x8 blocks, lowest frequencies first.

    patterns: (64, 64); row k is a flattened 8x8 pattern.
    frequencies: (64,), half-waves of each pattern along both sides of a block together.
    """

    patterns: Floats
    frequencies: Floats

    @classmethod
    def sorted(cls, patterns: Floats, frequencies: Floats) -> "Basis":
        """Return a basis whose patterns are put in order."""
        order = np.argsort(frequencies, kind="stable")
        return cls(patterns[order], frequencies[order])


@cache
def cosine_basis() -> Basis:
    """Return the DCT-II in two dimensions: products of cosines down and across."""
    i = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(i, 2 * i + 1) / (2 * SIDE))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    patterns = np.asarray(np.kron(waves, waves), np.float64)
    return Basis.sorted(patterns, np.add.outer(i, i).ravel().astype(np.float64))


@cache
def fourier_basis() -> Basis:
    """Return the DFT in two dimensions, with real patterns.

    The DFT of a real block is Hermitian: its value at frequency (-u, -v) is the conjugate of the
    one at (u, v). So each such pair of complex numbers holds two real ones, the weights of a
    cosine and of a sine, and 64 numbers hold the block: nothing is there twice.
    """
    u, v = (axis.ravel() for axis in np.mgrid[:SIDE, :SIDE])
    phases = 2 * np.pi * (np.outer(u, u) + np.outer(v, v)) / SIDE  # (frequency, pixel)
    conjugate = -u % SIDE * SIDE + -v % SIDE  # flat index of (-u, -v)
    is_first = np.arange(PATTERNS) <= conjugate  # of its pair, or its own conjugate
    patterns = np.where(is_first[:, None], np.cos(phases), np.sin(phases))
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    half_waves = 2.0 * (np.minimum(u, SIDE - u) + np.minimum(v, SIDE - v))
    return Basis.sorted(patterns, half_waves)


@dataclass(frozen=True, kw_only=True)
class BlockCodec(Codec):
    """A transform codec of 8x8 blocks. It has no say in NumPy's threads."""

    qualities = (5, 10, 20, 35, 50, 65, 80, 90)
    quality_range = (1, 100)

    subsampling: str = "4:4:4"

    @staticmethod
    @abstractmethod
    def basis() -> Basis:
        """Return the patterns of which blocks are made."""

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""
        if self.subsampling not in HALVINGS:
            known = " or ".join(HALVINGS)
            raise InputError(f"{self.name}/subsampling is {self.subsampling!r}, expected {known}")
        height, width = image.shape[:2]
        shapes = _plane_shapes(height, width, self.subsampling)
        ycbcr = image @ YCBCR_OF_RGB.T - MIDDLE_GREY
        planes = [_shrink(ycbcr[..., c], shape) for c, shape in enumerate(shapes)]

        basis, steps = self.basis(), _steps(self.basis(), int(quality))
        levels = [np.rint(_cut(p) @ basis.patterns.T / steps).astype(np.int64) for p in planes]

        groups = [_symbols(plane) for plane in levels]
        laws = [_best_laws(groups[0]), _best_laws(groups[1] + groups[2])]
        coded = [
            (symbols, laws[min(c, 1)][contexts])
            for c, plane in enumerate(groups)
            for symbols, contexts in plane
        ]
        subsampling = list(HALVINGS).index(self.subsampling)
        header = HEADER.pack(height, width, int(quality), subsampling, *map(bytes, laws))
        return header + entropy.encode(coded, _tables())

    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made.

        Raises FormatError if the bytes are no such file, LimitError if the image is too large.
        """
        height, width, quality, subsampling, laws = _read_header(data)
        shapes = _plane_shapes(height, width, subsampling)
        decoder = entropy.Decoder(data[HEADER.size :], _tables())
        levels = [
            _read_levels(decoder, _block_count(shape), laws[min(c, 1)], last=c == 2)
            for c, shape in enumerate(shapes)
        ]

        basis, steps = self.basis(), _steps(self.basis(), quality)
        planes = [
            _join(plane * steps @ basis.patterns, shape)
            for plane, shape in zip(levels, shapes, strict=True)
        ]

        ycbcr = np.stack([_enlarge(plane, (height, width)) for plane in planes], axis=-1)
        rgb = (ycbcr + MIDDLE_GREY) @ np.linalg.inv(YCBCR_OF_RGB).T
        return np.rint(rgb).clip(0, 255).astype(np.uint8)

    @classmethod
    def version(cls) -> str:
        """Return what does the work, with its version."""
        return f"npeg {npeg.__version__}, NumPy {np.__version__}"


@dataclass(frozen=True, kw_only=True)
class Dct(BlockCodec):
    """Blocks as sums of cosines, as in JPEG."""

    name = "dct"
    title = "block DCT {subsampling}"
    basis = staticmethod(cosine_basis)


@dataclass(frozen=True, kw_only=True)
class Dft(BlockCodec):
    """Blocks as sums of Fourier waves, to show what the cosines are for."""

    name = "dft"
    title = "block DFT {subsampling}"
    basis = staticmethod(fourier_basis)


def _read_header(data: bytes) -> tuple[int, int, int, str, list[Ints]]:
    """Return height, width, quality, subsampling and the laws of luma and chroma."""
    if len(data) < HEADER.size:
        raise FormatError(f"file has {len(data)} bytes, expected a header of {HEADER.size}")
    height, width, quality, subsampling, *packed = HEADER.unpack_from(data)
    laws = [np.frombuffer(text, np.uint8).astype(np.int64) for text in packed]
    if not 1 <= quality <= 100 or subsampling >= len(HALVINGS) or np.max(laws) >= LAWS:
        raise FormatError("header has a quality, subsampling or table out of range")
    return height, width, quality, list(HALVINGS)[subsampling], laws


# Planes and blocks


def _plane_shapes(height: int, width: int, subsampling: str) -> list[tuple[int, int]]:
    """Return the sizes of Y, Cb and Cr; raise LimitError if the image has too many blocks."""
    if not height or not width:
        raise FormatError(f"image is {width}x{height}, expected one pixel or more")
    if max(height, width) > MAX_SIDE or _block_count((height, width)) > MAX_BLOCKS:
        raise LimitError(f"image is {width}x{height}, expected at most {MAX_BLOCKS} blocks of 8x8")
    factor = HALVINGS[subsampling]
    chroma = -(-height // factor), -(-width // factor)
    return [(height, width), chroma, chroma]


def _shrink(plane: Floats, shape: tuple[int, int]) -> Floats:
    """Return a plane (H, W), or the means of its squares of 2x2 if shape is half its size."""
    if plane.shape == shape:
        return plane
    even = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
    return even.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))


def _enlarge(plane: Floats, shape: tuple[int, int]) -> Floats:
    """Return a plane of this shape, by repeating pixels if it has half the size."""
    if plane.shape == shape:
        return plane
    return plane.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]


def _block_count(shape: tuple[int, int]) -> int:
    return -(-shape[0] // SIDE) * -(-shape[1] // SIDE)


def _cut(plane: Floats) -> Floats:
    """Return the flattened blocks of a plane, (blocks, 64), its edges repeated to whole blocks."""
    whole = np.pad(plane, [(0, -side % SIDE) for side in plane.shape], mode="edge")
    rows = whole.reshape(whole.shape[0] // SIDE, SIDE, -1, SIDE)
    return rows.swapaxes(1, 2).reshape(-1, PATTERNS)


def _join(blocks: Floats, shape: tuple[int, int]) -> Floats:
    """Return the plane of flattened blocks: the inverse of `_cut`."""
    rows = blocks.reshape(-(-shape[0] // SIDE), -(-shape[1] // SIDE), SIDE, SIDE)
    whole = rows.swapaxes(1, 2).reshape(rows.shape[0] * SIDE, -1)
    return whole[: shape[0], : shape[1]]


# Quantisation and symbols


def _steps(basis: Basis, quality: int) -> Floats:
    """Return the step of each coefficient, (64,): the larger, the less of it is kept.

    16 for the mean to 100 for the finest cosine at quality 50, about as in JPEG's example table
    for luma (T.81, table K.1); the scale is libjpeg's.
    """
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    return np.rint((16 + 6 * basis.frequencies) * scale).clip(min=1)


def _symbols(levels: Ints) -> list[tuple[Ints, Ints]]:
    """Turn the quantised coefficients of a plane, (blocks, 64), into symbols with contexts.

    The context of a coefficient is its frequency. A block's mean is given as the difference from
    the block before. Only the coefficients up to a block's last non-zero one are given; how many
    these are is a symbol of context END, again as a difference.
    """
    differences = levels.copy()
    differences[:, 0] = np.diff(levels[:, 0], prepend=0)
    counts = np.where(differences, np.arange(1, PATTERNS + 1), 0).max(axis=1)
    block, frequency = _places(counts)
    ends = np.diff(counts, prepend=0), np.full(len(counts), END)
    return [ends, (differences[block, frequency], frequency)]


def _read_levels(decoder: entropy.Decoder, blocks: int, laws: Ints, *, last: bool) -> Ints:
    """Read back the quantised coefficients of a plane, (blocks, 64): the inverse of `_symbols`."""
    counts = np.cumsum(decoder.decode(np.full(blocks, laws[END])), dtype=np.int64)
    if counts.min() < 0 or counts.max() > PATTERNS:
        raise FormatError(
            f"a block has {counts.min()}..{counts.max()} coefficients, expected 0..64"
        )
    block, frequency = _places(counts)
    levels = np.zeros((blocks, PATTERNS), np.int64)
    levels[block, frequency] = decoder.decode(laws[frequency], last=last)
    levels[:, 0] = np.cumsum(levels[:, 0])
    return levels


def _places(counts: Ints) -> tuple[Ints, ...]:
    """Return block and frequency of each coefficient that is in the file, in order."""
    return np.nonzero(np.arange(PATTERNS) < counts[:, None])


# Probabilities


@cache
def _tables() -> entropy.Tables:
    """Return tables of two-sided geometric laws, p(k) ~ exp(-|k| / scale), scales rising."""
    magnitudes = np.arange(entropy.MAX_MAGNITUDE + 1)
    both_signs = np.where(magnitudes, 2, 1)
    rows = []
    for scale in NARROWEST * RATIO ** np.arange(LAWS):
        law = both_signs * np.exp(-magnitudes / scale)
        tokens = np.bincount(entropy.TOKEN_OF_MAGNITUDE, law, entropy.TOKENS)
        rows.append(entropy.quantize_probabilities(tokens))
    return entropy.Tables(np.stack(rows))


def _best_laws(groups: list[tuple[Ints, Ints]]) -> NDArray[np.uint8]:
    """Return the law of each context, (65,), that codes these symbols in the fewest bits."""
    symbols, contexts = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    tokens = entropy.TOKEN_OF_MAGNITUDE[np.abs(symbols)]
    cells = np.bincount(contexts * entropy.TOKENS + tokens, minlength=CONTEXTS * entropy.TOKENS)
    bits = cells.reshape(CONTEXTS, entropy.TOKENS) @ _tables().token_bits.T  # (context, law)
    return bits.argmin(axis=1).astype(np.uint8)
