"""Qualities measured by the workers of a Dask cluster, one that is there or one made for the run.

Enters: tasks. Leaves: a result for each, or the reason why there is none: what `measure_all` gives.
A worker measures one point at a time, with the same versions of codecs and metrics as here.
"""

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.util import find_spec
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.run.measure import Failure, Task, measure
from npeg.bench.run.photos import Photo
from npeg.bench.run.runner import Engine
from npeg.bench.run.store import Result
from npeg.errors import InputError, NpegError

if TYPE_CHECKING:
    from distributed import Client, Future

TIMEOUT_S = 10.0  # for the scheduler to answer, and for a first worker
LOST_S = 60.0  # without any worker: one that died may be started anew
QUEUE = 3  # tasks a worker's thread: one that runs, and enough to go on with
CONFIG = {
    "distributed.scheduler.allowed-failures": 0,  # a task that kills workers is found out here
    "distributed.admin.large-graph-warning-threshold": "1 GB",  # tasks carry their photographs
}
_one_at_a_time = Lock()  # for workers with several threads: codecs and metrics may share state


def dask_engine(scheduler: str | None, jobs: int) -> Engine:
    """Return an engine for `run_plan`.

    Args:
        scheduler: address of a scheduler, such as `tcp://host:8786`; None: workers on this machine.
        jobs: number of these workers.

    Raises:
        InputError: Dask is not installed.
    """
    if not find_spec("distributed"):
        raise InputError('--engine dask needs Dask: pip install "npeg[dask]"')
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
    with _connect(scheduler, jobs) as client:
        threads = _check_workers(client, tasks)
        suspects = []
        for task, result in _measure(client, tasks, QUEUE * threads):
            if result is None:
                suspects.append(task)
            else:
                yield task, result
        for suspect in suspects:
            for task, result in _measure(client, [suspect], 1):
                yield task, result or Failure(task.point, "the process died")


def _measure(
    client: "Client", tasks: Sequence[Task], limit: int
) -> Iterator[tuple[Task, Result | Failure | None]]:
    """Yield tasks with their results, None if their worker died, having `limit` under way."""
    from distributed import wait

    waiting = iter(tasks)
    under_way: dict[Future[Any], Task] = {}
    while True:
        for task in islice(waiting, limit - len(under_way)):
            under_way[client.submit(_measure_there, task, *_pack(task.point.photo), pure=False)] = (
                task
            )
        if not under_way:
            return
        try:
            done = wait(list(under_way), timeout=LOST_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            if not _threads(client):
                raise NpegError("the Dask cluster has lost all its workers") from None
            continue
        except CancelledError:
            raise NpegError("the Dask scheduler was lost") from None
        for future in done:
            yield under_way.pop(future), _result(future)


def _result(future: "Future[Any]") -> Result | Failure | None:
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        return None
    raise NpegError(f"a Dask worker failed: {error}")  # its codecs' errors are no exceptions here


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


def _check_workers(client: "Client", tasks: Sequence[Task]) -> int:
    """Return the number of the workers' threads.

    Raises InputError if there is no worker, or one has not the same codecs and metrics as here.
    """
    try:
        client.wait_for_workers(1, timeout=TIMEOUT_S)
    except TimeoutError:
        raise InputError("the Dask scheduler has no workers") from None
    codecs = {task.point.codec: task.point.threads for task in tasks}
    metrics = sorted({name for task in tasks for name in task.metrics})
    here = _versions(codecs, metrics)
    try:
        found = client.run(_versions, codecs, metrics)
    except Exception as error:  # whatever keeps a worker from importing npeg or a codec
        raise InputError(f"a Dask worker cannot run npeg bench: {error}") from None
    for address, there in found.items():
        for what, version in there.items():
            if version != here[what]:
                raise InputError(f"Dask worker {address} has {version}, expected {here[what]}")
    return _threads(client)


def _threads(client: "Client") -> int:
    return sum(client.nthreads().values())


@contextmanager
def _connect(scheduler: str | None, jobs: int) -> "Iterator[Client]":
    """Connect to a scheduler, or to a cluster of this machine's that ends with the block."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised
    with dask.config.set(CONFIG):
        if scheduler is None:
            with (
                LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(scheduler, timeout=TIMEOUT_S)
        except (OSError, ValueError, ImportError):  # silent, no address, of an unknown protocol
            raise InputError(f"no Dask scheduler answers at {scheduler}") from None
        with client:
            yield client
