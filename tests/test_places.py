"""Batches beyond one process: URLs by fsspec, and a Dask cluster's workers."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import tree
from PIL import Image

import npeg
from npeg import dask_cluster, files, places
from npeg.arrays import Pixels
from npeg.errors import InputError

fsspec = pytest.importorskip("fsspec", reason='needs pip install "npeg[remote]"')


def png_of(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def memory(photo: Pixels):
    """The file system behind memory://, with in/a.png, in/deep/b.png and in/notes.txt."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("a.png", "deep/b.png"):
        system.pipe_file(f"/in/{name}", png_of(photo[:16, :24]))
    system.pipe_file("/in/notes.txt", b"no picture")
    yield system
    system.store.clear()


def test_a_folder_at_a_url_is_encoded_and_decoded(run, memory, photo: Pixels) -> None:
    done = run("encode", "memory://in", "-o", "memory://out", "--lossless")
    assert done.status == 0 and "notes.txt" in done.err
    assert memory.find("/out") == ["/out/a.npeg", "/out/deep/b.npeg"]
    assert run("decode", "memory://out/*.npeg", "-o", "here/").status == 0
    assert (np.asarray(Image.open("here/a.png")) == photo[:16, :24]).all()
    assert run("decode", "memory://out/a.npeg", "memory://b.png", "--crop", "2,3,4,5").status == 0
    assert (npeg.decode(memory.cat("/out/a.npeg")) == photo[:16, :24]).all()
    assert run("info", "memory://out").out.count("lossless") == 2


def test_a_batch_at_a_url_goes_on_where_it_stopped(run, memory) -> None:
    run("encode", "memory://in/a.png", "-o", "memory://out/a.npeg")
    done = run("encode", "memory://in", "-o", "memory://out")
    assert done.status == 0
    assert "1 written, 1 skipped as they exist" in done.err
    assert run("encode", "memory://in/a.png", "-o", "memory://out/a.npeg").status == 1
    assert run("encode", "memory://in/a.png", "-o", "memory://out/a.npeg", "-f").status == 0


def test_a_file_url_is_a_path(run, png: Path) -> None:
    assert run("encode", png.as_uri(), "-o", "out.npeg").status == 0
    assert tree(png.parent) == ["out.npeg", "photo.png"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["memory://in/none.png", "-o", "x.npeg"], "found no such file"),
        (["memory://none/*.png", "-o", "out/"], "found no file of this pattern"),
        (["nothing://in/a.png", "-o", "x.npeg"], "nothing://"),
        (["memory://in", "-o", "memory://out", "-j", "2"], "in one process alone"),
        (["memory://in", "-o", "memory://out", "--engine", "dask"], "in one process alone"),
        (["memory://in/a.png", "-o", "x.npeg", "-p"], "found -p for a URL"),
        (["memory://in/a.png", "memory://in/a.png", "-o", "memory://out"], "taken by"),
        (["memory://in", "--scheduler", "tcp://x:1"], "--scheduler needs --engine dask"),
    ],
)
def test_what_cannot_be_is_one_line(run, memory, args: list[str], text: str) -> None:
    done = run("encode", *args)
    assert done.status == 1
    assert text in done.err
    assert len(done.err.splitlines()) == 1 or "taken by" in text
    assert "Traceback" not in done.err


def test_a_file_is_whole_or_not_there_where_writing_is_not(tmp_path: Path, monkeypatch) -> None:
    url = f"local://{tmp_path}/deep/x.bin"
    files.write(url, b"new", force=False)
    assert (tmp_path / "deep/x.bin").read_bytes() == b"new"
    with pytest.raises(InputError, match="exists"):
        files.write(url, b"other", force=False)
    system = fsspec.filesystem("local")

    def fail(*_: object) -> None:
        raise OSError("the line is dead")

    monkeypatch.setattr(type(system), "mv", fail)
    with pytest.raises(InputError, match="cannot be reached: the line is dead"):
        files.write(url, b"other", force=True)
    assert tree(tmp_path) == ["deep/x.bin"]
    assert (tmp_path / "deep/x.bin").read_bytes() == b"new"


def test_without_fsspec_the_command_to_install_it_is_named(run, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = run("encode", "s3://bucket/a.png", "-o", "x.npeg")
    assert done.status == 1 and 'pip install "npeg[remote]"' in done.err


# --- Dask ---


def test_a_cluster_does_what_processes_do(run, folder: Path) -> None:
    pytest.importorskip("distributed", reason='needs Dask: pip install "npeg[dask]"')
    (folder / "bad.png").write_bytes(b"no picture")
    here = run("encode", folder, "-o", "here")
    there = run("encode", "in", "-o", "there", "--engine", "dask", "-j", "2", "--json")
    assert here.status == there.status == 1
    assert tree(Path("here")) == tree(Path("there")) == ["a.npeg", "deep/b.npeg", "deep/c.npeg"]
    for name in tree(Path("here")):
        assert (Path("here") / name).read_bytes() == (Path("there") / name).read_bytes()
    found = [json.loads(line) for line in there.out.splitlines()]
    assert {row["input"] for row in found} == {
        f"in/{n}" for n in (*["a.png", "bad.png"], "deep/b.jpg", "deep/c.png")
    }
    assert sum("error" in row for row in found) == 1
    again = run("encode", "in", "-o", "there", "--engine", "dask")
    assert "0 written, 3 skipped" in again.err


def test_a_cluster_that_does_not_answer_is_one_line(run, png: Path, monkeypatch) -> None:
    pytest.importorskip("distributed", reason='needs Dask: pip install "npeg[dask]"')
    monkeypatch.setattr(dask_cluster, "TIMEOUT_S", 0.3)
    done = run("encode", png, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9")
    assert done.status == 1 and "no Dask scheduler answers" in done.err


def test_names_in_a_place_join() -> None:
    assert places.join("s3://bucket/out/", "deep/a.npeg") == "s3://bucket/out/deep/a.npeg"
    assert places.plain("file:///tmp/a%20b.png") == os.path.normpath("/tmp/a b.png")
    assert not places.is_remote("C:\\pictures") and not places.is_remote("file:///tmp/a.png")
