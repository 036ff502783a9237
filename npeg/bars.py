"""Progress bars on standard error, where somebody may watch: of many files, or of one image.

Knows no work: what is watched calls back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any


def of_files(total: int, quiet: bool) -> AbstractContextManager[Any]:
    """Return a progress bar on stderr, or nothing where nobody would watch it."""
    if quiet or total < 2 or not sys.stderr.isatty():
        return nullcontext()
    from tqdm import tqdm

    bar: AbstractContextManager[Any] = tqdm(total=total, unit="file", leave=False)
    return bar


@contextmanager
def of_image(args: argparse.Namespace, searches: bool = False) -> Iterator[None]:
    """Show how many tiles, or encodings of a search for a target, are done to who may watch."""
    if args.quiet or not args.alone or not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm

    from . import progress, targets

    unit, total = ("encoding", targets.TRIES) if searches else ("tile", None)
    with tqdm(total=total, unit=unit, leave=False, delay=0.5) as bar:

        def tile(count: int) -> None:
            bar.total = count
            bar.update()

        watcher = targets.watcher if searches else progress.watcher
        token = watcher.set(bar.update if searches else tile)  # type: ignore[arg-type]
        try:
            yield
        finally:
            watcher.reset(token)  # type: ignore[arg-type]
