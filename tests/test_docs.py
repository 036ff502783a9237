"""docs/how-it-works.md: its numbers are those of its script, its pictures are there and small."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "how-it-works.md").read_text()
NUMBERS = dict(line.split("\t") for line in (DOCS / "numbers.tsv").read_text().splitlines())


def test_every_number_of_the_script_is_on_the_page() -> None:
    words = re.findall(r"[\d,.]*\d%?", PAGE)
    missing = [name for name, value in NUMBERS.items() if value not in words]
    assert len(NUMBERS) > 20
    assert not missing


def test_every_picture_is_there_and_none_is_left_over() -> None:
    named = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE))
    assert named == {path.name for path in DOCS.glob("*.png")}
    assert sum(path.stat().st_size for path in DOCS.glob("*.png")) < 600_000


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (DOCS / link).exists(), link
