"""How many pixels an image may have here: less than the format allows, and everybody's to change.

Bounds what a file or a picture of a stranger can ask for, before anything of it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import InputError, LimitError

VARIABLE = "NPEG_MAX_PIXELS"
DEFAULT = 2 * 89_478_485  # twice Pillow's Image.MAX_IMAGE_PIXELS, from which on it refuses as well
MOST = 1 << 32  # of the format

_given: ContextVar[int | None] = ContextVar("_given", default=None)


def most_pixels() -> int:
    """Return how many pixels an image may have: as given, else NPEG_MAX_PIXELS, else DEFAULT.

    Raises:
        InputError: NPEG_MAX_PIXELS is set, not empty and no such number.
    """
    given = _given.get()
    return _of_environment() if given is None else given


def check(width: int, height: int) -> None:
    """Raise LimitError for an image of more pixels than it may have."""
    if width * height > (most := most_pixels()):
        found = f"found {width}x{height} pixels, expected at most {most / 1e6:.4g} million"
        raise LimitError(f"{found} (max_pixels, --max-pixels or {VARIABLE} changes that)")


@contextmanager
def at_most(pixels: int | None) -> Iterator[None]:
    """Set the limit for a while; None: leave it as it is.

    Raises:
        InputError: not a number of pixels.
    """
    if pixels is None:
        yield
        return
    if isinstance(pixels, bool) or not isinstance(pixels, int) or not 1 <= pixels <= MOST:
        raise InputError(f"max_pixels is {pixels!r}, expected 1 to {MOST}")
    token = _given.set(pixels)
    try:
        yield
    finally:
        _given.reset(token)


def _of_environment() -> int:
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:11]) <= MOST:
        raise InputError(f"{VARIABLE} is {text!r}, expected 1 to {MOST}, or empty for the default")
    return int(text)
