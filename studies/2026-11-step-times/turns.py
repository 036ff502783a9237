"""Times of functions called in turns, which a machine whose speed changes disturbs less."""

import statistics
import time
from collections.abc import Callable


def time_in_turns(functions: list[Callable[[], object]], rounds: int = 12) -> list[float]:
    """Return the median seconds of each function, called in turns, after two that warm up."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 2):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 2:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]
