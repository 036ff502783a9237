"""The package's structure: what a user installs never needs torch, imports go one way."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "npeg"
ORDER = ["errors", "container", "pixels", "entropy", "networks", "codec", "targets"]


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


def test_no_module_hides_one_of_the_standard_library() -> None:
    for path in PACKAGE.glob("*.py"):
        assert path.stem not in sys.stdlib_module_names - {"__main__"}, path


def test_encoding_and_decoding_load_no_torch() -> None:
    code = (
        "import sys, numpy, npeg; data = npeg.encode(numpy.zeros((8, 8, 3), 'uint8'));"
        "npeg.decode(data); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent).returncode == 0
