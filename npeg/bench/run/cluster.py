"""Qualities measured by the workers of a Dask cluster, one that is there or one made for the run.

Enters: tasks. Leaves: a result for each, or the reason why there is none: what `measure_all` gives.
A worker measures one point at a time, with the same versions of codecs and metrics as here.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import numpy as np

from npeg import dask_cluster
from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.run.measure import Failure, Task, measure
from npeg.bench.run.photos import Photo
from npeg.bench.run.runner import Engine
from npeg.bench.run.store import Result

_one_at_a_time = Lock()  # for workers with several threads: codecs and metrics may share state


def dask_engine(scheduler: str | None, jobs: int) -> Engine:
    """Return an engine for `run_plan`.

    Args:
        scheduler: address of a scheduler, such as `tcp://host:8786`; None: workers on this machine.
        jobs: number of these workers.

    Raises:
        InputError: Dask is not installed.
    """
    dask_cluster.check()
    return partial(measure_on_cluster, scheduler=scheduler, jobs=jobs)


def measure_on_cluster(
    tasks: Sequence[Task], scheduler: str | None, jobs: int
) -> Iterator[tuple[Task, Result | Failure]]:
    """Measure tasks on a cluster's workers; yield each with its result, as they finish.

    A worker that dies costs only its task: those that were under way are tried again, alone.

    Raises:
        InputError: the scheduler does not answer, or its workers are not like this process.
        NpegError: the scheduler or all workers are lost.
    """
    codecs = {task.point.codec: task.point.threads for task in tasks}
    metrics = sorted({name for task in tasks for name in task.metrics})
    with dask_cluster.connect(scheduler, jobs) as client:
        threads = dask_cluster.check_workers(client, "npeg bench", _versions, codecs, metrics)
        found = dask_cluster.spread(client, _measure_there, tasks, _arguments, threads)
        for task, result in found:
            yield task, result or Failure(task.point, "the process died")


def _arguments(task: Task) -> tuple[Any, ...]:
    return task, *_pack(task.point.photo)


def _measure_there(task: Task, data: bytes, height: int, width: int) -> Result | Failure:
    """Measure a point, on a worker."""
    point = task.point
    found = _version(point.codec, point.threads)
    if found != point.version:  # of a worker that came after the others were looked at
        return Failure(point, f"a Dask worker has {found}, expected {point.version}")
    with _one_at_a_time:
        return measure(task, _unpack(data, height, width))


@lru_cache(maxsize=2)
def _pack(photo: Photo) -> tuple[bytes, int, int]:
    """Return a photograph for a machine that may not have its file."""
    return zlib.compress(photo.pixels().tobytes(), 1), photo.height, photo.width


@lru_cache(maxsize=2)  # the measurements of one photograph come one after another
def _unpack(data: bytes, height: int, width: int) -> Pixels:
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, width, 3)


@lru_cache
def _version(spec: str, threads: int) -> str:
    codec = find_codec(spec, threads)
    return f"no {codec.name}" if codec.missing() else codec.version()


def _versions(codecs: Mapping[str, int], metrics: Sequence[str]) -> dict[str, str]:
    """Return what this process has of codecs (spec to threads) and metrics."""
    return {
        **{spec: _version(spec, threads) for spec, threads in codecs.items()},
        **{f"metric {name}": METRICS[name].missing() or METRICS[name].version for name in metrics},
    }
