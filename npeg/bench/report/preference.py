"""Answers to a blind comparison, counted: how often the first codec is preferred.

Enters: the key of a comparison and files of answers, one a person. Leaves: rows and lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from npeg.bench.report.blind import COLUMNS, KEY, write_rows
from npeg.errors import InputError

RESAMPLES = 10_000
SEED = 1  # of the bootstrap
LABELS = ("rival", "rate_bpp", "answers", "wins", "losses", "ties",
          "preferred_percent", "low_percent", "high_percent")  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What one person said of one pair: 1 for the first codec, 0 for the rival, 0.5 for neither."""

    image: str
    rate_bpp: float
    rival: str
    score: float


@dataclass(frozen=True)
class Count:
    """Answers about one rival at one rate, or at all (None); ties count half in the share."""

    rival: str
    rate_bpp: float | None
    wins: int
    losses: int
    ties: int
    share: float  # 0..1, of the answers that prefer the first codec
    interval: tuple[float, float] | None  # 95 %, over photographs; of one there is none

    @property
    def answers(self) -> int:
        """How many there are."""
        return self.wins + self.losses + self.ties


@dataclass(frozen=True)
class Key:
    """What `key.tsv` says: the pairs by number, and which comparison it is."""

    comparison: str
    first: str
    pairs: dict[str, dict[str, str]]


def read_key(folder: Path) -> Key:
    """Read the key of a comparison's folder.

    Raises InputError if it is missing or no such file.
    """
    path = folder / KEY
    notes, rows = _read_rows(path, COLUMNS)
    if not {"comparison", "first"} <= set(notes):
        raise InputError(f"{path}: found no line with the comparison and the first codec")
    return Key(notes["comparison"], notes["first"], {row["pair"]: row for row in rows})


def read_answers(key: Key, path: Path) -> list[Answer]:
    """Read what one person answered.

    Raises InputError if it is no such file, of another comparison, or answers a pair twice.
    """
    notes, rows = _read_rows(path, ("pair", "answer"))
    if notes.get("comparison") != key.comparison:
        found = notes.get("comparison", "none")
        raise InputError(f"{path}: answers comparison {found}, expected {key.comparison}")
    answers: dict[str, Answer] = {}
    for row in rows:
        pair, answer = row["pair"], row["answer"]
        if pair not in key.pairs:
            raise InputError(f"{path}: pair {pair!r} is not in the key")
        if pair in answers:
            raise InputError(f"{path}: pair {pair} is answered twice")
        if answer not in ("left", "right", "same"):
            raise InputError(
                f"{path}: found {answer!r} for pair {pair}, expected left, right, same"
            )
        known = key.pairs[pair]
        score = 0.5 if answer == "same" else float(known[answer] == key.first)
        answers[pair] = Answer(known["image"], float(known["rate_bpp"]), known["rival"], score)
    return list(answers.values())


def counts(answers: Sequence[Answer]) -> list[Count]:
    """Count answers by rival and rate, and for each rival over all rates."""
    result = []
    for rival in dict.fromkeys(sorted(answer.rival for answer in answers)):
        of_rival = [answer for answer in answers if answer.rival == rival]
        for rate in sorted({answer.rate_bpp for answer in of_rival}):
            result.append(_count(rival, rate, [a for a in of_rival if a.rate_bpp == rate]))
        result.append(_count(rival, None, of_rival))
    return result


def count_lines(first: str, rows: Sequence[Count]) -> list[str]:
    """Return the counts as a table for people."""
    width = max(len("against"), *(len(row.rival) for row in rows))
    head = f"{'against':{width}}   rate  answers   wins  losses   ties  preferred  95 %"
    lines = [f"{first}: how often it is preferred at equal size, ties as halves", head]
    for row in rows:
        rate = "all" if row.rate_bpp is None else f"{row.rate_bpp:g}"
        low_high = "-" if row.interval is None else "{:.1f} to {:.1f} %".format(*_percent(row))
        lines.append(
            f"{row.rival:{width}}  {rate:>5}  {row.answers:7}  {row.wins:5}  {row.losses:6}  "
            f"{row.ties:5}  {100 * row.share:7.1f} %  {low_high}"
        )
    return lines


def write_counts(key: Key, people: int, rows: Sequence[Count], path: Path) -> Path:
    """Write the counts as tab-separated rows; return the path."""
    notes = [
        f"comparison: {key.comparison}",
        f"first: {key.first}",
        f"people: {people}",
        f"interval: 95 %, bootstrap over photographs, {RESAMPLES} resamples, seed {SEED}",
    ]
    cells = [
        [
            row.rival,
            "all" if row.rate_bpp is None else f"{row.rate_bpp:g}",
            *map(str, (row.answers, row.wins, row.losses, row.ties)),
            f"{100 * row.share:.2f}",
            *(["", ""] if row.interval is None else [f"{p:.2f}" for p in _percent(row)]),
        ]
        for row in rows
    ]
    write_rows(path, notes, LABELS, cells)
    return path


def _percent(row: Count) -> tuple[float, float]:
    low, high = row.interval or (0.0, 1.0)
    return 100 * low, 100 * high


def _count(rival: str, rate_bpp: float | None, answers: Sequence[Answer]) -> Count:
    scores = [answer.score for answer in answers]
    return Count(
        rival,
        rate_bpp,
        scores.count(1),
        scores.count(0),
        scores.count(0.5),
        sum(scores) / len(scores),
        _interval(answers),
    )


def _interval(answers: Sequence[Answer]) -> tuple[float, float] | None:
    """Return 95 % of the shares that as many photographs, drawn with repeats, would give.

    Answers about one photograph are alike, so photographs are drawn, not answers.
    """
    images = sorted({answer.image for answer in answers})
    if len(images) < 2:
        return None
    scores, number = np.zeros(len(images)), np.zeros(len(images))
    for answer in answers:
        scores[images.index(answer.image)] += answer.score
        number[images.index(answer.image)] += 1
    drawn = np.random.default_rng(SEED).integers(len(images), size=(RESAMPLES, len(images)))
    shares = scores[drawn].sum(1) / number[drawn].sum(1)
    low, high = np.percentile(shares, (2.5, 97.5))
    return float(low), float(high)


def _read_rows(path: Path, columns: Sequence[str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Read tab-separated rows by column, and the notes `# name: value` above them.

    Raises InputError if the file cannot be read or lacks a column.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: found no text that can be read") from None
    notes: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.removeprefix("# ").partition(": ")
        if line.startswith("# ") and colon:
            notes.setdefault(name, value.strip())
    head, *body = [line.split("\t") for line in lines if line and not line.startswith("#")] or [[]]
    if lacking := [column for column in columns if column not in head]:
        raise InputError(f"{path}: found no column {lacking[0]!r}")
    if wrong := [row for row in body if len(row) != len(head)]:
        raise InputError(f"{path}: found {len(wrong[0])} cells in a row, expected {len(head)}")
    return notes, [dict(zip(head, row, strict=True)) for row in body]
