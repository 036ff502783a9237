"""An outcome as a report: one HTML page that needs nothing else, plots, and a table of BD-rates.

Enters: an outcome. Leaves: `report.html`, `rd-*.svg`, `rd-*.png` and `bd-rates.tsv` in a folder.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from npeg.bench.metrics import Metric
from npeg.bench.pages import page
from npeg.bench.report.crops import crops
from npeg.bench.report.gains import gain_rows
from npeg.bench.report.pictures import pictures
from npeg.bench.report.plots import LARGEST_RATE_BPP, LEAST_SCORE, write_plots
from npeg.bench.report.published import is_kodak
from npeg.bench.report.series import Series, axis_label, rates_by_name, series_of
from npeg.bench.report.tables import SIZES, conditions, point_rows, resource_columns
from npeg.bench.run.runner import Outcome, machine_name

Rates = Mapping[str, Mapping[str, float | None]]  # anchor, then codec, in per cent
PICTURES = 4
RATE_BPP = 0.25
SCRIPTS = ["viewer.js", "chart.js", "report.js", "enhance.js", "results.js"]


def write_report(
    outcome: Outcome, folder: Path, count: int = PICTURES, rate_bpp: float = RATE_BPP
) -> list[Path]:
    """Write the report of an outcome; return the files.

    Args:
        outcome: what was measured; nothing is measured again, but pictures are encoded.
        folder: where to; made if it is not there.
        count: of the photographs whose pictures are put in the page.
        rate_bpp: of these pictures' files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = series_of(outcome)
    metrics = [m for m in outcome.plan.metrics if any(one.curve(m) for one in series if one.codec)]
    rates = {metric.name: rates_by_name(series, metric) for metric in metrics}
    images = describe_photos(outcome)
    written: list[Path] = []
    for metric in metrics:
        written += write_plots(series, metric, images, folder / f"rd-{metric.name}")
    if rates:
        written.append(write_rates(rates, folder / "bd-rates.tsv"))
    data = {
        **report_data(outcome, series, metrics, rates),
        "rate_bpp": rate_bpp,
        "pictures": pictures(outcome, count, rate_bpp),
        "crops": crops(outcome, count),
    }
    html = page(
        f"Image codecs on {images}", "report.html", SCRIPTS, data, ["page.css", "report.css"]
    )
    (folder / "report.html").write_text(html, encoding="utf-8")
    return [folder / "report.html", *written]


def report_data(
    outcome: Outcome,
    series: Sequence[Series],
    metrics: Sequence[Metric],
    rates: Mapping[str, Rates],
) -> dict[str, Any]:
    """Return all that the page shows but the pictures; numbers that JSON lacks are None."""
    plan = outcome.plan
    columns = ["quality", *SIZES, *(m.column for m in plan.metrics), *resource_columns(plan)]
    return {
        "images": describe_photos(outcome),
        "photos": [photo.name for photo in plan.photos],
        "pixels": sum(p.width * p.height for p in plan.photos) / len(plan.photos),
        "metrics": [_metric(metric) for metric in metrics],
        "heads": {metric.column: metric.label for metric in plan.metrics},
        "series": [_series(one) for one in series],
        "columns": columns,
        "rows": _rows(outcome, series, columns),
        "rates": rates,
        "gains": gain_rows(outcome),
        "limit_bpp": LARGEST_RATE_BPP,
        "conditions": _conditions(outcome),
        "failures": [str(failure) for failure in outcome.failures],
    }


def write_rates(rates: Mapping[str, Rates], path: Path) -> Path:
    """Write a row for every metric, anchor and codec; where none is defined the rate is empty."""
    lines = ["metric\tanchor\tcodec\tbd_rate_percent"]
    for metric, anchors in rates.items():
        for anchor, tested in anchors.items():
            lines += [
                f"{metric}\t{anchor}\t{name}\t{'' if rate is None else f'{rate:.2f}'}"
                for name, rate in tested.items()
                if name != anchor
            ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def describe_photos(outcome: Outcome) -> str:
    """Return what was measured in a few words."""
    photos = outcome.plan.photos
    if is_kodak(photos):
        return "the 24 Kodak photographs"
    return f"{len(photos)} photographs" if len(photos) > 1 else photos[0].name


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "label": metric.label,
        "column": metric.column,
        "axis": axis_label(metric),
        "decibels": metric.decibels,
        "upside_down": not metric.larger_is_better,
        "least": LEAST_SCORE.get(metric.name),
    }


def _series(one: Series) -> dict[str, Any]:
    return {
        "label": one.label,
        "name": one.name,
        "source": one.source,
        "colours": one.colours,
        "dash": one.dash,
        "own": one.own,
        "shown": one.shown,
        "published": one.codec is None,
        "lossless": one.codec is not None and one.codec.lossless,
        "times": one.times(),
    }


def _rows(outcome: Outcome, series: Sequence[Series], columns: Sequence[str]) -> list[list[Any]]:
    """Return rows of photograph (-1: the mean), series, and the columns' numbers."""
    rows: list[list[Any]] = []
    for i, one in enumerate(series):
        groups = [(-1, one.rows)]
        if one.codec:
            groups += [
                (k, point_rows(outcome, one.codec, photo))
                for k, photo in enumerate(outcome.plan.photos)
            ]
        for photo, found in groups:
            rows += [[photo, i, *(_finite(row.get(c)) for c in columns)] for row in found]
    return rows


def _finite(value: object) -> float | None:
    """Return a number to six digits, as in tables; None for what JSON cannot say."""
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    return value if value.is_integer() else float(f"{value:.6g}")


def _conditions(outcome: Outcome) -> list[str]:
    lines = [f"date: {datetime.now(UTC):%Y-%m-%d}", *conditions(outcome.plan)]
    machine = f"machine: {machine_name()}"
    return lines if machine in lines else [*lines, machine]
