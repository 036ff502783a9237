"""Animations and several pages: the first with a warning, any one, or all, each in its file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npeg

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250)]


@pytest.fixture(params=["moving.gif", "moving.webp", "moving.png", "pages.tif"])
def several(request, monkeypatch, tmp_path) -> str:
    monkeypatch.chdir(tmp_path)
    first, *rest = [Image.new("RGB", (16, 24), colour) for colour in COLOURS]
    first.save(request.param, save_all=True, append_images=rest)
    return request.param


def mean_of(path: str) -> list[float]:
    return npeg.decode(Path(path)).mean((0, 1)).tolist()


def test_the_first_is_taken_with_a_warning(run, several):
    done = run("encode", several, "-o", "one.npeg")
    assert done.status == 0 and "one of 3 frames is stored, number 1" in done.err
    assert np.argmax(mean_of("one.npeg")) == 0


def test_any_one_is_taken_without_a_warning(run, several):
    done = run("encode", several, "--frame", 3, "-o", "third.npeg")
    assert (done.status, done.err) == (0, "")
    assert np.argmax(mean_of("third.npeg")) == 2


def test_all_of_them_get_a_file_each(run, several):
    done = run("encode", several, "--all-frames")
    assert (done.status, done.err) == (0, "")
    stem = several.split(".")[0]
    assert f"{several} -> {stem}-1.npeg ... {stem}-3.npeg  " in done.out
    assert [np.argmax(mean_of(f"{stem}-{n}.npeg")) for n in (1, 2, 3)] == [0, 1, 2]
    assert not Path(f"{stem}.npeg").exists()
    again = run("encode", several, "--all-frames")
    assert again.status == 1 and f"{stem}-1.npeg exists" in again.err
    assert run("encode", several, "--all-frames", "-f", "-o", "n.npeg").status == 0
    assert sorted(p.name for p in Path().glob("n*")) == ["n-1.npeg", "n-2.npeg", "n-3.npeg"]


def test_what_is_not_there_is_refused(run, several):
    done = run("encode", several, "--frame", 4, "-o", "none.npeg")
    assert done.status == 1 and "found 3 frames, expected 4 or more" in done.err
    assert not Path("none.npeg").exists()
    assert run("encode", several, "--frame", 0).status == 2
    done = run("encode", several, "--all-frames", "-o", "-")
    assert done.status == 1 and "expected a name for their files" in done.err
