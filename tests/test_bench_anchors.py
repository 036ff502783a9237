"""Published runs: the numbers that others find with the same encoders are found here."""

import csv
from pathlib import Path

import pytest

RIVALS = Path(__file__).parents[1] / "results" / "kodak.tsv"


def kodak_mean(codec, quality):
    lines = [line for line in RIVALS.read_text().splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter="\t")
    return next(
        r for r in rows if (r["image"], r["codec"], r["quality"]) == ("mean", codec, quality)
    )


@pytest.mark.parametrize(
    ("codec", "rate_bpp", "psnr_db"),
    [("jpeg", 0.865, 32.17), ("webp", 0.673, 33.01), ("avif", 0.617, 33.54)],
)
def test_the_common_codecs_are_where_they_should_be_on_kodak(codec, rate_bpp, psnr_db):
    row = kodak_mean(codec, "50")
    assert float(row["rate_bpp"]) == pytest.approx(rate_bpp, rel=0.02)
    assert float(row["psnr_rgb_db"]) == pytest.approx(psnr_db, abs=0.05)
