"""Jobs done by the workers of a Dask cluster, which read and write the files themselves.

Enters: jobs, whose paths or URLs all workers know. Leaves: their outcomes, as they are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from . import __version__, dask_cluster, places, threads
from .jobs import Job, Outcome

_one_at_a_time = Lock()  # for workers with several threads: a job takes all cores it may


def run(
    attempt: Callable[[Job], Outcome], jobs: Sequence[Job], scheduler: str | None, workers: int
) -> Iterator[Outcome]:
    """Do jobs on a cluster's workers; yield their outcomes as they finish.

    Args:
        attempt: does one job, and raises nothing.
        jobs: what is to be done.
        scheduler: address of a scheduler; None: workers of this machine.
        workers: number of these.

    Raises:
        InputError: the scheduler does not answer, or its workers have not this npeg.
        NpegError: the scheduler or all workers are lost.
    """
    if not jobs:
        return
    with dask_cluster.connect(scheduler, workers) as client:
        count = dask_cluster.check_workers(client, "npeg", _versions)
        if scheduler is None:
            client.run(_share_cores, max(1, threads.thread_count() // workers))
        found = dask_cluster.spread(
            client, _attempt_there, jobs, lambda job: (attempt, _whole(job)), count
        )
        for job, outcome in found:
            outcome = outcome or Outcome(job, {}, "the worker process died, out of memory?")
            names = {"input": job.source, "output": job.output} if outcome.record else {}
            yield outcome._replace(job=job, record=outcome.record | names)


def _whole(job: Job) -> Job:
    """Return a job with paths that mean the same in another folder."""
    source, output = (
        name if not name or places.is_remote(name) else os.path.abspath(name)
        for name in (job.source, job.output)
    )
    return job._replace(source=source, output=output)


def _attempt_there(attempt: Callable[[Job], Outcome], job: Job) -> Outcome:
    """Do a job, on a worker."""
    with _one_at_a_time:
        return attempt(job)


def _versions() -> dict[str, str]:
    """Return what must be the same on all workers."""
    from .networks import FOLDER, MODELS, fingerprint

    weights = fingerprint([FOLDER / name for name in (*MODELS.values(), "residual")])
    return {"npeg": f"npeg {__version__}, weights {weights}"}


def _share_cores(count: int) -> None:
    """Let a worker of this machine use so many threads."""
    os.environ[threads.VARIABLE] = str(count)
