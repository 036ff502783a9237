"""The errors npeg raises."""


class NpegError(ValueError):
    """Base of every error that npeg raises on purpose; its text is one line for people."""


class FormatError(NpegError):
    """The bytes are not a valid .npeg file."""


class LimitError(NpegError):
    """Refused because of a documented limit."""


class InputError(NpegError):
    """The image or an argument is not usable."""
