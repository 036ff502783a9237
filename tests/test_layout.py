"""The package's structure: what a user installs never needs torch, imports go one way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parents[1] / "npeg"
ORDER = [
    *(
        "errors",
        "arrays",
        "weights",
        "sections",
        "container",
        "own_models",
        "depth",
        "adaptive",
        "planes",
        "exact",
        "transparency",
        "pixels",
        "entropy",
        "networks",
        "encoder_rule",
        "tiles",
        "latents",
        "residual_order",
        "residual",
        "residual_rule",
        "decoder",
        "encoder",
        "codec",
        "sketches",
        "targets",
    ),
]
# Rooms from the lowest up, each with those that it may import, or the one module of one. A module
# belongs to the longest name that begins its own.
ROOMS = {
    "bench.codecs": [],
    "bench.metrics": ["bench.codecs.contract"],
    "bench.pages": [],
    "bench.run": ["bench.codecs", "bench.metrics"],
    "bench.report": ["bench.codecs", "bench.metrics", "bench.pages", "bench.run"],
    "bench.options": ["bench.codecs", "bench.metrics", "bench.run", "bench.report"],
    "training.networks": [],
    "training": ["training.networks", "bench.metrics"],  # data, loss, loop
    "training.export": ["training.networks", "training"],
    "teaching": ["training"],
    "training.dither": ["training.networks", "training", "training.export", "teaching.network"],
    "training.restorer": ["training.networks", "training", "training.export", "bench.metrics"],
    "training.steps": ["training.networks", "training", "training.export", "training.restorer"],
    "training.options_train": ["training", "training.dither", "training.restorer"],
    "training.options_export": [
        *("training.networks", "training", "training.export"),
        *("training.dither", "training.restorer"),
    ],
}


# Names that two modules share. The folder of each says whose it is; a folder that has the name of
# its own module, or of another folder's whole subject, says nothing and is not allowed.
SHARED = {
    "codec": {"codec": "npeg's file", "dither.codec": "the dither file"},
    "container": {"container": "npeg's file", "dither.container": "the dither file"},
    "networks": {
        "networks": "npeg's, as ONNX Runtime runs them",
        "dither.networks": "the dither codecs', as ONNX Runtime runs them",
        "training.networks": "npeg's, as PyTorch trains them",
    },
    "dither": {
        "dither": "the codecs of that name",
        "bench.codecs.dither": "what the bench makes of them",
        "training.dither": "how they are trained",
    },
    "export": {
        "training.export": "of npeg's networks",
        "training.dither.export": "of the dither codecs' networks",
    },
    "options": {"bench.options": "of npeg bench", "web.options": "of npeg view and npeg serve"},
}


def imported(path: Path) -> set[str]:
    """Return the dotted names a file imports, at any depth; relative ones begin with a dot."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names |= {f"{base}.{a.name}" if node.module is None else base for a in node.names}
    return names


def room(name: str) -> str:
    """Return the room of a module, both dotted and below npeg: the longest name that begins it."""
    return max((r for r in ROOMS if f"{name}.".startswith(f"{r}.")), key=len, default="")


def modules_used(path: Path) -> set[str]:
    """Return npeg's modules that a file of npeg imports, dotted and below npeg."""
    here, used = path.relative_to(PACKAGE).with_suffix("").parts, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            used |= {a.name.removeprefix("npeg.") for a in node.names if a.name.startswith("npeg.")}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[: len(here) - node.level], *filter(None, [node.module])])
            if not node.level:
                root, _, base = (node.module or "").partition(".")
                if root != "npeg":
                    continue
            for alias in node.names:
                name = f"{base}.{alias.name}".strip(".")
                place = PACKAGE.joinpath(*name.split("."))
                used.add(name if place.is_dir() or place.with_suffix(".py").exists() else base)
    return used


def test_only_training_imports_torch() -> None:
    for path in PACKAGE.rglob("*.py"):
        allowed = path.name in ("train.py", "st_lpips.py")  # the latter when it is asked for only
        if not {"training", "teaching"} & set(path.parts) and not allowed:
            roots = {name.split(".")[0] for name in imported(path)}
            assert not roots & {"torch", "onnx"}, path


def test_imports_only_go_up_the_list() -> None:
    for rank, name in enumerate(ORDER):
        used = {n.strip(".").split(".")[0] for n in imported(PACKAGE / f"{name}.py") if n[0] == "."}
        later = set(ORDER[rank:]) | {
            "cli",
            "bench",
            "training",
            "teaching",
            "train",
            "NpegImagePlugin",
        }
        assert not used & later, f"{name} imports {used & later}"


def test_no_import_climbs_from_room_to_room() -> None:
    for path in PACKAGE.rglob("*.py"):
        here = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if home := room(here):
            for name in filter(room, modules_used(path)):
                allowed = room(name) in (home, *ROOMS[home]) or name in ROOMS[home]
                assert allowed, f"{here} imports {name}"


def test_rooms_know_each_other_one_way() -> None:
    rooms = list(ROOMS)
    for rank, one in enumerate(rooms):
        assert {room(other) for other in ROOMS[one]} <= set(rooms[:rank]), one


def test_no_module_hides_one_of_the_standard_library() -> None:
    for path in PACKAGE.glob("*.py"):
        assert path.stem not in sys.stdlib_module_names - {"__main__"}, path


def test_two_modules_share_a_name_only_where_their_folders_tell_them_apart() -> None:
    places: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts:
            places.setdefault(parts[-1], set()).add(".".join(parts))
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert shared == {name: set(reasons) for name, reasons in SHARED.items()}


def test_no_module_has_the_name_of_its_folder() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.stem != path.parent.name, path


def test_no_file_of_python_or_javascript_is_above_400_lines() -> None:
    root, foreign = PACKAGE.parent, {PACKAGE / "web" / name for name in ("ort", "avif")}
    for folder in ("npeg", "tests", "recipes", "reference", "results", "studies", "docs"):
        for path in (root / folder).rglob("*"):
            if path.suffix in (".py", ".js", ".mjs") and path.parent not in foreign:
                assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def code_lines(function: ast.FunctionDef, text: list[str]) -> int:
    """Return a function's lines without blank ones, comments and its docstring."""
    first, numbers = function.body[0], set(range(function.lineno, (function.end_lineno or 0) + 1))
    if ast.get_docstring(function) is not None:
        numbers -= set(range(first.lineno, (first.end_lineno or 0) + 1))
    lines = [text[number - 1].strip() for number in numbers]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_functions_are_short() -> None:
    lengths = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        lengths += [code_lines(function, text.splitlines()) for function in functions]
    assert max(lengths) <= 60
    assert np.percentile(lengths, 95) <= 20


def test_the_type_of_pixels_has_one_home() -> None:
    root = PACKAGE.parent
    for folder in ("npeg", "tests", "recipes", "results", "studies", "docs"):
        for path in (root / folder).rglob("*.py"):
            if path != PACKAGE / "arrays.py":
                assert "\nPixels = " not in path.read_text(encoding="utf-8"), path


def test_encoding_and_decoding_load_no_torch() -> None:
    code = (
        "import sys, numpy, npeg; data = npeg.encode(numpy.zeros((8, 8, 3), 'uint8'));"
        "npeg.decode(data); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0


STUDIES = sorted((PACKAGE.parent / "studies").iterdir())


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_has_a_script_and_a_short_verdict(study: Path) -> None:
    assert list(study.glob("*.py"))
    title, *lines = (study / "README.md").read_text().splitlines()
    assert title.startswith("# Verdict: ")
    assert len(lines) <= 10


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_that_does_not_fit_the_package_says_where_it_ran(study: Path) -> None:
    for path in study.glob("*.py"):
        text = path.read_text()
        if "mypy: ignore-errors" in text:
            assert re.search(r"\n\nRan at commit [0-9a-f]{7}\b", text), path
