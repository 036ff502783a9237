"""What is said of a file that is not decoded."""


class Refused(Exception):
    """A file must not be decoded, and why: one line."""


def need(holds: bool, reason: str) -> None:
    """Go on if something holds, else refuse the file for a reason."""
    if not holds:
        raise Refused(reason)
