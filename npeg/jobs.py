"""Names on a command line to jobs, jobs to outcomes.

Knows paths and worker processes; knows no images and no options.
"""

from __future__ import annotations

import glob
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from . import files, places
from .errors import InputError, NpegError
from .files import STREAM

PATIENCE_S = 0.5  # for workers to end by themselves when the command is interrupted

Record = dict[str, Any]
Engine = Callable[[Callable[["Job"], "Outcome"], Sequence["Job"]], Iterator["Outcome"]]


class Kind(NamedTuple):
    """How a subcommand finds its inputs, names its outputs and words its records."""

    extensions: tuple[str, ...]  # the files of a folder that count, in lower case with the dot
    suffix: str  # of the outputs; empty when nothing is written
    text: Callable[[Record], str]
    outputs: tuple[str, ...] = ()  # the extensions by which a second name is the output's
    refused: tuple[str, ...] = ()  # extensions that no output of the subcommand has
    known: tuple[str, ...] = ()  # further files of a folder that are not named as left out


class Job(NamedTuple):
    """One input and its output, each a path or STREAM, or what is wrong with the pair."""

    source: str
    output: str
    problem: str = ""
    skipped: bool = False  # the output is there already, and that is fine


class Outcome(NamedTuple):
    """What became of a job: a record, or the error that is there in its place."""

    job: Job
    record: Record
    error: str
    warnings: Sequence[str] = ()


class Plan(NamedTuple):
    """All jobs of a command, and the files of its folders that are in none."""

    jobs: list[Job]
    left_out: list[str]


class _Source(NamedTuple):
    """An input: its path, and that below the output folder."""

    path: str
    relative: str
    problem: str = ""
    of_folder: bool = False
    left_out: bool = False


def plan(names: Sequence[str], out: str | None, kind: Kind, force: bool, skip: bool) -> Plan:
    """Pair every input with its output.

    Args:
        names: files, folders, globs, or STREAM alone.
        out: the output file, folder or STREAM; None: beside the inputs.
        kind: of the subcommand.
        force: existing outputs may be overwritten.
        skip: an input whose output exists is done; so are those that a folder stands for.

    Raises:
        InputError: the names do not fit the output, whatever the files hold.
    """
    names = [STREAM if files.is_stream(name, 0) else name for name in names]
    out = STREAM if out is not None and files.is_stream(out, 1) else out
    found = list(_sources(names, kind))
    sources = [source for source in found if not source.left_out]
    many = len(sources) > 1 or any(places.is_folder(name) for name in names)
    if STREAM in names and len(names) > 1:
        raise InputError("found - among other inputs, expected it alone")
    if many and out is not None and not _may_be_folder(out, kind.suffix):
        raise InputError(f"found several inputs for the output {out}, expected a folder there")
    into_folder = out is not None and (many or places.is_folder(out) or out.endswith(("/", os.sep)))
    there = _there(out) if into_folder and out is not None else None
    jobs: list[Job] = []
    writers: dict[str, str] = {}  # output -> the input that it belongs to
    for source in sources:
        output = _output(source.path, source.relative, out, kind.suffix, into_folder)
        output = output if kind.suffix else ""
        problem, skipped = source.problem, False
        if not problem and output not in ("", STREAM):
            place = _place(output)
            problem = _conflict(source.path, output, writers.get(place))
            writers.setdefault(place, source.path)
            if not problem and not force and _is_there(output, there):
                skipped = skip or source.of_folder
                problem = "" if skipped else files.exists(output)
        jobs.append(Job(source.path, output, problem, skipped))
    return Plan(jobs, [source.path for source in found if source.left_out])


def _may_be_folder(out: str, suffix: str) -> bool:
    if places.is_folder(out):
        return True
    return not (out == STREAM or out.lower().endswith(suffix) or places.exists(out))


def _place(output: str) -> str:
    """Return what two outputs have in common if they are one file."""
    return output if places.is_remote(output) else os.path.normcase(os.path.realpath(output))


def _there(out: str) -> set[str] | None:
    """Return what is in a folder at a URL, asked for once; None: it is on this machine."""
    if not places.is_remote(out):
        return None
    return {url for url, _ in places.below(out)} if places.exists(out) else set()


def _is_there(output: str, there: set[str] | None) -> bool:
    if there is not None:
        return output in there
    return places.exists(output) if places.is_remote(output) else os.path.isfile(output)


def _sources(names: Sequence[str], kind: Kind) -> Iterator[_Source]:
    """Yield every input, and what folders have beside them."""
    for name in names:
        matches = [name]
        if places.is_remote(name) and glob.has_magic(name):
            matches = places.matching(name)
        elif name != STREAM and not os.path.lexists(name) and glob.has_magic(name):
            matches = sorted(glob.glob(name))  # the shells of Windows leave this to programs
        if not matches:
            yield _Source(name, name, "found no file of this pattern, expected one or more")
        for match in matches:
            if not places.is_folder(match):
                yield _Source(match, os.path.basename(match))
                continue
            below = list((_below_url if places.is_remote(match) else _below)(match, kind))
            yield from below
            if all(source.left_out for source in below):
                text = f"found no {kind.extensions[0]} or like file below, expected some"
                yield _Source(match, "", text)


def _below(folder: str, kind: Kind) -> Iterator[_Source]:
    """Yield the files of a folder and its folders in order; hidden ones do not count."""
    unreadable: list[OSError] = []
    seen: set[str] = set()  # links may lead back to where they are
    for parent, folders, names in os.walk(folder, onerror=unreadable.append, followlinks=True):
        place = os.path.realpath(parent)
        folders[:] = (
            sorted(f for f in folders if not f.startswith(".")) if place not in seen else []
        )
        for name in sorted(names) if place not in seen else []:
            path, lower = os.path.join(parent, name), name.lower()
            counts = lower.endswith(kind.extensions)
            if not name.startswith(".") and (counts or not lower.endswith(kind.known)):
                relative = os.path.relpath(path, folder)
                yield _Source(path, relative, of_folder=True, left_out=not counts)
        seen.add(place)
    for error in unreadable:
        reason = (error.strerror or str(error)).lower()
        yield _Source(str(error.filename), "", f"found {reason}, expected a readable folder")


def _below_url(folder: str, kind: Kind) -> Iterator[_Source]:
    """Yield the files of a folder at a URL in order; hidden ones do not count."""
    for url, relative in places.below(folder):
        counts = relative.lower().endswith(kind.extensions)
        hidden = any(part.startswith(".") for part in relative.split("/"))
        if not hidden and (counts or not relative.lower().endswith(kind.known)):
            yield _Source(url, relative, of_folder=True, left_out=not counts)


def _output(source: str, relative: str, out: str | None, suffix: str, into_folder: bool) -> str:
    if out is not None and not into_folder:
        return out
    if source == STREAM:
        return STREAM if out is None else places.join(out, "stdin" + suffix)
    if out is None:
        return os.path.splitext(source)[0] + suffix
    return places.join(out, os.path.splitext(relative)[0] + suffix)


def _conflict(source: str, output: str, other: str | None) -> str:
    """Return what speaks against writing this output whatever is there, empty if nothing does."""
    if other is not None:
        return f"found the output {output} taken by {other}, expected different names"
    if places.is_remote(output):
        same = f"found the input itself as the output {output}, expected another name"
        return same if output == source else ""
    if os.path.isdir(output):
        return f"found a folder at the output {output}, expected a file's name"
    if os.path.exists(output) and os.path.exists(source) and os.path.samefile(source, output):
        return f"found the input itself as the output {output}, expected another name"
    return ""


def run(
    work: Callable[[Job], Record],
    jobs: Sequence[Job],
    workers: int,
    engine: Engine | None = None,
) -> Generator[Outcome, None, None]:
    """Do the jobs, some at a time, and yield their outcomes in the order of the jobs.

    Processes: threads would share one interpreter lock in the entropy coder and in Pillow. Those
    that an engine does come as they are done, behind those with which nothing is to be done.
    """
    attempt = partial(_attempt, work)
    if engine is not None:
        settled = [job for job in jobs if job.problem or job.skipped]
        yield from map(attempt, settled)
        yield from engine(attempt, [job for job in jobs if not (job.problem or job.skipped)])
        return
    workers = min(workers, sum(not (job.problem or job.skipped) for job in jobs))
    if workers <= 1:
        yield from map(attempt, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import active_children, get_context

    context = get_context("spawn")  # a fork would copy the progress bar's thread
    others = active_children()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (workers,))
    try:
        with _deaf_children():
            futures = [pool.submit(attempt, job) for job in jobs]
        for future in futures:
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise InputError(f"a worker process died, out of memory? Try -j 1 ({error})") from error
    finally:  # nothing is left to do, or nobody waits for it any more
        _stop([child for child in active_children() if child not in others], jobs)
        pool.shutdown(wait=False)  # cancelling what killed workers had to do is an error of Python


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Block Ctrl-C in processes that are started: it is the parent that stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(workers: Sequence[Any], jobs: Sequence[Job]) -> None:
    """End workers, by force where they take long, and remove what they were writing."""
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + PATIENCE_S
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
    for worker in [worker for worker in workers if worker.is_alive()]:
        worker.kill()
        worker.join(PATIENCE_S)
        for folder in {os.path.dirname(os.path.realpath(job.output)) for job in jobs}:
            pattern = os.path.join(glob.escape(folder), f".npeg-{worker.pid}-*.tmp")
            for path in glob.glob(pattern, include_hidden=True):
                with suppress(OSError):
                    os.unlink(path)


def _start_worker(workers: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent stops its workers
    signal.signal(signal.SIGTERM, _end_worker)
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    from .threads import VARIABLE, thread_count

    os.environ[VARIABLE] = str(max(1, thread_count() // workers))


def _end_worker(*_: object) -> None:
    """End a worker at once: the pool would take an exception for a job's."""
    files.remove_temporaries()
    os._exit(1)


def _outlive_nobody() -> None:
    """End a worker whose parent was killed."""
    from multiprocessing import parent_process

    if parent := parent_process():
        parent.join()
        _end_worker()


def _attempt(work: Callable[[Job], Record], job: Job) -> Outcome:
    """Do one job; whatever is wrong with its input becomes one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            if job.problem:
                raise InputError(job.problem)
            record = {} if job.skipped else work(job)
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
