"""Files of weights: read whole, and only as they were written.

Beside the weights of each folder stands SHA256SUMS, as `sha256sum` writes and checks it.
"""

import io
from hashlib import sha256
from pathlib import Path

from .errors import InputError

SUMS = "SHA256SUMS"


def read(path: Path) -> bytes:
    """Return the bytes of a file of weights.

    Raises:
        InputError: it is missing, unreadable, or has not the hash that its folder states.
    """
    try:
        sums = (path.parent / SUMS).read_text(encoding="ascii")
        data = path.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"found no weights to read, {reason.lower()}: {path}") from error
    if f"{sha256(data).hexdigest()}  {path.name}" not in sums.splitlines():
        raise InputError(f"found other weights than {SUMS} states, install npeg again: {path}")
    return data


def open_arrays(path: Path) -> io.BytesIO:
    """Return a file of arrays for `numpy.load`; see `read`."""
    return io.BytesIO(read(path))


def write_sums(folder: Path) -> None:
    """State the hashes of all files in a folder of weights."""
    paths = sorted(path for path in folder.iterdir() if path.name != SUMS and path.is_file())
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    (folder / SUMS).write_text("".join(lines), encoding="ascii")
