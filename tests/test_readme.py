"""README.md and all pages: their Python runs, their commands parse, the trees are the tree."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from npeg import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TREE = (ROOT / "docs" / "tree.md").read_text()
PAGES = "\n".join(p.read_text() for p in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))
PYTHON = list(dict.fromkeys(re.findall(r"```python\n(.*?)```", PAGES, re.S)))
COMMANDS = sorted(set(re.findall(r"^    (?:torchrun \S+ -m )?(npeg .*)$", PAGES, re.M)))


@pytest.mark.parametrize("code", PYTHON)
def test_a_python_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code, {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_that_the_parser_takes(command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    assert callable(cli._parser(arguments).parse_args(arguments).run)


def paths_of(tree: str) -> set[str]:
    """Return the paths that begin the indented lines of a tree."""
    return {path.rstrip("/") for path in re.findall(r"^    ([\w./]+) +\S", tree, re.M)}


def test_every_path_of_the_trees_exists_and_every_module_is_in_one() -> None:
    rooms = paths_of(README.split("## Where things are")[1].split("## ")[0])
    named = paths_of(TREE)
    assert 5 < len(rooms) < 15
    assert [path for path in rooms | named if not (ROOT / path).exists()] == []
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "npeg").glob("*.py")}
    assert modules <= named


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 8000


def test_the_table_is_that_of_the_results() -> None:
    script = ROOT / "results" / "readme_table.py"
    table = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert len(table.stdout.splitlines()) > 10
    assert table.stdout in README
