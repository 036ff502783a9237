"""`npeg conformance`: does a decoder give what SPEC.md asks for?

Enters: a command that decodes one file, and a folder of files with a table of what each holds.
Leaves: a line a file. Knows nothing of how files are decoded: the command may be any program.
"""

from __future__ import annotations

import argparse
import csv
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import files
from .errors import InputError, NpegError

if TYPE_CHECKING:
    from .arrays import Samples

FOLDER = Path(__file__).parents[1] / "tests" / "golden"  # in a checkout
TABLE = "conformance.tsv"
NONE = "-"  # in the table: there is no such thing
LEVEL_OF_16 = 257  # what a level of 8 bits is in 16
SECONDS = 600  # that a command may take for a file


@dataclass(frozen=True)
class Row:
    """A line of the table: a file, and what a decoder must make of it."""

    file: str
    width: str
    height: str
    channels: str
    depth: str  # bits a sample of the pixels
    tolerance: str  # largest difference of a pixel, in levels of 8 bits
    symbols: str  # SHA-256 of all integers
    pixels: str  # a PNG file
    why: str  # what the file shows, or why it must be refused

    @property
    def sound(self) -> bool:
        """Whether the file must be decoded; others must be refused."""
        return self.width != NONE


@dataclass(frozen=True)
class Answer:
    """What a command did: its exit status (None: it took too long), and what it printed."""

    status: int | None
    printed: str
    said: str  # to standard error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg conformance`."""
    text = "what decodes one file, in quotes, such as 'npeg decode {file} {output}'"
    parser.add_argument("decoder", metavar="COMMAND", help=text)
    text = "of the files and their table (default: tests/golden beside the package)"
    parser.add_argument("--folder", type=Path, default=FOLDER, metavar="F", help=text)
    text = "COMMAND prints the SHA-256 of all symbols, which is compared, too"
    parser.add_argument("--symbols", action="store_true", help=text)
    text = "files of these names alone, with * and ? as in a shell"
    parser.add_argument("--only", metavar="GLOB", default="*", help=text)


def run(args: argparse.Namespace) -> int:
    """Run a decoder on every file, say what came of it; return 1 if any is not as it must be.

    Raises:
        InputError: there is no such folder or program, or the command names no file.
    """
    template = command_of(args.decoder)
    rows = [row for row in read_table(args.folder) if Path(row.file).match(args.only)]
    if not rows:
        raise InputError(f"found no file in {args.folder} that matches {args.only}")
    failed = 0
    for row in rows:
        fault, told = judged(row, template, args.folder, args.symbols)
        failed += bool(fault)
        files.say(
            f"FAILED  {row.file}: {fault}" if fault else f"passed  {row.file}: {told}", sys.stdout
        )
    files.say(f"{len(rows)} files: {len(rows) - failed} passed, {failed} failed", sys.stdout)
    return 1 if failed else 0


def command_of(template: str) -> list[str]:
    """Return the words of a command that has a place for each file's name and its output's."""
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"found {template!r}, which is no command: {error}") from None
    for name in ("{file}", "{output}"):
        if not any(name in word for word in words):
            raise InputError(f"found no {name} in {template!r}")
    return words


def read_table(folder: Path) -> list[Row]:
    """Return the rows of a folder's table."""
    try:
        with open(folder / TABLE, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [Row(**line) for line in lines]
    except OSError:
        hint = "--folder: a folder of such files, as tests/golden in npeg's repository"
        raise InputError(f"found no {TABLE} in {folder}; {hint}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"found a damaged {folder / TABLE}: {error}") from None


def judged(row: Row, template: list[str], folder: Path, symbols: bool) -> tuple[str, str]:
    """Return what is wrong with what a decoder makes of a file, else nothing and what is right."""
    with tempfile.TemporaryDirectory() as where:
        output = Path(where) / f"{Path(row.file).stem}.png"
        answer = answer_of(template, folder / row.file, output)
        if answer.status is None:
            return f"took more than {SECONDS} seconds", ""
        if not row.sound:
            return fault_of_refusal(row, answer, output), f"refused: {row.why}"
        if answer.status or not output.exists():
            said = (answer.said.strip().splitlines() or ["nothing said"])[-1]
            return f"not decoded, exit status {answer.status}: {said}", ""
        if symbols and row.symbols not in re.findall(r"\b[0-9a-f]{64}\b", answer.printed):
            return "other symbols", ""
        fault, told = compared(row, output, folder)
        return fault, f"symbols equal, {told}" if symbols else told


def answer_of(template: list[str], file: Path, output: Path) -> Answer:
    """Run a command on a file."""
    names = {"{file}": str(file), "{output}": str(output)}
    words = [re.sub(r"\{file\}|\{output\}", lambda m: names[m[0]], word) for word in template]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(None, "", "")
    except OSError as error:
        raise InputError(f"cannot run {words[0]!r}: {error.strerror}") from None
    return Answer(
        done.returncode, *(text.decode(errors="replace") for text in (done.stdout, done.stderr))
    )


def fault_of_refusal(row: Row, answer: Answer, output: Path) -> str:
    """Return what is wrong with how a decoder refused a file; nothing if nothing is."""
    if answer.status == 0:
        return f"not refused: {row.why}"
    if answer.status is not None and answer.status < 0:
        return f"ended by signal {-answer.status}: {row.why}"
    return f"an output file is there: {row.why}" if output.exists() else ""


def compared(row: Row, output: Path, folder: Path) -> tuple[str, str]:
    """Return what is wrong with a decoder's pixels, else nothing and how near they are."""
    try:
        found = read_pixels(output)
    except (NpegError, OSError) as error:
        return f"the output is not read: {error}", ""
    expected = f"{row.width}x{row.height}x{row.channels}"
    if shape_of(found) != expected:
        return f"{shape_of(found)} pixels, expected {expected}", ""
    if row.pixels == NONE:
        return "", "pixels not compared"
    off, most = difference(found, read_pixels(folder / row.pixels)), float(row.tolerance)
    if off > most:
        return f"a pixel is off by {off:.3g} levels, at most {most:g} are allowed", ""
    return "", f"pixels within {off:.3g} of {most:g} levels"


def read_pixels(path: Path) -> Samples:
    """Return the pixels of an image file, (H, W) or (H, W, C), of 8 or 16 bits."""
    from . import image_files, pixels

    with open(path, "rb") as file:
        return pixels.to_picture(image_files.open_image(file), strip=True).pixels


def shape_of(samples: Samples) -> str:
    """Return the size of pixels in words: width, height, channels."""
    height, width, *channels = samples.shape
    return f"{width}x{height}x{channels[0] if channels else 1}"


def difference(found: Samples, expected: Samples) -> float:
    """Return the largest difference of two pictures, in levels of 8 bits.

    Where one has 16 bits a sample and the other has 8, they are compared with 8.
    """
    deep = [samples.itemsize == 2 for samples in (found, expected)]
    first, second = (samples.astype("int64") for samples in (found, expected))
    if all(deep):
        return float(abs(first - second).max() / LEVEL_OF_16)
    if deep[0]:
        first = (first + LEVEL_OF_16 // 2) // LEVEL_OF_16
    if deep[1]:
        second = (second + LEVEL_OF_16 // 2) // LEVEL_OF_16
    return float(abs(first - second).max())
