"""Names on a command line to jobs, jobs to outcomes, bytes to files that are whole or not there.

Knows paths, standard streams and worker processes; knows no images and no options.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from io import BufferedReader
from typing import Any, NamedTuple, cast

from .errors import InputError, NpegError

STREAM = "-"  # standard input or output

Record = dict[str, Any]


class Job(NamedTuple):
    """One input and its output, each a path or STREAM, or what is wrong with the pair."""

    source: str
    output: str
    problem: str = ""


class Outcome(NamedTuple):
    """What became of a job: a record, or the error that is there in its place."""

    job: Job
    record: Record
    error: str
    warnings: Sequence[str] = ()


def plan(
    names: Sequence[str], out: str | None, extensions: tuple[str, ...], suffix: str, force: bool
) -> list[Job]:
    """Pair every input with its output.

    Args:
        names: files, folders, globs, or STREAM alone.
        out: the output file, folder or STREAM; None: beside the inputs.
        extensions: the files of a folder that count, in lower case with the dot.
        suffix: of the outputs; empty when nothing is written.
        force: existing outputs may be overwritten.

    Raises:
        InputError: the names do not fit the output, whatever the files hold.
    """
    sources = list(_sources(names, extensions))
    many = len(sources) > 1 or any(os.path.isdir(name) for name in names)
    if STREAM in names and len(names) > 1:
        raise InputError("found - among other inputs, expected it alone")
    if many and out is not None and not _may_be_folder(out, suffix):
        raise InputError(f"found several inputs for the output {out}, expected a folder there")
    into_folder = out is not None and (many or os.path.isdir(out) or out.endswith(("/", os.sep)))
    jobs: list[Job] = []
    writers: dict[str, str] = {}  # output -> the input that it belongs to
    for source, relative, problem in sources:
        output = _output(source, relative, out, suffix, into_folder) if suffix else ""
        if not problem and output not in ("", STREAM):
            problem = _conflict(source, output, writers.get(os.path.normcase(output)), force)
            writers.setdefault(os.path.normcase(output), source)
        jobs.append(Job(source, output, problem))
    return jobs


def _may_be_folder(out: str, suffix: str) -> bool:
    is_file = out == STREAM or os.path.exists(out) or out.lower().endswith(suffix)
    return os.path.isdir(out) or not is_file


def _sources(names: Sequence[str], extensions: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield (path, path below the output folder, problem) of every input."""
    for name in names:
        matches = [name]
        if name != STREAM and not os.path.exists(name) and glob.has_magic(name):
            matches = sorted(glob.glob(name))  # the shells of Windows leave this to programs
            if not matches:
                yield name, name, "found no file of this pattern, expected one or more"
        for match in matches:
            if not os.path.isdir(match):
                yield match, os.path.basename(match), ""
                continue
            below = list(_below(match, extensions))
            yield from below
            if not below:
                yield match, "", f"found no {extensions[0]} or like file below, expected some"


def _below(folder: str, extensions: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield the files of a folder and its folders in order; hidden ones do not count."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(extensions) and not file.startswith("."):
                path = os.path.join(parent, file)
                yield path, os.path.relpath(path, folder), ""


def _output(source: str, relative: str, out: str | None, suffix: str, into_folder: bool) -> str:
    if out is not None and not into_folder:
        return out
    if source == STREAM:
        return STREAM if out is None else os.path.join(out, "stdin" + suffix)
    if out is None:
        return os.path.splitext(source)[0] + suffix
    return os.path.join(out, os.path.splitext(relative)[0] + suffix)


def _conflict(source: str, output: str, other: str | None, force: bool) -> str:
    """Return what speaks against writing this output, empty when nothing does."""
    if other is not None:
        return f"found the output {output} taken by {other}, expected different names"
    if os.path.isdir(output):
        return f"found a folder at the output {output}, expected a file's name"
    if os.path.exists(output) and os.path.exists(source) and os.path.samefile(source, output):
        return f"found the input itself as the output {output}, expected another name"
    if os.path.isfile(output) and not force:
        return f"found {output}, expected no such file: -f overwrites it"
    return ""


def open_source(source: str) -> AbstractContextManager[BufferedReader]:
    """Open a file for reading, or standard input, which stays open afterwards."""
    if source == STREAM:
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))
    return open(source, "rb")


def write(output: str, data: bytes, force: bool) -> None:
    """Write a file that is whole or, whatever happens, not there at all.

    Raises:
        InputError: the output exists and force is not set, or cannot be written.
    """
    if output == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        if os.path.exists(output) and not os.path.isfile(output):
            with open(output, "wb") as device:  # /dev/null must not be replaced by a file
                device.write(data)
        elif os.path.exists(output) and not force:
            raise InputError(f"found {output}, expected no such file: -f overwrites it")
        else:
            _replace(output, data)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}") from error


def _replace(output: str, data: bytes) -> None:
    """Write beside the output, then rename, which leaves the old file or the new one."""
    folder = os.path.dirname(output) or os.curdir
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".npeg-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, output)
    except BaseException:  # Ctrl-C too
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def run(work: Callable[[Job], Record], jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Do the jobs, some at a time, and yield their outcomes in the order of the jobs.

    Processes: threads would share one interpreter lock in the entropy coder and in Pillow.
    """
    attempt = partial(_attempt, work)
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(attempt, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    context = get_context("spawn")  # a fork would copy the progress bar's thread
    with ProcessPoolExecutor(workers, context, _start_worker, (workers,)) as pool:
        try:
            yield from pool.map(attempt, jobs)
        except BrokenProcessPool as error:
            raise InputError(f"a worker process died, out of memory? Try -j 1 ({error})") from error


def _start_worker(workers: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops, workers finish
    from .networks import thread_count

    os.environ["NPEG_THREADS"] = str(max(1, thread_count() // workers))


def _attempt(work: Callable[[Job], Record], job: Job) -> Outcome:
    """Do one job; whatever is wrong with its input becomes one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            if job.problem:
                raise InputError(job.problem)
            record = work(job)
        except BrokenPipeError:
            raise
        except NpegError as error:
            return Outcome(job, {}, str(error))
        except MemoryError:
            return Outcome(job, {}, "not enough memory")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return Outcome(job, {}, f"found {reason}, expected a readable file")
        except Exception as error:
            if sys.flags.dev_mode:
                raise
            what = f"{type(error).__name__}: {error}"
            return Outcome(job, {}, f"a bug in npeg, `python -X dev -m npeg` shows where: {what}")
    return Outcome(job, record, "", _distinct(str(warning.message) for warning in caught))


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
