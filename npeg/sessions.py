"""Inference sessions on the CPU: how they are opened, what a fork means for them, their memory.

Knows no model. ONNX Runtime's threads do not survive a fork and its exit handlers wait for them:
a child forgets its parent's sessions, opens its own, and leaves ONNX Runtime's handlers out.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakSet

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from . import weights

LARGE = 1 << 20  # pixels of an image after which memory is given back
TINY_PIXELS = 64  # side of what networks of images take at least
OF_PIXELS = ("pixels", "decoded")  # what their graphs call images

Function = TypeVar("Function", bound=Callable[..., Any])

_sessions: WeakSet[ort.InferenceSession] = WeakSet()
_caches: list[Callable[[], None]] = []


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Return a session that runs the graph of an ONNX file on the CPU; see `weights.read`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # spinning threads of several sessions would fight over the cores
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(weights.read(path), options, providers=["CPUExecutionProvider"])
    _sessions.add(session)
    return session


def once_a_process(function: Function) -> Function:
    """Cache what a function of hashable arguments returns, anew in a forked child."""
    cached = lru_cache(maxsize=4)(function)
    _caches.append(cached.cache_clear)
    return cast("Function", cached)


def give_memory_back(pixels: int) -> None:
    """After an image of so many pixels, return to the system what was needed for it.

    A session keeps what its largest input took. A run on a tiny input, told to shrink, frees that;
    without such an arena every image would take a fifth longer.
    """
    if pixels < LARGE:
        return
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    for session in list(_sessions):
        session.run(None, _tiny_inputs(session), options)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; musl keeps nothing
        if trim:
            trim(0)


def _tiny_inputs(session: ort.InferenceSession) -> dict[str, NDArray[Any]]:
    """Return zeros of the least size that a graph takes: 64x64 pixels, or one of anything else."""
    inputs = {}
    for wanted in session.get_inputs():
        is_bytes = wanted.type == "tensor(uint8)"
        free = TINY_PIXELS if is_bytes or wanted.name in OF_PIXELS else 1
        shape = [side if isinstance(side, int) else free for side in wanted.shape]
        inputs[wanted.name] = np.zeros(shape, np.uint8 if is_bytes else np.float32)
    return inputs


def _forget_sessions() -> None:
    for clear in _caches:
        clear()


def _after_fork() -> None:
    """In a forked child: leave the parent's sessions alone, for ever."""
    for session in list(_sessions):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))  # its destructor would join threads
    _sessions.clear()
    _forget_sessions()
    if sys.platform == "linux" and (on_exit := getattr(ctypes.CDLL(None), "on_exit", None)):
        # exit handlers run from the last to the first: flush, then end before ONNX Runtime's
        libc = ctypes.CDLL(None)
        on_exit(libc._exit, None)
        libc.__cxa_atexit(libc.fflush, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
