"""The errors npeg raises, and its warnings."""

import sys
import warnings
from pathlib import Path


class NpegError(ValueError):
    """Base of every error that npeg raises on purpose; its text is one line for people."""


class FormatError(NpegError):
    """The bytes are not a valid .npeg file."""


class TruncatedError(FormatError):
    """The bytes end before the file does."""


class LimitError(NpegError):
    """Refused because of a documented limit."""


class InputError(NpegError):
    """The image or an argument is not usable."""


def warn(text: str) -> None:
    """Warn of something in one line, at the line that called npeg."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
