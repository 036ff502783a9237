"""One point measured: encode, decode, verify, score, time; and many of them in processes.

Enters: tasks. Leaves: a result for each, or the reason why there is none.
Does not know: where results are kept, or how they are shown.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import numpy as np

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.codecs.contract import Codec
from npeg.bench.metrics import METRICS
from npeg.bench.run.store import Point, Result, Timing
from npeg.errors import InputError, NpegError


@dataclass(frozen=True)
class Task:
    """A point to measure, and the metrics wanted of it."""

    point: Point
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A point that could not be measured."""

    point: Point
    reason: str

    def __str__(self) -> str:
        """Return one line for people."""
        where = f"{self.point.codec} at quality {self.point.quality:g}"
        return f"{where} on {self.point.photo.name}: {self.reason}"


def measure(task: Task, image: Pixels | None = None) -> Result | Failure:
    """Return size and scores of a point, or why there are none; nothing is raised.

    image: the photograph's pixels, where its file is not at hand.
    """
    try:
        codec = find_codec(task.point.codec, task.point.threads)
        original = task.point.photo.pixels() if image is None else image
        data = codec.encode(original, task.point.quality)
        decoded = codec.decode(data)
        verify(codec, original, decoded)
        return Result(len(data), dict(_scores(original, decoded, task.metrics)))
    except Exception as error:  # a codec is someone else's code: the run must go on
        return failure(task.point, error)


def failure(point: Point, error: Exception) -> Failure:
    """Return the failure that an exception tells of, in one line."""
    return Failure(point, " ".join(str(error).split()) or type(error).__name__)


def verify(codec: Codec, original: Pixels, decoded: Pixels) -> None:
    """Check that a decoded image can be the original's, and is it if the codec is lossless.

    Raises NpegError if not.
    """
    if decoded.dtype != np.uint8 or decoded.shape != original.shape:
        found, expected = f"{decoded.dtype} {decoded.shape}", f"uint8 {original.shape}"
        raise NpegError(f"decoded image is {found}, expected {expected}")
    if codec.lossless and not np.array_equal(decoded, original):
        wrong = np.count_nonzero(np.any(decoded != original, axis=2))
        raise NpegError(f"{wrong} pixels differ after decoding, expected none: it is lossless")


def measure_all(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Result | Failure]]:
    """Measure tasks in several processes; yield each with its result, as they finish.

    A process that dies costs only its task: those that were under way are tried again, alone.
    """
    waiting = list(tasks)
    while waiting:
        done = set()
        try:
            for task, result in _in_pool(waiting, jobs):
                done.add(task)
                yield task, result
        except BrokenProcessPool:
            pass
        waiting = [task for task in waiting if task not in done]
        under_way = 2 * jobs + 1  # running, or handed to the pool's queue, in the order of tasks
        suspects, waiting = waiting[:under_way], waiting[under_way:]
        yield from _one_by_one(suspects)


def time_point(point: Point, machine: str, repeats: int) -> Timing:
    """Return the best encoding and decoding times of a point; what is timed is verified first.

    Raises whatever the codec does.
    """
    codec = find_codec(point.codec, point.threads)
    image = point.photo.pixels()
    data = codec.encode(image, point.quality)  # loads its libraries and weights
    verify(codec, image, codec.decode(data))
    encode_time_s = _best_time_s(lambda: codec.encode(image, point.quality), repeats)
    decode_time_s = _best_time_s(lambda: codec.decode(data), repeats)
    return Timing(machine, repeats, encode_time_s, decode_time_s)


def _scores(
    original: Pixels, decoded: Pixels, metrics: Sequence[str]
) -> Iterator[tuple[tuple[str, str], float | None]]:
    """Yield (metric, its version) and the score, None where the metric is not defined."""
    for name in metrics:
        metric = METRICS[name]
        try:
            yield (name, metric.version), metric.measure(original, decoded)
        except InputError:
            yield (name, metric.version), None
        except Exception as error:
            raise NpegError(f"metric {name}: {error}") from error


def _in_pool(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Result | Failure]]:
    with new_pool(jobs) as pool:
        futures = {pool.submit(measure, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # when interrupted


def _one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Task, Result | Failure]]:
    waiting = list(tasks)
    while waiting:
        with new_pool(1) as pool:
            while waiting:
                task = waiting.pop(0)
                try:
                    yield task, pool.submit(measure, task).result()
                except BrokenProcessPool:
                    yield task, Failure(task.point, "the process died")
                    break  # to a new pool


def new_pool(jobs: int) -> ProcessPoolExecutor:
    """Return processes that begin anew and leave Ctrl-C to this one."""
    # a forked copy of a process whose libraries have started threads may hang
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_ignore_interrupt)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent, which keeps what is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _best_time_s(call: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)
