"""Weights are what their folder says, or are not used."""

import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from npeg import weights
from npeg.errors import InputError
from npeg.networks import FOLDER, MODELS, Model

FOLDERS = sorted(path for path in FOLDER.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_shipped_weights_have_their_hashes(folder: Path) -> None:
    names = [path.name for path in folder.iterdir() if path.name != weights.SUMS]
    assert names and all(weights.read(folder / name) for name in names)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / MODELS[8], tmp_path / "copy"))


@pytest.mark.parametrize("name", ["synthesis.onnx", "entropy.npz"])
def test_other_weights_are_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    model = Model(copy, 1)
    with pytest.raises(InputError, match=f"other weights than SHA256SUMS states.*{name}"):
        _ = model._synthesis if "synthesis" in name else model.tables


def test_missing_weights_are_one_line(copy: Path) -> None:
    (copy / "synthesis.onnx").unlink()
    with pytest.raises(InputError, match="no such file or directory.*synthesis.onnx"):
        _ = Model(copy, 1)._synthesis
    (copy / weights.SUMS).unlink()
    with pytest.raises(InputError, match="found no weights to read"):
        _ = Model(copy, 1).tables


def test_unreadable_weights_are_one_line(run, png, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise InputError(f"found no weights to read, permission denied: {path}")

    monkeypatch.setattr(weights, "read", refuse)
    from npeg import networks

    cast(Any, networks._load).cache_clear()
    done = run("encode", png, "-o", "x.npeg")
    cast(Any, networks._load).cache_clear()
    assert done.status == 1 and done.err.count("\n") == 1
    assert "found no weights to read, permission denied" in done.err
    assert not Path("x.npeg").exists()
