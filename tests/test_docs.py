"""docs/: the numbers of how-it-works.md are its script's; links of every page lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ROOMS = ("docs", "npeg", "recipes", "results", "studies", "tests")
MARKDOWN = sorted([*ROOT.glob("*.md"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.md"))])
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


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_anchors_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```|^ {4}.*?$", "", page.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    broken = [link for link in links if not _leads_somewhere(page, link)]
    assert not broken


def _leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link is to another site, or to a file and, behind a #, an anchor in it."""
    if re.match(r"(https?|mailto):", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target.read_text()))


def _anchors(text: str) -> set[str]:
    """Anchors of a Markdown text: its own and those that GitHub makes of headings.

    Of headings that are alike only the first one's is known.
    """
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    words = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    made = {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in words}
    return made | set(re.findall(r'<a id="([^"]+)">', text))
