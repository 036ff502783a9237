"""Curves that others have published, on the Kodak photographs: to draw, never as measured here."""

import csv
import math
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files

from npeg.bench.report.tables import Row
from npeg.bench.run.photos import Photo

KODAK = "f5ef0b1ccd49dbe30ba156b76761a83fca04c0a5ddb85e093fbd9aa86a144a9d"
"""SHA-256 of the 24 photographs' own hashes, sorted: of their pixels, whatever the files' names."""
MAIN = (
    "VTM (VVC intra 4:4:4)",
    "HM (HEVC intra 4:4:4)",
    "BPG 4:4:4 x265",
    "mbt2018-mean",
    "ELIC",
    "Cool-Chic 5.0",
)
"""The curves that are drawn unless more are asked for."""


def is_kodak(photos: Iterable[Photo]) -> bool:
    """Return whether these are the 24 Kodak photographs, all of them and no other."""
    hashes = sorted(photo.sha256 for photo in photos)
    return sha256("".join(hashes).encode()).hexdigest() == KODAK


def published_rows() -> dict[str, list[Row]]:
    """Return the published points of each codec, each with its `source`, in the file's order."""
    text = (files("npeg.bench.report") / "published-kodak.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows: dict[str, list[Row]] = {}
    for line in csv.DictReader(lines, delimiter="\t"):
        numbers = {key: _number(line[key]) for key in ("rate_bpp", "psnr_rgb_db", "ms_ssim")}
        rows.setdefault(line["codec"], []).append({"source": line["source"], **numbers})
    return rows


def _number(text: str) -> float | None:
    value = float(text)
    return None if math.isnan(value) else value
