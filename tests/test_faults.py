"""What happens around a file: full disks, closed pipes, death in the middle, changes meanwhile.

Each ends soon, with one line or none, and leaves a whole file or none.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from conftest import environment, tree

import npeg
from npeg import files, networks, sessions
from npeg.errors import NpegError

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")
LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # what a disk with 500 free bytes says
from npeg import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def limited(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run npeg in a process that can write files of at most 500 bytes."""
    command = [sys.executable, "-c", LIMITED, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )


@posix
def test_a_disk_that_fills_up_is_one_line_and_leaves_the_old_file(photo_npeg, tmp_path):
    (tmp_path / "x.npeg").write_bytes(photo_npeg)
    (tmp_path / "x.png").write_bytes(b"old")
    done = limited(tmp_path, "decode", "x.npeg", "-f")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "npeg: x.npeg: x.png cannot be written: File too large\n"
    assert tree(tmp_path) == ["x.npeg", "x.png"]
    assert (tmp_path / "x.png").read_bytes() == b"old"


@posix
def test_a_reader_that_leaves_ends_npeg_without_a_word(photo_npeg, tmp_path):
    (tmp_path / "x.npeg").write_bytes(photo_npeg)
    command = [sys.executable, "-m", "npeg", "decode", "x.npeg", "-o", "-"]
    reading, writing = os.pipe()
    os.close(reading)  # before anything is written
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(),
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    assert done.returncode != 0
    assert done.stderr.count(b"\n") <= 1
    assert b"Traceback" not in done.stderr


def dies_at(line: int, action: Callable[[], Any]) -> bool:
    """Run an action in a forked process that is killed at the nth line of npeg/files.py.

    Returns whether it was killed, not done before.
    """
    child = os.fork()
    if not child:
        left = line

        def count(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename != files.__file__:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return count

        sys.settrace(count)
        action()
        sys.settrace(None)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@posix
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("before", [None, b"old"])
def test_death_at_any_moment_leaves_the_old_file_or_the_new_one(before, tmp_path):
    output, new, seen = tmp_path / "x.npeg", b"new" * 1000, set()
    line = 0
    while True:
        output.unlink(missing_ok=True)
        if before is not None:
            output.write_bytes(before)
        killed = dies_at(line, lambda: files.write(str(output), new, force=True))
        found = output.read_bytes() if output.exists() else None
        assert found in (before, new), f"killed at line {line}"
        seen.add(found)
        line += 1
        if not killed:
            break
    assert seen == {before, new}
    assert line > 15  # there were that many moments
    names = [name for name in tree(tmp_path) if name != "x.npeg"]
    assert all(name.startswith(".npeg-") and name.endswith(".tmp") for name in names)


class Changing(io.BytesIO):
    """A file that becomes another at its nth read."""

    def __init__(self, first: bytes, second: bytes, reads: int) -> None:
        super().__init__(first)
        self.second, self.reads = second, reads

    def read(self, size: int | None = -1) -> bytes:
        if self.reads == 0:
            at = self.tell()
            super().__init__(self.second)
            self.seek(at)
        self.reads -= 1
        return super().read(size)


def outcome(read: Callable[[Any], Any], file: Changing) -> bytes | None:
    """Return the pixels that were read, or None where they were refused."""
    try:
        return bytes(read(file).tobytes())
    except NpegError as error:
        assert "\n" not in str(error)
        return None


@pytest.fixture(scope="module")
def two_files(photo) -> list[bytes]:
    """Files of two pictures of one size in four tiles, so that one is read in many pieces."""
    from npeg import codec
    from npeg.encoder_rule import EncoderOptions

    options = EncoderOptions(tile_size=64)
    return [codec.encode_pixels(pixels, 60, options) for pixels in (photo, photo[::-1].copy())]


@pytest.mark.parametrize("region", [None, (0, 0, 20, 20)])
def test_a_file_that_changes_while_it_is_read_is_refused_or_one_of_the_two(two_files, region):
    first, second = two_files

    def read(file: Any) -> Any:
        return npeg.decode(file, region=region)

    whole = {outcome(read, Changing(data, data, -1)) for data in two_files}
    for others in (second, second[:30], b"", first[: len(first) // 2]):
        found = [outcome(read, Changing(first, others, reads)) for reads in range(14)]
        assert set(found) <= whole | {None}
        assert any(pixels in whole for pixels in found) or len(others) < len(first)


@posix
def test_a_folder_in_the_place_of_weights_is_one_line(tmp_path, monkeypatch, photo_npeg):
    (tmp_path / networks.MODELS[8]).mkdir()
    monkeypatch.setattr(networks, "FOLDER", tmp_path)
    for clear in sessions._caches:
        clear()
    try:
        with pytest.raises(NpegError, match="found no weights to read, no such file"):
            npeg.decode(photo_npeg)
    finally:
        for clear in sessions._caches:
            clear()
