"""The arguments of `npeg bench`; cheap to import, the work is imported when it starts."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from npeg.errors import InputError

if TYPE_CHECKING:
    from npeg.bench.codecs.contract import Codec
    from npeg.bench.metrics import Metric
    from npeg.bench.run.runner import Plan

DEFAULT_CODECS = "npeg,avif,webp,jpeg"
BLIND_CODECS = "npeg,avif,jxl"
DEFAULT_METRICS = "psnr,psnr-y,ms-ssim,ssimulacra2"
ENHANCE_METRICS = "psnr,psnr-b,ssim,ms-ssim,ssimulacra2,time"
EXTRA_PACKAGES = ("bjontegaard", "matplotlib", "scipy", "skimage", "ssimulacra2")  # of npeg[bench]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `npeg bench` to its parser."""
    _add_tasks(parser)
    _add_codecs(parser)
    _add_results(parser)
    _add_machines(parser)


def _add_tasks(parser: ArgumentParser) -> None:
    """Add what is to be done."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--images", nargs="+", type=Path, metavar="PATH", help="measure these folders and files"
    )
    what.add_argument(
        "--compare", type=Path, metavar="IMAGE", help="make a page of one image at equal size"
    )
    what.add_argument(
        "--list", action="store_true", help="list the codecs, and how to install missing ones"
    )
    what.add_argument(
        "--list-metrics", action="store_true", help="list the metrics, and how to install them"
    )
    what.add_argument(
        "--answers", nargs="+", type=Path, metavar="TSV", help="count the answers to --blind FOLDER"
    )
    parser.add_argument(
        "--blind",
        type=Path,
        metavar="FOLDER",
        help="write pairs at equal size here, and a page to say which is better",
    )
    parser.add_argument(
        "--rates", default="0.15,0.3,0.6", metavar="BPP,BPP", help="of --blind (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sides of --blind (1)")


def _add_codecs(parser: ArgumentParser) -> None:
    """Add what is measured, and by what."""
    parser.add_argument(
        "--codecs",
        metavar="A,B/OPTION=VALUE",
        help="codecs and their options, such as avif/speed=8; the first is the one compared "
        f"(default: {DEFAULT_CODECS}; with --blind {BLIND_CODECS})",
    )
    parser.add_argument(
        "--enhance",
        nargs="?",
        const="all",
        metavar="A,B=0.3",
        help="measure the codecs with these enhancements behind them too (default: every "
        "restoration that is here, at its own strength)",
    )
    parser.add_argument(
        "-o", "--out", type=Path, help="folder of the results, or file of the compared page"
    )
    parser.add_argument(
        "-q", "--quality", type=float, default=50, help="of the first codec of --compare (50)"
    )
    parser.add_argument(
        "--qualities", default="", metavar="10,30,50", help="instead of each codec's own"
    )
    parser.add_argument(
        "--metrics",
        metavar="A,B",
        help="any of --list-metrics, time and memory (default: "
        f"{DEFAULT_METRICS}; with --enhance {ENHANCE_METRICS})",
    )


def _add_results(parser: ArgumentParser) -> None:
    """Add what is written."""
    parser.add_argument(
        "--report",
        nargs="?",
        type=Path,
        const=True,
        metavar="FOLDER",
        help="write a page, plots and tables too, to the results' folder or another",
    )
    parser.add_argument(
        "--pictures", type=int, default=4, help="photographs shown in the report's page (4)"
    )
    parser.add_argument(
        "--rate", type=float, default=0.25, metavar="BPP", help="of these pictures (0.25)"
    )


def _add_machines(parser: ArgumentParser) -> None:
    """Add how the work is done, and where."""
    parser.add_argument("--fresh", action="store_true", help="forget stored results, measure anew")
    parser.add_argument("--threads", type=int, default=1, help="threads of a codec (1)")
    parser.add_argument("--repeats", type=int, default=3, help="times are the best of these (3)")
    parser.add_argument("-j", "--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument(
        "--engine",
        choices=("processes", "dask"),
        default="processes",
        help="what measures qualities; times are always taken here, one at a time",
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of the Dask cluster (default: --jobs workers here)"
    )


def run(args: Namespace) -> int:
    """Do what the arguments of `npeg bench` say; return the exit status.

    Raises NpegError if an argument, an image or the store is not usable.
    """
    if args.metrics is None:
        args.metrics = DEFAULT_METRICS if args.enhance is None else ENHANCE_METRICS
    if args.codecs is None:
        args.codecs = DEFAULT_CODECS if args.blind is None else BLIND_CODECS
    if args.blind and not (args.images or args.answers):
        raise InputError("--blind needs --images to make pairs, or --answers to count")
    if args.answers and not args.blind:
        raise InputError("--answers needs --blind and the folder of the comparison")
    for name in ("threads", "repeats", "jobs"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}, expected 1 or more")
    if args.pictures < 0 or not args.rate > 0:
        raise InputError("--pictures must be 0 or more, and --rate above 0")
    if args.scheduler and args.engine != "dask":
        raise InputError("--scheduler needs --engine dask")
    work = (
        _list_codecs
        if args.list
        else _list_metrics
        if args.list_metrics
        else _compare
        if args.compare
        else _count_blind
        if args.answers
        else _make_blind
        if args.blind
        else _bench
    )
    try:
        return work(args)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_PACKAGES:
            raise
        raise InputError(f'the bench needs {error.name}: pip install "npeg[bench]"') from None


def _bench(args: Namespace) -> int:
    from npeg.bench.report.tables import summary_lines, write_tsv
    from npeg.bench.run.runner import run_plan, usable_cores
    from npeg.bench.run.store import Store

    report: Path | None = None if args.report is True else args.report
    folder = args.out or report or Path("bench")
    plan, jobs = _plan(args), args.jobs or usable_cores()
    engine = None
    if args.engine == "dask":
        from npeg.bench.run.cluster import dask_engine

        engine = dask_engine(args.scheduler, jobs)
    with Store(folder / "bench.sqlite") as store:
        try:
            outcome = run_plan(plan, store, jobs, args.fresh, engine)
        except KeyboardInterrupt:
            print(
                "interrupted: what is measured is kept, the same command goes on", file=sys.stderr
            )
            return 130
    write_tsv(outcome, folder / "results.tsv")
    print(*summary_lines(outcome), sep="\n")
    print(f"wrote {folder / 'results.tsv'}")
    if args.enhance:
        from npeg.bench.report.gains import gain_lines, gain_rows, write_gains

        gains = gain_rows(outcome)
        print(*gain_lines(gains, outcome), sep="\n")
        print(f"wrote {write_gains(gains, folder / 'gains.tsv')}")
    if args.report:
        from npeg.bench.report.results_page import write_report

        paths = write_report(outcome, report or folder, args.pictures, args.rate)
        print(*(f"wrote {path}" for path in paths), sep="\n")
    return 1 if outcome.failures else 0


def _compare(args: Namespace) -> int:
    from npeg.bench.report.compare import compare

    out = args.out or Path(f"{args.compare.stem}.compare.html")
    codecs = [codec.spec for codec in _codecs(args)]
    print(f"wrote {compare(args.compare, out, args.quality, codecs, args.threads)}")
    return 0


def _make_blind(args: Namespace) -> int:
    from npeg.bench.codecs import find_codec
    from npeg.bench.report.blind import make_comparison
    from npeg.bench.run.photos import find_photos

    first = find_codec((_split(args.codecs) or [""])[0], args.threads)
    if command := first.missing():
        raise InputError(f"codec {first.name} is not installed: {command}")
    rates = [_number(text, "--rates") for text in dict.fromkeys(_split(args.rates))]
    made = make_comparison(args.blind, find_photos(args.images), _codecs(args), rates, args.seed)
    print(f"wrote {made.pairs} pairs; left out {len(made.left_out)}")
    print(f"wrote {made.page}: for those who answer")
    print(f"wrote {made.key}: tells which is which, not for them")
    return 0


def _count_blind(args: Namespace) -> int:
    from npeg.bench.report.preference import (
        count_lines,
        counts,
        read_answers,
        read_key,
        write_counts,
    )

    key = read_key(args.blind)
    people = list(dict.fromkeys(args.answers))
    rows = counts([answer for path in people for answer in read_answers(key, path)])
    if not rows:
        raise InputError("no answers to count")
    print(*count_lines(key.first, rows), sep="\n")
    path = args.blind / "preferences.tsv"
    print(f"wrote {write_counts(key, len(people), rows, path)}")
    return 0


def _plan(args: Namespace) -> "Plan":
    from npeg.bench.run import memory
    from npeg.bench.run.photos import find_photos
    from npeg.bench.run.runner import Plan

    qualities = [_number(text) for text in _split(args.qualities)]
    metrics = _metrics(args)
    plan = Plan(
        find_photos(args.images),
        _codecs(args),
        metrics,
        qualities,
        timing="time" in _split(args.metrics),
        repeats=args.repeats,
        memory="memory" in _split(args.metrics),
    )
    if plan.memory and (reason := memory.missing()):
        raise InputError(f"peak memory is not available here: {reason}")
    for codec in plan.codecs:
        plan.qualities_of(codec)  # raises before anything is measured
    return plan


def _codecs(args: Namespace) -> "list[Codec]":
    """Return the codecs asked for that are here, and name those that are not."""
    from npeg.bench.codecs import find_codec

    found = [find_codec(spec, args.threads) for spec in dict.fromkeys(_split(args.codecs))]
    for codec in found:
        if command := codec.missing():
            print(f"left out {codec.name}: it needs {command}", file=sys.stderr)
    present = [codec for codec in found if not codec.missing()]
    if not present:
        raise InputError(f"none of the codecs {args.codecs!r} is installed")
    if args.enhance is None:
        return present
    return [
        one
        for codec in present
        for one in (
            codec,
            *(
                find_codec(f"{codec.spec}+{text}", args.threads)
                for text in _enhancements(args)
                if not codec.lossless
            ),
        )
    ]


def _enhancements(args: Namespace) -> list[str]:
    """Return the enhancements asked for; all: the restorations that are here."""
    if args.enhance != "all":
        return list(dict.fromkeys(_split(args.enhance)))
    from npeg.enhance import METHODS, RESTORATION

    methods = [method for method in METHODS.values() if method.kind == RESTORATION]
    for method in methods:
        if command := method.missing():
            print(f"left out {method.name}: it needs {command}", file=sys.stderr)
    return [method.name for method in methods if not method.missing()]


def _metrics(args: Namespace) -> "list[Metric]":
    from npeg.bench.metrics import RESOURCES, find_metric

    names = dict.fromkeys(_split(args.metrics))
    return [find_metric(name) for name in names if name not in RESOURCES]


def _list_codecs(args: Namespace) -> int:
    from npeg.bench.codecs import codec_names, find_codec

    for name in codec_names():
        codec = find_codec(name, args.threads)
        command = codec.missing()
        print(f"{name:14} {f'missing: {command}' if command else codec.version()}")
    return 0


def _list_metrics(args: Namespace) -> int:
    from npeg.bench.metrics import METRICS
    from npeg.bench.run import memory

    for metric in METRICS.values():
        command = metric.missing()
        better = "larger" if metric.larger_is_better else "smaller"
        what = f"missing: {command}" if command else f"{better} is better; {metric.source}"
        print(f"{metric.name:14} {what}")
    print(f"{'time':14} best of --repeats to encode and to decode, one at a time, --threads each")
    reason = memory.missing()
    print(f"{'memory':14} {f'missing: {reason}' if reason else 'peak to encode and to decode'}")
    return 0


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, option: str = "--qualities") -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{option} has {text!r}, expected a number") from None
