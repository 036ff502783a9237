"""A run of the bench: what is to be measured, less what is known, and all results together.

Enters: photographs, codecs, metrics, a store. Leaves: results by point, and failures.
"""

import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from npeg.bench.codecs.contract import Codec
from npeg.bench.metrics import Metric
from npeg.bench.run.measure import Failure, Task, failure, measure_all, time_point
from npeg.bench.run.memory import memory_of_point
from npeg.bench.run.photos import Photo
from npeg.bench.run.store import Point, Result, Store
from npeg.errors import InputError


@dataclass(frozen=True)
class Plan:
    """What a run measures."""

    photos: Sequence[Photo]
    codecs: Sequence[Codec]
    metrics: Sequence[Metric]
    qualities: Sequence[float] = ()  # of every lossy codec; none: each codec's own
    timing: bool = False
    repeats: int = 3
    memory: bool = False

    def qualities_of(self, codec: Codec) -> Sequence[float]:
        """Return the qualities that a codec is run at.

        Raises InputError if one is not on the codec's scale.
        """
        if codec.lossless or not self.qualities:
            return codec.qualities
        low, high = codec.quality_range
        for quality in self.qualities:
            if not low <= quality <= high:
                raise InputError(
                    f"quality {quality:g} is not on the scale of {codec.name}, {low:g}..{high:g}"
                )
        return self.qualities

    def points(self) -> Iterator[Point]:
        """Yield every point, photograph by photograph."""
        versions = [codec.version() for codec in self.codecs]
        for photo in self.photos:
            for codec, version in zip(self.codecs, versions, strict=True):
                for quality in self.qualities_of(codec):
                    yield Point(photo, codec.spec, version, codec.threads, float(quality))


@dataclass
class Outcome:
    """The results of a plan, and what went wrong."""

    plan: Plan
    results: dict[Point, Result] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def of(self, codec: Codec, photo: Photo | None = None) -> dict[Point, Result]:
        """Return the results of a codec, on one photograph or all."""
        return {
            point: result
            for point, result in self.results.items()
            if point.codec == codec.spec and photo in (None, point.photo)
        }


Engine = Callable[[Sequence[Task]], Iterator[tuple[Task, Result | Failure]]]
"""What measures tasks in any order: processes here, or a cluster's workers."""


def run_plan(
    plan: Plan, store: Store, jobs: int = 1, fresh: bool = False, engine: Engine | None = None
) -> Outcome:
    """Measure what the store lacks of a plan, and return all of it.

    Args:
        plan: what to measure.
        store: where results are read and kept.
        jobs: processes that measure qualities.
        fresh: forget what the store knows of this plan.
        engine: measures qualities in the processes' place. Times and memory are always taken
            here, one after another, when it has finished.
    """
    points = list(plan.points())
    if fresh:
        store.forget(points)
    outcome = Outcome(plan)
    _measure_missing(plan, points, store, engine or partial(measure_all, jobs=jobs), outcome)
    if plan.timing:
        _time_missing(plan, points, store, outcome)
    if plan.memory:
        _weigh_missing(points, store, outcome)
    for point in points:
        result = store.get(point, machine_name())
        if result is not None:
            outcome.results[point] = result
    return outcome


@lru_cache
def machine_name() -> str:
    """Return the processor and its number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        model = {key.strip(): value.strip() for key, _, value in lines}.get("model name", model)
    return f"{model}, {usable_cores()} cores"


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _measure_missing(
    plan: Plan, points: Sequence[Point], store: Store, engine: Engine, outcome: Outcome
) -> None:
    tasks = []
    for point in points:
        known = store.get(point, machine_name())
        scores = known.scores if known else {}
        wanted = tuple(m.name for m in plan.metrics if (m.name, m.version) not in scores)
        if wanted or not known:
            tasks.append(Task(point, wanted))
    if not tasks:
        return
    with _progress("quality", len(points), len(points) - len(tasks)) as bar:
        for task, result in engine(tasks):
            if isinstance(result, Failure):
                _report(result, outcome, bar)
            else:
                store.put(task.point, result)
            bar.update()


def _time_missing(plan: Plan, points: Sequence[Point], store: Store, outcome: Outcome) -> None:
    machine = machine_name()

    def time(point: Point, known: Result) -> Result:
        return Result(known.size_bytes, {}, time_point(point, machine, plan.repeats))

    untimed = {p: r for p, r in _known(points, store).items() if not r.timing}
    _one_at_a_time("time", len(points), untimed, time, store, outcome)


def _weigh_missing(points: Sequence[Point], store: Store, outcome: Outcome) -> None:
    machine = machine_name()

    def weigh(point: Point, known: Result) -> Result:
        return Result(known.size_bytes, {}, memory=memory_of_point(point, machine))

    unweighed = {p: r for p, r in _known(points, store).items() if not r.memory}
    _one_at_a_time("memory", len(points), unweighed, weigh, store, outcome)


def _known(points: Sequence[Point], store: Store) -> dict[Point, Result]:
    """Return what the store has of points; those that failed are not in it."""
    found = {point: store.get(point, machine_name()) for point in points}
    return {point: result for point, result in found.items() if result}


def _one_at_a_time(
    what: str,
    total: int,
    wanted: Mapping[Point, Result],
    measure: Callable[[Point, Result], Result],
    store: Store,
    outcome: Outcome,
) -> None:
    """Measure more of points, keep it at once, and report what fails."""
    with _progress(what, total, total - len(wanted)) as bar:
        for point, known in wanted.items():
            try:
                store.put(point, measure(point, known))
            except sqlite3.Error:
                raise
            except Exception as error:  # a codec is someone else's code: the run must go on
                _report(failure(point, error), outcome, bar)
            bar.update()


def _report(failed: Failure, outcome: Outcome, bar: "tqdm[Any]") -> None:
    outcome.failures.append(failed)
    bar.write(f"failed: {failed}", file=sys.stderr)


def _progress(what: str, total: int, known: int) -> "tqdm[Any]":
    return tqdm(desc=what, total=total, initial=known, unit="point", disable=None)
