"""Standard streams, and files that are whole or not there.

Knows links, modes, devices and full disks; knows no images and no options.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from io import BufferedReader, TextIOBase
from typing import TextIO, cast

from . import places
from .errors import InputError

STREAM = "-"  # standard input or output
STREAM_PATHS = tuple(  # what a link to a standard stream ends in, on Linux and on macOS
    {f"/dev/{name}", f"/dev/fd/{number}", f"/proc/self/fd/{number}"}
    for number, name in enumerate(("stdin", "stdout"))
)
MOST_LINKS = 40  # followed, as Linux does

_temporaries: set[str] = set()  # files that are being written


class ClosedStream(TextIOBase):
    """In the place of a standard stream that was closed before the start: text gets lost."""

    def write(self, text: str) -> int:
        """Forget the text."""
        return len(text)


def open_streams() -> None:
    """Make closed standard streams, which Python shows as None, safe to print to.

    Their numbers are taken, too: the next file to be opened would get them, and what libraries
    and child processes print.
    """
    if os.name == "posix":
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, ClosedStream())


def abandon(stream: object) -> None:
    """Let what a standard stream still holds go nowhere: Python would fail again at its exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]


def say(text: str, stream: TextIO, write: Callable[..., None] = print, end: str = "\n") -> None:
    """Print a text to standard output or standard error.

    Args:
        text: what to print.
        stream: sys.stdout or sys.stderr.
        write: as print, where a progress bar is in the way.
        end: what follows the text.

    Raises:
        BrokenPipeError: the reader of standard output has left.
        InputError: standard output cannot be written.
    """
    try:
        write(text, file=stream, end=end)
        stream.flush()
    except OSError as error:
        abandon(stream)
        if stream is sys.stderr:
            return  # there is nobody to tell
        if isinstance(error, BrokenPipeError):
            raise
        raise InputError(f"standard output cannot be written: {error.strerror or error}") from error


def check_output_stream() -> None:
    """Refuse to write an image or a file of npeg to a terminal, or to nobody.

    Raises:
        InputError: standard output is a terminal or closed.
    """
    if isinstance(sys.stdout, ClosedStream):
        raise InputError("found standard output closed, expected a pipe or -o OUT")
    if sys.stdout.isatty():
        raise InputError("found a terminal as standard output, expected a pipe or -o OUT")


def is_stream(path: str, number: int) -> bool:
    """Return whether a path is standard input (0) or output (1), by its name or by links."""
    for _ in range(MOST_LINKS):
        if path == STREAM or os.path.abspath(path) in STREAM_PATHS[number]:
            return True
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return False


def open_source(source: str) -> AbstractContextManager[BufferedReader]:
    """Open a file for reading, or standard input, which stays open afterwards."""
    if places.is_remote(source):
        return cast("AbstractContextManager[BufferedReader]", places.open_for_reading(source))
    if source != STREAM:
        return open(source, "rb")
    if isinstance(sys.stdin, ClosedStream):
        raise InputError("found standard input closed, expected a pipe or a file's name")
    return nullcontext(cast("BufferedReader", sys.stdin.buffer))


def write(output: str, data: bytes, force: bool, like: str | None = None) -> None:
    """Write a file that is whole or, whatever happens, not there at all.

    Links are followed.  A file that is overwritten keeps its mode, owner and hard links.

    Args:
        output: a path, a URL, a device, or STREAM.
        data: the whole file.
        force: an existing file may be overwritten.
        like: a file whose times and mode the output gets.

    Raises:
        InputError: the output exists and force is not set, or cannot be written.
    """
    if output == STREAM:
        _write_stream(data)
        return
    if places.is_remote(output):
        if not force and places.exists(output):
            raise InputError(exists(output))
        places.write(output, data)
        return
    try:
        if os.path.exists(output) and not os.path.isfile(output):
            with open(output, "wb") as device:  # /dev/null must not be replaced by a file
                device.write(data)
        elif os.path.exists(output) and not force:
            raise InputError(exists(output))
        else:
            _write_whole(_target(output), data, like)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}") from error


def exists(output: str) -> str:
    """Return what is said of an output that is there already."""
    return f"{output} exists (-f overwrites it)"


def remove_temporaries() -> None:
    """Remove what this process was writing: it is about to end in the middle of something."""
    for path in list(_temporaries):
        with suppress(OSError):
            os.unlink(path)


def _write_stream(data: bytes) -> None:
    check_output_stream()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon(sys.stdout)
        reason = error.strerror or error
        raise InputError(f"standard output cannot be written: {reason}") from error


def _target(output: str) -> str:
    """Return the path that a link, or links, lead to: it is there that a file is replaced."""
    path = os.path.realpath(output)
    if os.path.islink(path):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return path


def _write_whole(output: str, data: bytes, like: str | None) -> None:
    """Write beside the output, then rename, which leaves the old file or the new one."""
    folder = os.path.dirname(output) or os.curdir
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".npeg-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    _temporaries.add(temporary)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        before = os.stat(output) if os.path.exists(output) else None
        if before:
            shutil.copymode(output, temporary)
            with suppress(OSError, AttributeError):  # others' files, systems without owners
                os.chown(temporary, before.st_uid, before.st_gid)
        if like is not None:
            shutil.copystat(like, temporary)
        if before and before.st_nlink > 1:
            _write_into(output, data, temporary)
        else:
            os.replace(temporary, output)
    finally:  # Ctrl-C too
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        _temporaries.discard(temporary)


def _write_into(output: str, data: bytes, like: str) -> None:
    """Write a file that has several names, all of which show the new bytes, or again the old."""
    with open(output, "r+b") as file:
        old = file.read()
        try:
            _fill(file.fileno(), data)
        except BaseException:
            _fill(file.fileno(), old)
            raise
    shutil.copystat(like, output)


def _fill(number: int, data: bytes) -> None:
    """Let an open file hold these bytes and no others."""
    os.lseek(number, 0, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    os.ftruncate(number, len(data))
