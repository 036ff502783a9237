"""How many threads the networks may use: the one variable of the environment that says so."""

from __future__ import annotations

import os

from .errors import InputError

VARIABLE = "NPEG_THREADS"
MOST = 1024  # more than any machine's cores; ONNX Runtime starts what it is asked for


def thread_count() -> int:
    """Return how many threads a session may use: NPEG_THREADS, else the usable cores.

    Raises:
        InputError: NPEG_THREADS is set, not empty and no number of threads.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text:
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST:
            raise InputError(
                f"{VARIABLE} is {text!r}, expected 1 to {MOST}, or empty for all cores"
            )
        return int(text)
    if hasattr(os, "sched_getaffinity"):  # Linux: what this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
