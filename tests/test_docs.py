"""docs/ and the pages at the top: their numbers, pictures, links and named tests are there."""

import ast
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from npeg import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURED = "\n".join((DOCS / name).read_text() for name in ("how-it-works.md", "binary-codes.md"))
NUMBERS = dict(line.split("\t") for line in (DOCS / "numbers.tsv").read_text().splitlines())
ROOMS = ("docs", "npeg", "recipes", "results", "studies", "tests")
MARKDOWN = sorted([*ROOT.glob("*.md"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.md"))])


def test_every_number_of_the_script_is_on_the_pages() -> None:
    words = re.findall(r"[\d,.]*\d%?", PICTURED)
    missing = [name for name, value in NUMBERS.items() if value not in words]
    assert len(NUMBERS) > 20
    assert not missing


def test_every_picture_is_there_and_none_is_left_over() -> None:
    pages = PICTURED + (DOCS / "browser.md").read_text()
    named = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", pages))
    assert named == {path.name for path in DOCS.iterdir() if path.suffix in (".png", ".svg")}
    assert sum(path.stat().st_size for path in DOCS.glob("*.png")) < 600_000


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_anchors_that_exist(page: Path) -> None:
    broken = [link for link in links_of(page.read_text()) if not _leads_somewhere(page, link)]
    assert not broken


def links_of(page: str) -> list[str]:
    """Return the targets of a page's links and pictures, without those of its examples."""
    text = re.sub(r"^```.*?^```|^ {4}.*?$", "", page, flags=re.M | re.S)
    return re.findall(r"\]\(([^)\s]+)\)", text)


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


def test_the_table_of_what_is_kept_is_the_measured_one() -> None:
    rows = (ROOT / "results" / "kept.tsv").read_text().splitlines()[1:]
    page = (ROOT / "docs" / "kept.md").read_text()
    found = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert found[1:] == [row.split("\t") for row in rows]


def test_the_index_names_every_page() -> None:
    named = set(links_of((DOCS / "README.md").read_text()))
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= named


def test_every_promise_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 10
    for path, name in named:
        functions = ast.walk(ast.parse((ROOT / path).read_text()))
        assert not name or name in {f.name for f in functions if isinstance(f, ast.FunctionDef)}


def test_the_recipe_of_an_evening_trains_and_exports(tmp_path: Path) -> None:
    fake = tmp_path / "npeg"  # says what it is asked
    fake.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done; echo --end--\n')
    fake.chmod(0o755)
    places = {"IMAGES": "photos/", "VAL": "others/", "OUT": "run", "FROM": "flat.safetensors"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(ROOT / "recipes" / "train-evening.sh")]
    done = subprocess.run(command, env=path | places, capture_output=True, text=True, check=True)
    *calls, rest = done.stdout.split("--end--\n")
    for call, name in zip(calls, ("train", "export"), strict=True):
        arguments = call.splitlines()
        assert arguments[0] == name, shlex.join(arguments)
        assert callable(cli._parser(arguments).parse_args(arguments).run)
    assert "run/model" in rest
