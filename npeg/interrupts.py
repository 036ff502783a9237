"""Ctrl-C and its like end a command soon, whatever it is in the middle of, and leave nothing.

Python hears of a signal when its own code runs next, which may be seconds later in a network.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from . import files

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
GRACE_S = 1.2  # for an end by Python's own ways


class Interrupt(KeyboardInterrupt):
    """A signal asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def prompt() -> Iterator[None]:
    """Let signals that ask for an end raise Interrupt, and end the process if that takes long.

    Raises:
        Interrupt: the first of them came; later ones are ignored.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    usual = (signal.SIG_DFL, signal.default_int_handler)  # what is ignored stays ignored
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number in SIGNALS if before[number] in usual]

    def interrupt(number: int, _: FrameType | None) -> None:
        for other in mine:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupt(number)

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(reading, mine, ended), daemon=True).start()
    before_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        for number in mine:
            signal.signal(number, interrupt)
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before_fd)
        os.close(writing)  # which ends the thread
        for number in mine:
            signal.signal(number, before[number])


def _watch(reading: int, numbers: list[int], ended: threading.Event) -> None:
    """Wait for a signal, then for the end; if that does not come, bring it about."""
    number = 0
    while number not in numbers:
        got = os.read(reading, 1)
        if not got:
            break
        number = got[0]
    os.close(reading)
    if number and not ended.wait(GRACE_S):
        end(number)


def end(number: int) -> None:
    """End this process and its workers at once, as a signal of this number would."""
    from multiprocessing import active_children

    for child in active_children():
        child.kill()
    files.remove_temporaries()
    with suppress(OSError):
        os.write(2, b"npeg: interrupted\n")
    os._exit(128 + number)
