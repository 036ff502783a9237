"""Pictures made or taken from scikit-image, and the command line as a function."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from skimage import data

import npeg
from npeg import cli
from npeg.arrays import Pixels
from npeg.container import Info

ROOT = Path(npeg.__file__).parents[1]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # shells start background jobs so, and children would inherit it: Ctrl-C is tested on some
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Done(NamedTuple):
    status: int
    out: str
    err: str


def info_of(source: str | Path | bytes) -> Info:
    """Return what the head of a .npeg file says, which is not one of the dither codecs'."""
    found = npeg.info(source)
    assert isinstance(found, Info)
    return found


@pytest.fixture(scope="session")
def photo() -> Pixels:
    """A part of a photograph, (96, 128, 3)."""
    return np.ascontiguousarray(data.astronaut()[80:176, 160:288])


@pytest.fixture(scope="session")
def photo_npeg(photo: Pixels) -> bytes:
    """The photo as a file of quality 50."""
    return npeg.encode(photo, 50)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> Callable[..., Done]:
    """The command line in this process, in an empty folder: run("encode", "x.png") -> Done."""
    monkeypatch.chdir(tmp_path)

    def run_here(*args: object) -> Done:
        capsys.readouterr()
        try:
            status = cli.main([str(arg) for arg in args])
        except SystemExit as exit_:  # argparse's usage errors
            status = int(exit_.code or 0)
        return Done(status, *capsys.readouterr())

    return run_here


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """The command line as a process of its own, for what pipes and signals do to it."""

    def spawn_here(*args: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "npeg", *map(str, args)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, check=False, **options
        )

    return spawn_here


def environment() -> dict[str, str]:
    """The environment for a process that imports this npeg from wherever it runs."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def cpu_seconds(code: str) -> float:
    """CPU time of a process, which is its wall time on an idle machine."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
    after = os.times()
    user = after.children_user - before.children_user
    return user + after.children_system - before.children_system


@pytest.fixture
def plugin() -> Iterator[None]:
    """npeg registered with Pillow, and forgotten again."""
    npeg.register()
    yield
    Image.ID.remove("NPEG")
    for registry in (Image.OPEN, Image.SAVE, Image.MIME):
        registry.pop("NPEG")
    Image.EXTENSION.pop(".npeg")


@pytest.fixture
def png(photo, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.fixture
def folder(photo, tmp_path: Path) -> Path:
    """a.png, deep/b.jpg, deep/c.png, and what is not to be touched."""
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/.hidden").mkdir()
    for name in ("a.png", "deep/b.jpg", "deep/c.png", ".hidden/d.png"):
        Image.fromarray(photo[:32, :48]).save(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("not a picture")
    return tmp_path / "in"


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
