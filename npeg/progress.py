"""Who watches while tiles are coded: a command's progress bar.

Knows neither tiles nor bars: one calls `step`, the other sets `watcher`.
"""

from collections.abc import Callable
from contextvars import ContextVar

watcher: ContextVar[Callable[[int], object] | None] = ContextVar("watcher", default=None)


def step(total: int) -> None:
    """Say that one more of an image's tiles, `total` in all, is done."""
    if watch := watcher.get():
        watch(total)
