"""A blind comparison: pairs of pictures at equal size, and a page to say which is better.

Enters: photographs, codecs, rates. Leaves: a folder whose `page/` is for those who answer, and
`key.tsv`, which tells which picture is whose, for `npeg.bench.report.preference`.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from npeg.bench.codecs.contract import Codec
from npeg.bench.pages import page
from npeg.bench.run.ladder import Ladder, Pair, equal_pair
from npeg.bench.run.matching import Coded
from npeg.bench.run.photos import Photo
from npeg.errors import InputError

RATES = (0.15, 0.3, 0.6)
SEED = 1
KEY = "key.tsv"
COLUMNS = (
    "pair", "image", "rate_bpp", "rival", "left", "right",
    "left_quality", "right_quality", "left_size_bytes", "right_size_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A comparison that was written."""

    page: Path
    key: Path
    pairs: int
    left_out: list[str]  # a line each, with the reason


@dataclass(frozen=True)
class _Planned:
    """A pair to make; `number` and `swapped` are drawn."""

    photo: Photo
    rate_bpp: float
    rival: Codec
    number: int
    swapped: bool  # the rival is on the left

    def __str__(self) -> str:
        """Return what it is of, for people."""
        return f"{self.photo.name} at {self.rate_bpp:g} bpp against {self.rival.label}"


def make_comparison(
    folder: Path,
    photos: Sequence[Photo],
    codecs: Sequence[Codec],
    rates: Sequence[float] = RATES,
    seed: int = SEED,
) -> Made:
    """Write a blind comparison of the first codec with each other one.

    Args:
        folder: gets `page/` and `key.tsv`; it must not have a key yet.
        photos: each is compared at each rate with each rival, where sizes can be made equal.
        codecs: at least two; lossy.
        rates: in bits per pixel, above 0.
        seed: of the order of the pairs and of their sides.

    Raises:
        InputError: an argument is not usable, or no pair could be made.
    """
    _check(folder, codecs, rates)
    first, *rivals = codecs
    for name in ("pairs", "originals"):
        (folder / "page" / name).mkdir(parents=True, exist_ok=True)
    rows, shown, left_out, digest = [], [], [], sha256()
    for planned, pair in _made(first, _drawn(photos, rates, rivals, seed)):
        if isinstance(pair, str):
            left_out.append(f"{planned}: {pair}")
            print(f"left out: {left_out[-1]}", file=sys.stderr)
            continue
        sides = (pair.rival, pair.first) if planned.swapped else (pair.first, pair.rival)
        shown.append(_write_pictures(folder / "page", planned, sides))
        rows.append(_row(planned, sides))
        digest.update(b"".join(side.pixels.tobytes() for side in sides))
    if not rows:
        raise InputError(f"no pair could be made: {left_out[0] if left_out else 'no photographs'}")
    identity = digest.hexdigest()[:12]
    notes = [f"comparison: {identity}", f"seed: {seed}", f"first: {first.spec}"]
    notes += [f"{codec.spec}: {codec.label}: {codec.version()}" for codec in codecs]
    notes += [f"left out: {line}" for line in left_out]
    index = _write_page(folder / "page", identity, shown)
    write_rows(folder / KEY, notes, COLUMNS, sorted(rows, key=lambda row: int(row[0])))
    return Made(index, folder / KEY, len(rows), left_out)


def write_rows(
    path: Path, notes: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Write tab-separated rows under their columns, after notes that begin with `#`."""
    lines = [*(f"# {note}" for note in notes), "\t".join(columns), *map("\t".join, rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check(folder: Path, codecs: Sequence[Codec], rates: Sequence[float]) -> None:
    if len(codecs) < 2:
        names = ", ".join(codec.label for codec in codecs) or "nothing"
        raise InputError(f"a blind comparison needs a codec and a rival, found {names}")
    if lossless := [codec.name for codec in codecs if codec.lossless]:
        raise InputError(f"{lossless[0]} is lossless: there is nothing to compare")
    if not rates or not min(rates) > 0:
        raise InputError("rates must be above 0 bits per pixel")
    if (folder / KEY).exists():
        raise InputError(f"{folder / KEY} is there already: choose another folder")


def _drawn(
    photos: Sequence[Photo], rates: Sequence[float], rivals: Sequence[Codec], seed: int
) -> list[_Planned]:
    """Draw number and sides of each pair; they are in the order of photographs, to be made in."""
    drawn = random.Random(seed)
    pairs = [(p, rate, rival) for p in photos for rate in rates for rival in rivals]
    numbers = drawn.sample(range(1, len(pairs) + 1), len(pairs))
    return [
        _Planned(*pair, number, drawn.random() < 0.5)
        for pair, number in zip(pairs, numbers, strict=True)
    ]


def _made(first: Codec, plan: Sequence[_Planned]) -> Iterator[tuple[_Planned, Pair | str]]:
    """Yield each pair of the plan, or why there is none."""
    photo, ladders = None, dict[str, Ladder]()
    for planned in tqdm(plan, "pairs", unit="pair", disable=None):
        if planned.photo is not photo:  # files of one photograph at a time are kept
            photo, ladders = planned.photo, {}
        image = planned.photo.pixels()
        for codec in (first, planned.rival):
            ladders.setdefault(codec.spec, Ladder(codec, image))
        try:
            pair = equal_pair(ladders[first.spec], ladders[planned.rival.spec], planned.rate_bpp)
        except Exception as error:  # a codec is someone else's code: the rest must go on
            yield planned, " ".join(str(error).split()) or type(error).__name__
            continue
        yield planned, pair or "no two files are of equal size near this rate"


def _write_pictures(folder: Path, planned: _Planned, sides: tuple[Coded, Coded]) -> dict[str, Any]:
    """Write both pictures of a pair, and the original once; describe them to the page."""
    photo = planned.photo
    original = folder / "originals" / f"{photo.sha256[:12]}.png"
    if not original.exists():
        Image.fromarray(photo.pixels()).save(original)
    for name, side in zip(("left", "right"), sides, strict=True):
        Image.fromarray(side.pixels).save(folder / "pairs" / f"{planned.number:03}-{name}.png")
    return {
        "number": planned.number,
        "width": photo.width,
        "height": photo.height,
        "original": f"originals/{original.name}",
        "left": f"pairs/{planned.number:03}-left.png",
        "right": f"pairs/{planned.number:03}-right.png",
    }


def _write_page(folder: Path, identity: str, shown: Sequence[dict[str, Any]]) -> Path:
    """Write the page that shows the pairs in the order of their numbers; return its path."""
    data = {
        "comparison": identity,
        "pairs": sorted(shown, key=lambda pair: int(pair["number"])),
    }
    scripts, styles = ["viewer.js", "blind.js"], ["page.css", "blind.css"]
    path = folder / "index.html"
    path.write_text(page("Which is nearer?", "blind.html", scripts, data, styles), encoding="utf-8")
    return path


def _row(planned: _Planned, sides: tuple[Coded, Coded]) -> list[str]:
    return [
        str(planned.number),
        planned.photo.name,
        f"{planned.rate_bpp:g}",
        planned.rival.spec,
        *(side.codec.spec for side in sides),
        *(f"{side.quality:g}" for side in sides),
        *(str(side.size_bytes) for side in sides),
    ]
