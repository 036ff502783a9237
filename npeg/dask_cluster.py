"""Work spread over a Dask cluster, one that is there or one made for the run.

Enters: a function and items. Leaves: each item with what the function makes of it, as they finish.
Knows neither images nor the bench. A worker that dies costs only its item.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import InputError, NpegError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")

TIMEOUT_S = 10.0  # for the scheduler to answer, and for a first worker
LOST_S = 60.0  # without any worker: one that died may be started anew
QUEUE = 3  # items a worker's thread: one that runs, and enough to go on with
CONFIG = {
    "distributed.scheduler.allowed-failures": 0,  # an item that kills workers is found out here
    "distributed.admin.large-graph-warning-threshold": "1 GB",  # the bench's carry photographs
}


def check() -> None:
    """Raise InputError unless Dask is installed."""
    if not find_spec("distributed"):
        raise InputError('--engine dask needs Dask: pip install "npeg[dask]"')


@contextmanager
def connect(scheduler: str | None, jobs: int) -> Iterator[Client]:
    """Connect to a scheduler, or to a cluster of this machine's that ends with the block.

    Args:
        scheduler: its address, such as `tcp://host:8786`; None: workers on this machine.
        jobs: number of these workers.

    Raises:
        InputError: the scheduler does not answer.
    """
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


def check_workers(
    client: Client, what: str, versions: Callable[..., dict[str, str]], *args: Any
) -> int:
    """Return the number of the workers' threads.

    Args:
        client: of the cluster.
        what: command that the workers are to run, for the error.
        versions: returns what must be the same on workers as here, by name; `args` are its own.

    Raises:
        InputError: there is no worker, or one has something else.
    """
    try:
        client.wait_for_workers(1, timeout=TIMEOUT_S)
    except TimeoutError:
        raise InputError("the Dask scheduler has no workers") from None
    here = versions(*args)
    try:
        found = client.run(versions, *args)
    except Exception as error:  # whatever keeps a worker from importing npeg or a codec
        raise InputError(f"a Dask worker cannot run {what}: {error}") from None
    for address, there in found.items():
        for name, version in there.items():
            if version != here[name]:
                raise InputError(f"Dask worker {address} has {version}, expected {here[name]}")
    return _threads(client)


def spread(
    client: Client,
    function: Callable[..., Any],
    items: Sequence[Item],
    arguments: Callable[[Item], tuple[Any, ...]],
    threads: int,
) -> Iterator[tuple[Item, Any]]:
    """Yield items with what a function makes of them, None for those whose worker died twice.

    Args:
        client: of the cluster.
        function: is run on workers, and raises nothing.
        items: what is to be done.
        arguments: returns those of the function for an item, when its turn comes.
        threads: of all workers.

    Raises:
        NpegError: the scheduler or all workers are lost.
    """
    suspects = []
    for item, result in _spread(client, function, items, arguments, QUEUE * threads):
        if result is None:
            suspects.append(item)
        else:
            yield item, result
    for suspect in suspects:
        yield from _spread(client, function, [suspect], arguments, 1)


def _spread(
    client: Client,
    function: Callable[..., Any],
    items: Sequence[Item],
    arguments: Callable[[Item], tuple[Any, ...]],
    limit: int,
) -> Iterator[tuple[Item, Any]]:
    """Yield items with their results, None if their worker died, having `limit` under way."""
    from distributed import wait

    waiting = iter(items)
    under_way: dict[Future[Any], Item] = {}
    while True:
        for item in islice(waiting, limit - len(under_way)):
            under_way[client.submit(function, *arguments(item), pure=False)] = item
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


def _result(future: Future[Any]) -> Any:
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        return None
    raise NpegError(f"a Dask worker failed: {error}")


def _threads(client: Client) -> int:
    return sum(client.nthreads().values())
