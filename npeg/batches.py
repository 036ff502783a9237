"""Many files: jobs from names, one line a job, an exit status.

Knows what all subcommands share; knows no pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial

from . import bars, dask_cluster, dask_jobs, files, jobs, places, records
from .errors import InputError
from .files import STREAM
from .jobs import Job, Kind, Record

NPEG = (".npeg",)


def run(work: Callable[..., Record], kind: Kind, args: argparse.Namespace) -> int:
    """Do one job for each input, report each in one line, return the exit status."""
    args.inputs = [places.plain(name) for name in args.inputs]
    args.out = args.out and places.plain(args.out)
    _take_two_names(args, kind)
    _check_output_name(args.out, kind)
    planned, left_out = jobs.plan(args.inputs, args.out, kind, args.force, args.skip_existing)
    engine = _engine(args, planned)
    args.alone = len(planned) == 1
    to_stdout = any(job.output == STREAM for job in planned)
    if to_stdout:
        files.check_output_stream()
    stream = sys.stderr if to_stdout else sys.stdout
    failed = skipped = 0
    with (
        bars.of_files(len(planned), args.quiet) as bar,
        closing(jobs.run(partial(work, args), planned, args.jobs, engine)) as outcomes,
    ):
        say = partial(files.say, write=bar.write) if bar else files.say
        for outcome in outcomes:
            for line in records.complaints(outcome, args.quiet):
                say(line, sys.stderr)
            if args.json:
                say(json.dumps(records.json_record(outcome)), stream)
            elif outcome.record and not args.quiet:
                say(kind.text(outcome.record), stream)
            failed += bool(outcome.error)
            skipped += outcome.job.skipped
            if bar:
                bar.update()
    if not args.quiet:
        for line in records.summary(len(planned), failed, skipped, args.skip_existing, left_out):
            files.say(line, sys.stderr)
    return int(failed > 0)


def _engine(args: argparse.Namespace, planned: list[Job]) -> jobs.Engine | None:
    """Return what does the jobs where it is not this process with its own worker processes.

    Raises:
        InputError: Dask is not here, or the jobs' files are in this process alone.
    """
    dask = getattr(args, "engine", "processes") == "dask"
    if getattr(args, "scheduler", None) is not None and not dask:
        raise InputError("--scheduler needs --engine dask")
    names = {name for job in planned for name in (job.source, job.output)}
    if (dask or args.jobs > 1) and any(places.protocol(name) == "memory" for name in names):
        raise InputError("found memory://, which is in one process alone, expected no -j, no Dask")
    if not dask:
        return None
    if STREAM in names:
        raise InputError("found - with --engine dask, expected files that workers can read")
    dask_cluster.check()
    return partial(dask_jobs.run, scheduler=args.scheduler, workers=args.jobs)


def _take_two_names(args: argparse.Namespace, kind: Kind) -> None:
    """Read `IN OUT` as `IN -o OUT` where the second name can only be an output's.

    Raises:
        InputError: it can only be an output's, but there is no one input before it.
    """
    *before, last = args.inputs
    is_output = bool(before) and last.lower().endswith(kind.outputs) and not places.is_folder(last)
    if not is_output or all(name.lower().endswith(kind.outputs) for name in before):
        return
    if args.out is not None:
        raise InputError(f"found two outputs, {last} and -o {args.out}, expected one")
    if len(before) > 1 or places.is_folder(before[0]):
        raise InputError(f"found several inputs before the output {last}, expected -o FOLDER")
    args.inputs, args.out = before, last


def _check_output_name(out: str | None, kind: Kind) -> None:
    """Refuse an output whose name says that it is something else.

    Raises:
        InputError: such as a picture's name for what encode writes.
    """
    if out and out.lower().endswith(kind.refused) and not places.is_folder(out):
        extension = os.path.splitext(out)[1]
        what = f"expected {kind.suffix}" if kind.suffix else "expected none"
        raise InputError(f"found the output {out}, whose name ends in {extension}, {what}")


def write(job: Job, data: bytes, args: argparse.Namespace) -> None:
    """Write the output of a job."""
    like = job.source if args.preserve and job.source != STREAM else None
    if like and (places.is_remote(like) or places.is_remote(job.output)):
        raise InputError("found -p for a URL, whose times and mode are not kept: leave it out")
    files.write(job.output, data, args.force, like)
