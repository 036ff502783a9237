"""An outcome as numbers in rows: means over the photographs, points, curves, a TSV file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from npeg import __version__
from npeg.bench.codecs.contract import Codec
from npeg.bench.metrics import Metric
from npeg.bench.metrics.bdrate import bd_rate, ssim_db
from npeg.bench.run.photos import Photo
from npeg.bench.run.runner import Outcome, Plan, machine_name
from npeg.bench.run.store import Point, Result

Row = dict[str, str | float | None]
SIZES = ("size_bytes", "rate_bpp", "compression_ratio")
TIMES = ("encode_time_s", "decode_time_s")
MEMORY = ("encode_memory_mib", "decode_memory_mib")


def point_rows(outcome: Outcome, codec: Codec, photo: Photo | None = None) -> list[Row]:
    """Return a row for each point of a codec, by photograph and quality."""
    rows = outcome.of(codec, photo).items()
    return [_row(outcome.plan, codec, point, result) for point, result in rows]


def mean_rows(outcome: Outcome, codec: Codec) -> list[Row]:
    """Return the mean over all photographs at each quality; a gap in a column gives None there.

    Qualities that failed on a photograph are left out: their means would not compare.
    """
    plan, points = outcome.plan, point_rows(outcome, codec)
    means = []
    for quality in plan.qualities_of(codec):
        rows = [row for row in points if row["quality"] == quality]
        if len(rows) == len(plan.photos):
            same = {key: rows[0][key] for key in ("codec", "version", "threads", "quality")}
            numbers = {key: _mean([row[key] for row in rows]) for key in _number_columns(plan)}
            means.append({"image": "mean", **same, **numbers})
    return means


def resource_columns(plan: Plan) -> tuple[str, ...]:
    """Return the columns of a plan's times and peak memory."""
    return (TIMES if plan.timing else ()) + (MEMORY if plan.memory else ())


def curve(rows: Sequence[Row], metric: Metric) -> list[tuple[float, float]]:
    """Return the points (rate in bpp, score) of rows, on a scale fit for BD-rate.

    There a larger score is better: those of which a smaller one is are negated.
    """
    pairs = [(row["rate_bpp"], row.get(metric.column)) for row in rows]
    known = [(r, s) for r, s in pairs if isinstance(r, float) and isinstance(s, float)]
    if metric.decibels:
        return [(r, ssim_db(s)) for r, s in known]
    return known if metric.larger_is_better else [(r, -s) for r, s in known]


def bd_rates(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> dict[str, dict[str, float | None]]:
    """Return the BD-rate of each curve against each anchor: anchor, then codec, in per cent."""
    return {
        anchor: {
            name: 0.0 if name == anchor else bd_rate(curves[anchor], tested)
            for name, tested in curves.items()
        }
        for anchor in curves
    }


def conditions(plan: Plan) -> list[str]:
    """Return what must be known to repeat a run, a line each."""
    sizes = sorted({f"{photo.width}x{photo.height}" for photo in plan.photos})
    lines = [f"npeg bench {__version__}", f"images: {len(plan.photos)}, {', '.join(sizes)}"]
    lines += [f"{codec.label}: {codec.version()}" for codec in plan.codecs]
    lines += [
        f"{metric.label}: {metric.source}" + (f" ({metric.program()})" if metric.program else "")
        for metric in plan.metrics
    ]
    lines.append("rate_bpp: 8 * bytes of the whole file / pixels; compression_ratio: 24 / rate_bpp")
    threads = ", ".join(sorted({str(codec.threads) for codec in plan.codecs}))
    if plan.timing:
        lines.append(
            f"times: best of {plan.repeats}, one at a time, in one process, files in memory"
        )
    if plan.memory:
        lines.append(
            "memory: peak resident MiB of a new process, over what it had with Python, NumPy, "
            "Pillow and the input, before it loaded the codec"
        )
    if plan.timing or plan.memory:
        lines.append(f"machine: {machine_name()}")
    return [*lines, f"threads of a codec: {threads}"]


def write_tsv(outcome: Outcome, path: Path) -> None:
    """Write conditions, mean rows, then a row for every photograph, codec and quality."""
    rows = [row for codec in outcome.plan.codecs for row in mean_rows(outcome, codec)]
    rows += [row for codec in outcome.plan.codecs for row in point_rows(outcome, codec)]
    columns = ["image", "codec", "version", "threads", "quality", *_number_columns(outcome.plan)]
    lines = [f"# {line}" for line in conditions(outcome.plan)]
    lines.append("\t".join(columns))
    lines += ["\t".join(_cell(row[column]) for column in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def summary_lines(outcome: Outcome) -> list[str]:
    """Return the span of each codec, and what each saves against each other in the first metric."""
    codecs = [codec for codec in outcome.plan.codecs if mean_rows(outcome, codec)]
    lines = []
    for codec in codecs:
        rates = [row["rate_bpp"] for row in mean_rows(outcome, codec)]
        known = [rate for rate in rates if isinstance(rate, float)]
        lines.append(f"{codec.label:24} {min(known):.3f} to {max(known):.3f} bpp")
    lossy = [codec for codec in codecs if not codec.lossless and "+" not in codec.spec]
    if len(lossy) < 2 or not outcome.plan.metrics:
        return lines
    metric = outcome.plan.metrics[0]
    curves = {codec.label: curve(mean_rows(outcome, codec), metric) for codec in lossy}
    lines.append(f"BD-rate by {metric.label}, % of bytes: a row's codec against a column's")
    anchors = bd_rates(curves)
    lines.append(" " * 24 + "".join(f"{anchor:>24}" for anchor in anchors))
    for name in curves:
        rates = [anchors[anchor][name] for anchor in anchors]
        cells = ["-" if rate is None else f"{rate:+.1f}" for rate in rates]
        lines.append(f"{name:24}" + "".join(f"{cell:>24}" for cell in cells))
    return lines


def _row(plan: Plan, codec: Codec, point: Point, result: Result) -> Row:
    bits, pixels = 8.0 * result.size_bytes, point.photo.width * point.photo.height
    return {
        "image": point.photo.name,
        "codec": point.codec,
        "version": point.version,
        "threads": point.threads,
        "quality": point.quality,
        "size_bytes": float(result.size_bytes),
        "rate_bpp": bits / pixels,
        "compression_ratio": 24 * pixels / bits,
        **{
            metric.column: result.scores.get((metric.name, metric.version))
            for metric in plan.metrics
        },
        **{key: getattr(result.timing, key, None) for key in TIMES if plan.timing},
        **{key: getattr(result.memory, key, None) for key in MEMORY if plan.memory},
    }


def _number_columns(plan: Plan) -> list[str]:
    scores = [metric.column for metric in plan.metrics]
    return [*SIZES, *scores, *resource_columns(plan)]


def _mean(values: Sequence[str | float | None]) -> float | None:
    numbers = [value for value in values if isinstance(value, float)]
    return math.fsum(numbers) / len(numbers) if len(numbers) == len(values) else None


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"  # sizes are exact
