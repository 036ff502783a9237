"""Fill a store of the bench with the rows of a table, so that only what is new is measured.

    python results/fill_store.py results/kodak.tsv FOLDER_OF_KODAK WORKING_FOLDER

Rows keep the versions that they were measured with: those of a codec whose version here is another
are measured anew. Scores are taken to be of this npeg's metrics: do not use it after one changed.
"""

import csv
import sys
from pathlib import Path

from npeg.bench.metrics import METRICS
from npeg.bench.run.photos import find_photos
from npeg.bench.run.store import Point, Result, Store


def main(table: Path, images: Path, out: Path) -> None:
    """Copy the rows of single photographs into out/bench.sqlite."""
    photos = {photo.name: photo for photo in find_photos([images])}
    lines = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    metrics = [metric for metric in METRICS.values() if metric.column in rows[0]]
    with Store(out / "bench.sqlite") as store:
        for row in rows:
            if row["image"] == "mean":
                continue
            photo, threads = photos[row["image"]], int(row["threads"])
            quality = float(row["quality"])
            point = Point(photo, row["codec"], row["version"], threads, quality)
            scores: dict[tuple[str, str], float | None] = {
                (metric.name, metric.version): float(row[metric.column])
                for metric in metrics
                if row[metric.column]
            }
            store.put(point, Result(int(row["size_bytes"]), scores))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
