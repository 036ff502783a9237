"""Where files are: on this machine, or where fsspec leads, such as s3:// and memory://.

Enters: paths and URLs. Leaves: whether and what is there, file objects. Knows no images.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .errors import InputError, NpegError

WHOLE = frozenset(("memory", "s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "hf"))
"""Protocols whose files are whole or not there; on others a file is renamed when it is written."""
_URL = re.compile("([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def is_remote(path: str) -> bool:
    """Tell URLs, but for those of files on this machine, from paths."""
    found = _URL.match(path)
    return found is not None and found[1].lower() != "file"


def plain(path: str) -> str:
    """Return the path that a file:// URL means, and all else as it is."""
    if not path.lower().startswith("file://"):
        return path
    return url2pathname(urlsplit(path).path)


def protocol(path: str) -> str:
    """Return the protocol of a URL, such as s3, empty for a path."""
    found = _URL.match(path)
    return found[1].lower() if found else ""


def join(folder: str, relative: str) -> str:
    """Return the name of a file in a folder."""
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{relative.replace(os.sep, '/')}"
    return os.path.join(folder, relative)


def is_folder(path: str) -> bool:
    """Tell whether a path or URL is that of a folder."""
    if not is_remote(path):
        return os.path.isdir(path)
    system, name = _system(path)
    return bool(_asked(path, system.isdir, name))


def exists(path: str) -> bool:
    """Tell whether there is something at a path or URL."""
    if not is_remote(path):
        return os.path.exists(path)
    system, name = _system(path)
    return bool(_asked(path, system.exists, name))


def below(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the URLs of all files below a folder, and their names in it, in order."""
    system, name = _system(folder)
    root = name.strip("/")
    for found in sorted(_asked(folder, system.find, name)):
        relative = found.strip("/")[len(root) :].strip("/")
        yield join(folder, relative), relative


def matching(pattern: str) -> list[str]:
    """Return the URLs that a pattern of * and ? stands for, in order."""
    system, name = _system(pattern)
    start = f"{protocol(pattern)}://"
    return sorted(start + found.lstrip("/") for found in _asked(pattern, system.glob, name))


def open_for_reading(url: str) -> Any:
    """Open a file for reading; what is read of it is fetched then."""
    system, name = _system(url)
    return _asked(url, system.open, name, "rb")


def write(url: str, data: bytes) -> None:
    """Write a file that is whole or not there.

    Raises:
        InputError: it cannot be written.
    """
    system, name = _system(url)
    if protocol(url) in WHOLE:
        _asked(url, system.pipe_file, name, data)
        return
    temporary = f"{name}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        _asked(url, system.makedirs, name.rpartition("/")[0], exist_ok=True)
        _asked(url, system.pipe_file, temporary, data)
        _asked(url, system.mv, temporary, name)
    finally:
        with suppress(Exception):
            system.rm_file(temporary)


def _system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the name there."""
    if importlib.util.find_spec("fsspec") is None:
        found = f"found {protocol(url)}://, which fsspec reads"
        raise InputError(f'{found}: pip install "npeg[remote]"')
    import fsspec

    try:
        system, name = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec says which package to install
        raise InputError(f"found {protocol(url)}://: {error}") from error
    except ValueError as error:
        raise InputError(f"found {url}, expected a path or a URL that fsspec knows") from error
    return system, name


def _asked(url: str, ask: Any, *args: Any, **options: Any) -> Any:
    """Return an answer; what goes wrong there becomes one line."""
    try:
        return ask(*args, **options)
    except (NpegError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        raise InputError(f"found no such file, expected a readable one: {url}") from error
    except Exception as error:  # of other people's file systems
        raise InputError(f"{url} cannot be reached: {error or type(error).__name__}") from error
