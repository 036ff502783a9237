# mypy: ignore-errors
"""Would more than the hyper-latents help to choose a latent's table, or to guess its value?

Ran at commit 67534cc, where it is `runs/scale_contexts.py`: the functions that it
calls have other homes since. Its rows are of model 3, at commit 9c9c2f8.

python scale_contexts.py TRAIN VAL > scale-contexts.tsv

Counts the symbols of the shipped model on photographs of TRAIN, by table and by a context that a
decoder could know exactly, and reports by how much such tables would shorten the symbols of VAL
(scale-contexts.tsv is of model 3):

same      the four neighbours already decoded, same latent channel: how much larger than expected
all       the same four places, all channels together
both      the two above
halves    also, for the anchors' odd channels: how large the even ones at the same place came out

and `linear`: by how much the guess of odd channels from even ones at the same place, by least
squares, would narrow what is left to code.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from npeg import codec, networks
from npeg.codec import Tile

TRAINING_IMAGES = 32
SIDE = 512
QUALITIES = (20, 40, 60, 80)
MOST = 15  # larger symbols count as this one
PRIOR = 30  # symbols' worth of the table alone in each table and context
TABLES = 64
SAME_EDGES = (0.15, 0.5, 0.9, 1.3, 2, 3.5, 6)  # of found / expected magnitude
ALL_EDGES = (0.4, 0.7, 0.9, 1.1, 1.4, 2, 3)
WIDE = 8  # tables from here on, of scales over 0.3, count for `linear`

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sample = tuple[Ints, Ints, Floats]  # symbols, tables and what was rounded, (M, h, w) each


def read(path: Path, quality: int) -> Sample:
    """Return what the encoder makes of the middle of a photograph."""
    image = np.asarray(Image.open(path).convert("RGB"))
    top, left = ((side - SIDE) // 2 for side in image.shape[:2])
    pixels = image[max(top, 0) :, max(left, 0) :][:SIDE, :SIDE]
    model = networks.load()
    y, z = codec._analyse(model, pixels, Tile(0, len(pixels), 0, pixels.shape[1]), 2 * quality)
    tile = codec._quantise_tile(model, y, z, 2 * quality)
    symbols, means = tile.symbols.astype(np.int64), tile.y_hat - tile.symbols
    return symbols, tile.indexes.astype(np.int64), (y - means).astype(np.float64)


def neighbours(a: Floats) -> Floats:
    """Return the sum of the four neighbours of each place."""
    p = np.pad(a, ((0, 0), (1, 1), (1, 1)))
    result: Floats = p[:, :-2, 1:-1] + p[:, 2:, 1:-1] + p[:, 1:-1, :-2] + p[:, 1:-1, 2:]
    return result


def contexts(symbols: Ints, tables: Ints, expected: Floats) -> dict[str, Ints]:
    """Return a small number for each latent under each scheme; 0 where nothing is known."""
    found, usual = np.abs(symbols).astype(float), expected[tables]
    h, w = symbols.shape[1:]
    anchor = np.broadcast_to(np.add.outer(np.arange(h), np.arange(w)) % 2 == 0, symbols.shape)
    even = np.broadcast_to(np.arange(len(symbols))[:, None, None] % 2 == 0, symbols.shape)
    near, near_usual = neighbours(found * anchor), neighbours(usual * anchor)
    same = np.digitize((near + 0.02) / (near_usual + 0.02), SAME_EDGES)
    ratio = (near.sum(0) + 0.5) / (near_usual.sum(0) + 0.5)
    everywhere = np.broadcast_to(np.digitize(ratio, ALL_EDGES), symbols.shape)
    ratio = ((found * even).sum(0) + 0.5) / ((usual * even).sum(0) + 0.5)
    half = np.broadcast_to(np.digitize(ratio, ALL_EDGES), symbols.shape)
    both = np.where(anchor, 0, 1 + 8 * same + everywhere)
    return {
        "none": np.zeros_like(symbols),
        "same": np.where(anchor, 0, 1 + same),
        "all": np.where(anchor, 0, 1 + everywhere),
        "both": both,
        "halves": np.where(anchor & ~even, 65 + half, both),
    }


def code_lengths(training: list[Sample], expected: Floats, scheme: str) -> Floats:
    """Return the bits of each clipped symbol by context and table, (contexts * 64, 31)."""
    counts = np.zeros((80, TABLES, 2 * MOST + 1))
    for symbols, tables, _ in training:
        context = contexts(symbols, tables, expected)[scheme]
        np.add.at(counts, (context, tables, np.clip(symbols, -MOST, MOST) + MOST), 1)
    alone = counts.sum(0) + 0.02
    counts += PRIOR * alone / alone.sum(1, keepdims=True)
    return -np.log2(counts / counts.sum(2, keepdims=True))


def gain_of_guess(training: list[Sample], val: list[Sample]) -> float:
    """Return the bits a symbol of the odd channels saved by guessing them from the even ones."""

    def columns(samples: list[Sample], part: int, start: int) -> Floats:
        return np.concatenate(
            [s[part][start::2].reshape(len(s[part][start::2]), -1).T for s in samples]
        )

    x, y = columns(training, 0, 0).astype(float), columns(training, 2, 1)
    gram = x.T @ x
    weights = np.linalg.solve(
        gram + (0.01 * np.trace(gram) / len(gram) + 50) * np.eye(len(gram)), x.T @ y
    )
    left, wide = columns(val, 2, 1), columns(val, 1, 1) >= WIDE
    guessed = left - columns(val, 0, 0) @ weights
    count = wide.sum(0)
    energies = [(np.square(a) * wide).sum(0) / count.clip(1) + 1e-9 for a in (left, guessed)]
    return float((0.5 * np.log2(energies[0] / energies[1]) * count).sum() / count.sum())


def main(train: Path, val: Path) -> None:
    """Print a row for each quality and scheme."""
    first_coded = networks.load().first_coded
    paths = sorted(path for path in train.iterdir() if path.suffix == ".avif")
    chosen = paths[:: len(paths) // TRAINING_IMAGES][:TRAINING_IMAGES]
    tested = sorted(path for path in val.iterdir() if path.suffix in (".png", ".avif", ".jpg"))
    print("quality", "scheme", "change_of_bits_percent", "bits_saved_a_symbol", sep="\t")
    for quality in QUALITIES:
        training = [read(path, quality) for path in chosen]
        samples = [read(path, quality) for path in tested]
        sums = np.zeros((2, TABLES))
        for symbols, tables, _ in training:
            sums[0] += np.bincount(tables.ravel(), np.abs(symbols).ravel(), TABLES)
            sums[1] += np.bincount(tables.ravel(), minlength=TABLES)
        expected = (sums[0] + 0.01) / (sums[1] + 1)
        bits: dict[str, float] = {}
        for scheme in contexts(*samples[0][:2], expected):
            lengths = code_lengths(training, expected, scheme)
            bits[scheme] = 0.0
            for symbols, tables, _ in samples:
                coded = tables >= first_coded
                context = contexts(symbols, tables, expected)[scheme]
                clipped = np.clip(symbols, -MOST, MOST) + MOST
                bits[scheme] += lengths[context[coded], tables[coded], clipped[coded]].sum()
            change = 100 * (bits[scheme] / bits["none"] - 1)
            print(quality, scheme, f"{change:+.2f}", "-", sep="\t", flush=True)
        print(
            quality, "linear", "-", f"{gain_of_guess(training, samples):.4f}", sep="\t", flush=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
