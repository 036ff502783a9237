"""What is installed and loaded: hashes, licences, and no code from data."""

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))

import make_licences  # noqa: E402

LOCK = ROOT / "requirements" / "run.txt"
RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "runpy"}
RESTRICTED = {"enhance/torch_weights.py", "teaching/cifar.py"}  # files of users, not of strangers


def locked() -> dict[str, list[tuple[Requirement, int]]]:
    """Return what the lock asks for: name -> requirements, each with its number of hashes."""
    found: dict[str, list[tuple[Requirement, int]]] = {}
    for entry in re.split(r"\n(?=\S)", LOCK.read_text().replace("\\\n", " ")):
        text, *hashes = entry.split("--hash=")
        requirement = Requirement(text.strip())
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", one) for one in hashes)
        found.setdefault(canonicalize_name(requirement.name), []).append((requirement, len(hashes)))
    return found


def test_the_lock_states_one_version_and_hashes_of_all_that_decoding_needs() -> None:
    lock = locked()
    wanted = make_licences.closure(make_licences.direct("run")) | {"setuptools"}
    assert wanted <= set(lock)
    for name, requirements in lock.items():
        for requirement, hashes in requirements:
            assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), name
            assert hashes, name


def test_the_versions_of_the_lock_are_allowed_by_the_package() -> None:
    lock = locked()
    for requirement in make_licences.direct("run"):
        for exact, _ in lock[canonicalize_name(requirement.name)]:
            version = str(exact.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), requirement


def test_no_licence_is_missing() -> None:
    rows = re.findall(r"^\| ([\w.-]+) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", page(), re.MULTILINE)
    licences = {canonicalize_name(name): licence for name, licence in rows}
    for group in make_licences.GROUPS:
        for requirement in make_licences.direct(group):
            assert canonicalize_name(requirement.name) in licences, requirement
    assert make_licences.closure(make_licences.direct("run")) <= set(licences)
    assert not {name for name, licence in licences.items() if licence in ("-", "not stated")}


def test_every_extra_is_on_the_page_of_licences() -> None:
    text = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    extras = re.findall(r"^(\w+) = \[", text.split("\n[")[0], re.MULTILINE)
    assert set(extras) == set(make_licences.GROUPS) - {"run"}


def test_every_data_set_of_the_model_card_is_on_the_page_of_licences() -> None:
    sets = make_licences.data_sets()
    assert len(sets) > 5
    assert all(row in page() for row in sets)


def page() -> str:
    return make_licences.PAGE.read_text(encoding="utf-8")


def calls(tree: ast.AST) -> list[tuple[str, dict[str, ast.expr]]]:
    """Return the dotted name and the keywords of each call."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(ast.unparse(n.func), {k.arg: k.value for k in n.keywords if k.arg}) for n in nodes]


def dangers(text: str) -> list[str]:
    """Return what in a file of Python could run code out of data."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in RUNS_CODE]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_CODE:
            found.append(str(node.module))
    for name, keywords in calls(tree):
        value = ast.unparse(keywords["allow_pickle"]) if "allow_pickle" in keywords else "True"
        if name in ("eval", "exec", "compile", "__import__"):
            found.append(name)
        elif name in ("np.load", "numpy.load") and value != "False":
            found.append(f"{name} without allow_pickle=False")
        elif name == "torch.load" and ast.unparse(keywords.get("weights_only", tree)) != "True":
            found.append(f"{name} without weights_only=True")
    return found


def test_nothing_in_the_package_unpickles_or_runs_what_it_reads() -> None:
    found = {}
    for path in (ROOT / "npeg").rglob("*.py"):
        name = path.relative_to(ROOT / "npeg").as_posix()
        if parts := dangers(path.read_text(encoding="utf-8")):
            found[name] = parts
    assert set(found) == RESTRICTED
    for name, parts in found.items():
        assert set(parts) == {"pickle"}, name
        assert "def find_class" in (ROOT / "npeg" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from yaml import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path, 'cpu')",
        "eval(text)",
    ],
)
def test_the_search_for_code_in_data_finds_it(text: str) -> None:
    assert dangers(text)
