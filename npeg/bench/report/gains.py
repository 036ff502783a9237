"""What enhancements gain over the codecs they follow: in every metric, and in time.

Enters: an outcome with codecs such as `jpeg` and `jpeg+deblock`. Leaves: rows, lines, a TSV file.
"""

from collections.abc import Sequence
from pathlib import Path

from npeg.bench.codecs.enhanced import Enhanced
from npeg.bench.report.tables import Row, mean_rows
from npeg.bench.run.runner import Outcome

TIME = "time_s"


def gain_rows(outcome: Outcome) -> list[Row]:
    """Return the mean gain of each enhancement at each quality over the plain codec.

    A row has the codec, its rate, the method and, by the metric's column, the mean score with it
    less the mean score without; `time_s` is how much longer decoding takes.
    """
    plan = outcome.plan
    plain = {codec.spec: mean_rows(outcome, codec) for codec in plan.codecs}
    columns = [metric.column for metric in plan.metrics]
    rows: list[Row] = []
    for codec in plan.codecs:
        if not isinstance(codec, Enhanced):
            continue
        without = {row["quality"]: row for row in plain.get(codec.inner.spec, [])}
        for row in plain[codec.spec]:
            base = without.get(row["quality"])
            if base is None:
                continue
            times = {TIME: _less(row, base, "decode_time_s")} if plan.timing else {}
            rows.append(
                {
                    "codec": codec.inner.spec,
                    "quality": row["quality"],
                    "rate_bpp": row["rate_bpp"],
                    "method": codec.spec.partition("+")[2],
                    **{column: _less(row, base, column) for column in columns},
                    **times,
                }
            )
    return rows


def _less(row: Row, base: Row, column: str) -> float | None:
    value, other = row.get(column), base.get(column)
    return value - other if isinstance(value, float) and isinstance(other, float) else None


def write_gains(rows: Sequence[Row], path: Path) -> Path:
    """Write the rows as a table; columns are gains, in the unit of the metric."""
    lines = ["\t".join(rows[0])] if rows else []
    lines += ["\t".join(_cell(value) for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def gain_lines(rows: Sequence[Row], outcome: Outcome) -> list[str]:
    """Return the gains in the first metric as a table for people: methods by codec and quality."""
    if not rows or not outcome.plan.metrics:
        return []
    metric = outcome.plan.metrics[0]
    heads = list(dict.fromkeys((row["codec"], row["quality"]) for row in rows))
    lines = [
        f"gain in {metric.label}",
        " " * 20 + "".join(f"{c} {q:g}".rjust(14) for c, q in heads),
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for head in heads:
            found = (r for r in rows if (r["codec"], r["quality"], r["method"]) == (*head, method))
            gain = next((row[metric.column] for row in found), None)
            cells.append(f"{gain:+.2f}" if isinstance(gain, float) else "-")
        lines.append(f"{method:20}" + "".join(cell.rjust(14) for cell in cells))
    return lines


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.6g}"
