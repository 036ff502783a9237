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
LINKED = [path for path in (*ROOT.glob("*.md"), *DOCS.glob("*.md")) if path.name != "LOG.md"]


def links_of(page: str) -> list[str]:
    """Return the targets of a page's links and pictures, without those on the web."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", page) if "://" not in link]


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page, re.M)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_number_of_the_script_is_on_the_pages() -> None:
    words = re.findall(r"[\d,.]*\d%?", PICTURED)
    missing = [name for name, value in NUMBERS.items() if value not in words]
    assert len(NUMBERS) > 20
    assert not missing


def test_every_picture_is_there_and_none_is_left_over() -> None:
    named = set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", PICTURED))
    assert named == {path.name for path in DOCS.iterdir() if path.suffix in (".png", ".svg")}
    assert sum(path.stat().st_size for path in DOCS.glob("*.png")) < 600_000


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if target.resolve() == DOCS / "log" and (ROOT / "LOG.md").exists():
            continue  # until LOG.md has moved there
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.read_text()), link


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
