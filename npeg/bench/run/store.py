"""Results that survive: every measured point in one SQLite file, written as soon as it is known.

A point is one photograph, by hash, in one codec, with its version, threads and quality. Scores,
times and memory hang on points; what is there with the same versions is never measured again.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from npeg.bench.run.photos import Photo
from npeg.errors import FormatError

APPLICATION = 0x6E504247  # "nPBG": tells our files from other SQLite files
VERSION = 1
SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE photos (
    sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL
);
CREATE TABLE points (
    id INTEGER PRIMARY KEY,
    photo TEXT NOT NULL REFERENCES photos,
    codec TEXT NOT NULL, version TEXT NOT NULL, threads INTEGER NOT NULL, quality REAL NOT NULL,
    size_bytes INTEGER NOT NULL,
    UNIQUE (photo, codec, version, threads, quality)
);
CREATE TABLE scores (
    point INTEGER NOT NULL REFERENCES points ON DELETE CASCADE,
    metric TEXT NOT NULL, version TEXT NOT NULL, value REAL,
    PRIMARY KEY (point, metric, version)
);
CREATE TABLE times (
    point INTEGER NOT NULL REFERENCES points ON DELETE CASCADE,
    machine TEXT NOT NULL, repeats INTEGER NOT NULL,
    encode_time_s REAL NOT NULL, decode_time_s REAL NOT NULL,
    PRIMARY KEY (point, machine)
);
"""
ADDED = """
CREATE TABLE IF NOT EXISTS memory (
    point INTEGER NOT NULL REFERENCES points ON DELETE CASCADE,
    machine TEXT NOT NULL, encode_memory_mib REAL NOT NULL, decode_memory_mib REAL NOT NULL,
    PRIMARY KEY (point, machine)
);
"""
"""A table that stores of this version did not have at first; who does not know it loses nothing."""
KEY = "(photo, codec, version, threads, quality) = (?, ?, ?, ?, ?)"
FIND = f"SELECT id, size_bytes FROM points WHERE {KEY}"


@dataclass(frozen=True)
class Point:
    """One photograph in one codec at one quality."""

    photo: Photo
    codec: str  # its spec
    version: str
    threads: int
    quality: float

    def key(self) -> tuple[str, str, str, int, float]:
        """Return the columns that identify it."""
        return self.photo.sha256, self.codec, self.version, self.threads, self.quality


@dataclass(frozen=True)
class Timing:
    """Best of several runs on a machine, in seconds."""

    machine: str
    repeats: int
    encode_time_s: float
    decode_time_s: float


@dataclass(frozen=True)
class Memory:
    """Peak resident memory on a machine, in MiB, over that of a process before its work."""

    machine: str
    encode_memory_mib: float
    decode_memory_mib: float


@dataclass(frozen=True)
class Result:
    """What is known of a point; a score is None where the metric is not defined."""

    size_bytes: int
    scores: dict[tuple[str, str], float | None]  # by metric and its version
    timing: Timing | None = None
    memory: Memory | None = None


class Store:
    """The SQLite file of a bench; use it as a context manager.

    Raises FormatError if the file is of another kind or version.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise FormatError(f"{path}: not a store of npeg bench: {error}") from None
        except FormatError:
            self._database.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def get(self, point: Point, machine: str) -> Result | None:
        """Return what is known of a point, with its times and memory on one machine, or None."""
        found = self._one(FIND, point.key())
        if found is None:
            return None
        number, size = found
        scores = self._database.execute(
            "SELECT metric, version, value FROM scores WHERE point = ?", (number,)
        )
        timing = self._one(
            "SELECT machine, repeats, encode_time_s, decode_time_s FROM times "
            "WHERE (point, machine) = (?, ?)",
            (number, machine),
        )
        memory = self._one(
            "SELECT machine, encode_memory_mib, decode_memory_mib FROM memory "
            "WHERE (point, machine) = (?, ?)",
            (number, machine),
        )
        known = {(metric, version): value for metric, version, value in scores}
        return Result(
            size, known, Timing(*timing) if timing else None, Memory(*memory) if memory else None
        )

    def put(self, point: Point, result: Result) -> None:
        """Keep a result; what was known before stays, unless the size has changed."""
        photo = point.photo
        with self._database as database:
            database.execute(
                "INSERT OR IGNORE INTO photos VALUES (?, ?, ?, ?)",
                (photo.sha256, photo.name, photo.width, photo.height),
            )
            number = self._row(point, result.size_bytes)
            database.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                [(number, *metric, value) for metric, value in result.scores.items()],
            )
            if (t := result.timing) is not None:
                database.execute(
                    "INSERT OR REPLACE INTO times VALUES (?, ?, ?, ?, ?)",
                    (number, t.machine, t.repeats, t.encode_time_s, t.decode_time_s),
                )
            if (m := result.memory) is not None:
                database.execute(
                    "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)",
                    (number, m.machine, m.encode_memory_mib, m.decode_memory_mib),
                )

    def forget(self, points: Iterable[Point]) -> None:
        """Remove points with their scores and times."""
        with self._database as database:
            database.executemany(
                f"DELETE FROM points WHERE {KEY}", [point.key() for point in points]
            )

    def _open(self, path: Path) -> None:
        """Check the file, or set up an empty one."""
        if not self._number_of("SELECT count(*) FROM sqlite_master"):
            self._database.executescript(SCHEMA)
        application = self._number_of("PRAGMA application_id")
        version = self._number_of("PRAGMA user_version")
        if application != APPLICATION:
            raise FormatError(f"{path}: found another program's SQLite file, expected a bench's")
        if version != VERSION:
            raise FormatError(f"{path}: found a store of version {version}, expected {VERSION}")
        self._database.executescript(ADDED)
        self._database.execute("PRAGMA foreign_keys = ON")

    def _row(self, point: Point, size_bytes: int) -> int:
        """Return the row of a point, made or emptied as needed."""
        found = self._one(FIND, point.key())
        if found is not None and found[1] == size_bytes:
            return int(found[0])
        self._database.execute(
            "INSERT OR REPLACE INTO points (photo, codec, version, threads, quality, size_bytes) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*point.key(), size_bytes),
        )
        return self._number_of("SELECT last_insert_rowid()")

    def _number_of(self, query: str) -> int:
        found = self._one(query, ())
        return int(found[0]) if found else 0

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        with closing(self._database.execute(query, values)) as rows:
            found: tuple[Any, ...] | None = rows.fetchone()
            return found
