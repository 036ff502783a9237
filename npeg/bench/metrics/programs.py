"""Programs of others that measure for us: found, run, and their answers read."""

import re
import subprocess
from collections.abc import Sequence

from npeg.errors import NpegError


def run_program(command: Sequence[str], data: bytes = b"") -> str:
    """Run a program with bytes on its standard input; return all that it wrote.

    Raises NpegError with the last line that it wrote if it fails.
    """
    done = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        last = text.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise NpegError(f"{command[0]} failed: {last[0]}")
    return text


def read_number(pattern: str, text: str) -> float:
    """Return the number that a pattern's group finds.

    Raises NpegError if there is none.
    """
    found = re.search(pattern, text)
    if found is None:
        raise NpegError(f"found no {pattern.partition(':')[0]} in what the program wrote")
    return float(found[1])
