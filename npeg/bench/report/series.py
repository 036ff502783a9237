"""What is drawn of an outcome: a series for each codec, measured or published, with its look."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from npeg.bench.codecs.contract import Codec
from npeg.bench.metrics import Metric
from npeg.bench.report.published import MAIN, is_kodak, published_rows
from npeg.bench.report.tables import TIMES, Row, bd_rates, curve, mean_rows
from npeg.bench.run.runner import Outcome

Points = list[tuple[float, float]]

OWN = (("#d1260f", "#ff6a55"), ("#b85600", "#ffa04d"), ("#9c1355", "#ff7db8"))
"""Colours of npeg's variants, on light and on dark; all are at 3:1 or more to their paper."""
MEASURED = (
    ("#1f66c9", "#6cb0ff"),
    ("#1d8348", "#4cc38a"),
    ("#8446b8", "#c08af0"),
    ("#0f8290", "#3fc7d4"),
    ("#8a5a1e", "#d2a05c"),
    ("#c2368c", "#f27cc0"),
    ("#77790d", "#c2c53c"),
    ("#36459b", "#97a4ff"),
)
PUBLISHED = (("#6e6e67", "#a4a49c"),)
DASHES = ((7, 4), (2, 3), (10, 3, 2, 3), (4, 2), (14, 4), (10, 3, 2, 3, 2, 3))


@dataclass(frozen=True)
class Series:
    """The means of one codec over all photographs, and how they are drawn."""

    label: str
    rows: Sequence[Row]
    colours: tuple[str, str]  # on light paper, and on dark
    codec: Codec | None = None  # None: published
    dash: tuple[int, ...] = ()
    shown: bool = True  # unless asked otherwise

    @property
    def name(self) -> str:
        """Its label; a published one says so."""
        return self.label if self.codec else f"{self.label} (published)"

    @property
    def own(self) -> bool:
        """Whether this is npeg, at any of its settings."""
        return self.codec is not None and self.codec.name == "npeg"

    @property
    def source(self) -> str:
        """Where the numbers come from."""
        return self.codec.version() if self.codec else str(self.rows[0]["source"])

    def curve(self, metric: Metric) -> Points:
        """Return its points (rate in bpp, score), on a scale fit for BD-rate."""
        return [] if self.codec and self.codec.lossless else curve(self.rows, metric)

    def times(self) -> dict[str, tuple[float, float, float]]:
        """Return least, median and greatest time by the quality, in seconds a photograph."""
        spans = {}
        for key in TIMES:
            known = sorted(t for row in self.rows if isinstance(t := row.get(key), float))
            if known:
                spans[key] = known[0], median(known), known[-1]
        return spans


def series_of(outcome: Outcome) -> list[Series]:
    """Return the measured codecs in the plan's order, then what is published on these images."""
    own, others, measured = iter(OWN * 9), iter(MEASURED * 9), []
    for codec in outcome.plan.codecs:
        colours = next(own if codec.name == "npeg" else others, PUBLISHED[0])
        measured.append(Series(codec.label, mean_rows(outcome, codec), colours, codec))
    if not is_kodak(outcome.plan.photos):
        return measured
    published = [
        Series(label, rows, PUBLISHED[0], dash=DASHES[i % len(DASHES)], shown=label in MAIN)
        for i, (label, rows) in enumerate(published_rows().items())
    ]
    return measured + sorted(published, key=lambda series: not series.shown)


def rates_by_name(series: Sequence[Series], metric: Metric) -> dict[str, dict[str, float | None]]:
    """Return the BD-rate of each series against each: anchor, then name, in per cent."""
    curves = {one.name: one.curve(metric) for one in series}
    return bd_rates({name: points for name, points in curves.items() if points})


def axis_label(metric: Metric) -> str:
    """Return a metric's name with the unit of its curves, which rise with quality."""
    if not metric.larger_is_better:
        return f"{metric.label}, less is better"
    in_db = metric.column.endswith("_db") or metric.decibels
    return f"{metric.label}, dB" if in_db else metric.label
