"""Walk one image through encode, one through bench and a batch through train, and count the files.

    python walks.py [PACKAGE_ROOT] > walks.tsv

PACKAGE_ROOT is a clone at any commit, by default this one. Each walk runs in a process of its own,
and each function of npeg is read once, when it is first called, as a reader does who follows the
calls. Files: how many are read. Returns: how often the reader goes back to a file that was left.
Climbs: calls into a file that itself imports the caller's, directly or through others, as only a
function handed down can do it; pairs of files are counted once.
"""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
WALKS = {
    "encode": "import npeg, numpy; from skimage import data;"
    "npeg.encode(numpy.ascontiguousarray(data.coffee()[:256, :256]), quality=50)",
    "bench": "from npeg.cli import main; main('bench --images photos --codecs npeg --metrics psnr"
    " --qualities 50 --out results -j 1'.split())",
    "train": "from npeg.cli import main; main('train --images photos --out run --steps 1 --batch 1"
    " --decay 1 --crop 64'.split())",
}
# Runs when each of a walk's processes starts: writes the first call of each function of npeg.
TRACER = """
import os, sys, threading, time
root, log = os.environ.get("WALK_ROOT"), os.environ.get("WALK_LOG")
if root and log:
    seen, file = set(), open(f"{log}.{os.getpid()}", "w", buffering=1)
    def called(frame, event, _):
        code = frame.f_code
        if event != "call" or code in seen or not code.co_filename.startswith(root):
            return
        if not code.co_flags & 1 or code.co_name.startswith("<"):
            return  # a module, a class, a comprehension or a lambda
        seen.add(code)
        back = frame.f_back
        while back and not (back.f_code.co_filename.startswith(root) and back.f_code.co_flags & 1):
            back = back.f_back
        caller = back.f_code.co_filename if back else ""
        print(time.monotonic_ns(), code.co_filename, caller, sep="\\t", file=file)
    sys.setprofile(called)
    threading.setprofile(called)
"""


def imports_of(package: Path) -> dict[Path, set[Path]]:
    """Return which files of the package each file imports, directly or through others."""
    direct = {path: _imported(path, package) for path in package.rglob("*.py")}
    reached = {path: set(files) for path, files in direct.items()}
    changed = True
    while changed:
        changed = False
        for files in reached.values():
            more = {other for file in files for other in reached.get(file, ())} - files
            changed |= bool(more)
            files |= more
    return reached


def _imported(path: Path, package: Path) -> set[Path]:
    """Return the files that a file imports, but for names that only a type checker imports."""
    parts, found = path.relative_to(package.parent).with_suffix("").parts, set()
    tree = ast.parse(path.read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing or not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level]] if node.level else []
            base += (node.module or "").split(".") if node.module else []
            names = [".".join([*base, name]) for name in names] + [".".join(base)]
        for name in names:
            place = package.parent.joinpath(*name.split("."))
            files = (place.with_suffix(".py"), place / "__init__.py")
            found |= {file for file in files if file.exists()}
    return found - {package / "__init__.py"}  # the facade, which whoever imports anything imports


def walk(name: str, root: Path) -> tuple[int, int, list[str]]:
    """Return the files and returns of a walk, and its climbs as texts."""
    from skimage import data

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "photos").mkdir()
        from PIL import Image

        Image.fromarray(data.coffee()[:256, :256]).save(here / "photos" / "coffee.png")
        (here / "sitecustomize.py").write_text(TRACER)
        environment = os.environ | {"WALK_ROOT": str(root / "npeg"), "WALK_LOG": str(here / "log")}
        environment |= {"PYTHONPATH": f"{here}{os.pathsep}{root}"}
        command = [sys.executable, "-c", WALKS[name]]
        subprocess.run(command, cwd=here, env=environment, check=True, stdout=subprocess.DEVNULL)
        rows = [line.split("\t") for log in here.glob("log.*") for line in log.open()]
    rows.sort(key=lambda row: int(row[0]))
    calls = [(Path(file), Path(caller.strip())) for _, file, caller in rows]
    return _counted(calls, root / "npeg")


def _counted(calls: list[tuple[Path, Path]], package: Path) -> tuple[int, int, list[str]]:
    reached = imports_of(package)
    read: list[Path] = []
    returns = 0
    for file, _ in calls:
        if not read or read[-1] != file:
            returns += file in read
            read.append(file)
    climbs = {
        f"{caller.relative_to(package)} -> {file.relative_to(package)}"
        for file, caller in calls
        if caller.suffix
        and caller != file
        and caller in reached[file]
        and file not in reached.get(caller, ())
    }
    return len(set(read)), returns, sorted(climbs)


def main(root: Path = HERE) -> None:
    """Print a row a walk."""
    print("walk", "files", "returns", "climbs", "which", sep="\t")
    for name in WALKS:
        files, returns, climbs = walk(name, root.resolve())
        print(name, files, returns, len(climbs), "; ".join(climbs), sep="\t", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
