"""Rate-distortion plots for papers and READMEs, labelled at their curves: SVG and PNG.

Enters: series and a metric. Leaves: a figure on opaque white, as readable on dark pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npeg.bench.metrics import Metric
from npeg.bench.report.series import Points, Series, axis_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST_RATE_BPP = 1.6  # of the published figures' usual span
LEAST_SCORE = {"ssimulacra2": 0.0}  # below, pictures are beyond use
INCHES = (8.0, 5.0)
LINE_POINTS = 12.5  # between labels, in points: 1/72 inch
MARGIN = 0.045  # part of the width that lies around the labels on the right
STYLE: dict[Any, str | float | bool] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a84",
    "axes.labelcolor": "#1c1c1a",
    "text.color": "#1c1c1a",
    "xtick.color": "#55554f",
    "ytick.color": "#55554f",
    "svg.hashsalt": "npeg",  # the same bytes each time
}


@dataclass
class _Label:
    """A name beside the last point of its curve."""

    text: str
    colour: str
    bold: bool
    rate_bpp: float
    score: float
    at_edge: bool  # the curve leaves the figure here


def write_plots(series: Sequence[Series], metric: Metric, images: str, stem: Path) -> list[Path]:
    """Draw the curves of one metric; return the files, none where no curve has two points.

    Args:
        series: what to draw; those that are not shown by default are left out.
        metric: measure of quality.
        images: what was measured, for the title: `24 Kodak photographs`.
        stem: of the files, less `.svg` and `.png`.
    """
    drawn = [one for one in series if one.shown and len(one.curve(metric)) > 1]
    if not any(one.codec for one in drawn):
        return []
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png")]
    with mpl.rc_context(STYLE):
        figure = Figure(INCHES, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.085, 0.11, 0.7, 0.8))
        _draw(axes, drawn, metric)
        _make_room(axes)
        axes.set_title(f"{metric.label} on {images}", loc="left", size=11, weight="bold", pad=10)
        if not all(one.codec for one in drawn):
            figure.text(0.99, 0.025, "dashed: published, not measured", size=8.5, ha="right")
        figure.savefig(paths[0], metadata={"Date": None})
        figure.savefig(paths[1], dpi=200, metadata={"Software": None})
    return paths


def _draw(axes: "Axes", drawn: Sequence[Series], metric: Metric) -> None:
    """Draw and label the curves, those of npeg last and on top."""
    from matplotlib.ticker import MaxNLocator

    curves = [sorted(one.curve(metric)) for one in drawn]
    least = min(curve[0][0] for curve, one in zip(curves, drawn, strict=True) if one.codec)
    widest = max(curve[-1][0] for curve in curves)
    limit = min(widest, LARGEST_RATE_BPP) if least < LARGEST_RATE_BPP else widest
    curves = [_within(curve, limit) for curve in curves]
    labels = []
    for one, curve in zip(drawn, curves, strict=True):
        if not curve:
            continue
        rates, scores = zip(*curve, strict=True)
        marks = [i for i, (rate, _) in enumerate(curve) if rate < limit] if one.codec else []
        axes.plot(
            rates,
            scores,
            color=one.colours[0],
            linewidth=2.8 if one.own else 1.5 if one.codec else 1.1,
            linestyle=(0, one.dash) if one.dash else "-",
            marker="o" if one.codec else "",
            markersize=5 if one.own else 3.5,
            markevery=marks,
            zorder=4 if one.own else 3 if one.codec else 2,
        )
        end = rates[-1] > 0.9 * limit
        labels.append(
            _Label(one.label.partition(" (")[0], one.colours[0], one.own, *curve[-1], end)
        )
    axes.set_xlim(0, limit)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, LEAST_SCORE.get(metric.name, low)) if high > 0 else low, high)
    axes.set_xlabel("bits per pixel (whole files)")
    axes.set_ylabel(axis_label(metric))
    axes.yaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]))
    if not metric.larger_is_better:  # curves are of the negated score, so that better is up
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.grid(color="#e6e6e1", linewidth=0.8)
    axes.set_axisbelow(True)
    _write_labels(axes, labels)


def _within(curve: Points, limit: float) -> Points:
    """Return a curve up to a rate, where it is cut between two points."""
    inside = [point for point in curve if point[0] <= limit]
    after = [point for point in curve if point[0] > limit]
    if inside and after:
        (x0, y0), (x1, y1) = inside[-1], after[0]
        inside.append((limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)))
    return inside


def _write_labels(axes: "Axes", labels: Sequence[_Label]) -> None:
    """Write names in the right margin, moved apart, and at curves that end before it."""
    from matplotlib.patheffects import withStroke

    low, high = axes.get_ylim()
    per_point = (high - low) / (axes.get_position().height * INCHES[1] * 72)
    edge = sorted((label for label in labels if label.at_edge), key=lambda label: label.score)
    heights = spread([label.score for label in edge], LINE_POINTS * per_point, high)
    halo = [withStroke(linewidth=3, foreground="white")]
    for label, height in zip(edge, heights, strict=True):
        axes.annotate(
            label.text,
            (label.rate_bpp, label.score),
            xytext=(axes.get_xlim()[1] * 1.03, height),
            color=label.colour,
            weight="bold" if label.bold else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.6,
                "relpos": (0, 0.5),  # from the middle of the name's left side
                "shrinkA": 2,
                "shrinkB": 1,
            },
        )
    for label in labels:
        if not label.at_edge:
            axes.annotate(
                label.text,
                (label.rate_bpp, label.score),
                xytext=(-5, 4),
                textcoords="offset points",
                color=label.colour,
                weight="bold" if label.bold else "normal",
                ha="right",
                path_effects=halo,
                zorder=5,
            )


def _make_room(axes: "Axes") -> None:
    """Make the axes as wide as the names in the right margin leave them."""
    edge = axes.get_xlim()[1]
    names = [text for text in axes.texts if text.get_position()[0] > edge]
    widest = max((text.get_window_extent().width for text in names), default=0.0)
    left, bottom, _, height = axes.get_position().bounds
    room = widest / (INCHES[0] * axes.figure.dpi) + MARGIN
    axes.set_position((left, bottom, 1 - left - room, height))


def spread(heights: Sequence[float], gap: float, top: float) -> list[float]:
    """Return rising heights moved apart to at least `gap`, none above `top`, each little moved."""
    groups: list[list[float]] = []  # of touching labels: [sum of wishes, number]
    for i, height in enumerate(heights):
        groups.append([height - i * gap, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, number = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + number]
    starts = [total / number for total, number in groups for _ in range(int(number))]
    last = top - (len(heights) - 1) * gap
    return [min(start, last) + i * gap for i, start in enumerate(starts)]
