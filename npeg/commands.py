"""What the subcommands do: files in, files out, one line a file.

Heavy modules are imported where they are used, so that `npeg --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import (
    batches,
    encode_command,
    files,
    image_files,
    info,
    interrupts,
    limits,
    own_models,
    reading,
    records,
    threads,
)
from .batches import NPEG
from .errors import InputError
from .jobs import Job, Kind, Record

if TYPE_CHECKING:
    from .arrays import Pixels


def run(args: argparse.Namespace) -> int:
    """Do what a subcommand's arguments ask for; return the exit status.

    Raises:
        NpegError: something is wrong with the arguments, whatever the files hold.
    """
    given = {threads.VARIABLE: args.threads, limits.VARIABLE: args.max_pixels}
    with interrupts.prompt(), _environment(given):
        threads.thread_count()  # a wrong variable is said once, before all work
        limits.most_pixels()
        return COMMANDS[args.command](args)


@contextmanager
def _environment(given: dict[str, int | None]) -> Iterator[None]:
    """Set variables that are given, for worker processes too, for a while."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _decode_file(args: argparse.Namespace, job: Job) -> Record:
    start = time.perf_counter()
    from . import transparency

    image_format = image_files.image_format(job.output)
    record, pixels, found = reading.read(args, job, image_format)
    if args.background is not None:
        pixels = transparency.flatten(pixels, args.background)
    if args.enhance:
        pixels = _enhanced(pixels, args)
    found = found.stripped() if args.strip else found
    batches.write(job, image_files.image_file(pixels, image_format, found), args)
    return record | {"seconds": round(time.perf_counter() - start, 4)}


def _enhanced(pixels: Pixels, args: argparse.Namespace) -> Pixels:
    """Enhance decoded colours; alpha stays."""
    from . import transparency
    from .enhance import enhance

    colours, alpha = transparency.split(pixels)
    return transparency.join(enhance(colours, args.enhance, args.strength), alpha)


def _decode(args: argparse.Namespace) -> int:
    """Decode files; what concerns all of them is checked once, before."""
    reading.check(args)
    if args.model is not None:
        own_models.find(args.model)
    if args.enhance:
        from .enhance import find_method

        find_method(args.enhance).strength(args.strength)
    elif args.strength is not None:
        raise InputError("found --strength without --enhance, whose strength it is")
    if args.enhance and args.depth == 16:
        raise InputError("found --depth 16 with --enhance, which works on 8 bits")
    pictures = image_files.extensions()
    kind = Kind(NPEG, ".png", records.job_text, outputs=pictures, refused=NPEG, known=pictures)
    return batches.run(_decode_file, kind, args)


def _enhance_file(args: argparse.Namespace, job: Job) -> Record:
    from .enhance import enhance, find_method
    from .pixels import to_pixels

    start = time.perf_counter()
    image_format = image_files.image_format(job.output)
    strength = find_method(args.method).strength(args.strength)
    with files.open_source(job.source) as file, image_files.open_image(file) as image:
        pixels = enhance(to_pixels(image), args.method, args.strength)
    batches.write(job, image_files.image_file(pixels, image_format), args)
    return {
        "input": job.source,
        "output": job.output,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "method": args.method,
        "strength": strength,
        "seconds": round(time.perf_counter() - start, 4),
    }


def _enhance(args: argparse.Namespace) -> int:
    """Enhance files, or list the methods; what concerns all files is checked once, before."""
    from .enhance import METHODS, find_method

    if args.list:
        for method in METHODS.values():
            command = method.missing()
            what = f"missing: {command}" if command else method.title
            default = "-" if method.default is None else f"{method.default:g}"
            print(f"{method.name:14} {method.kind:12} strength {default:5} {what}")
        return 0
    if not args.inputs:
        raise InputError("found no input, expected files, folders, globs, or -")
    find_method(args.method).strength(args.strength)
    suffix = ".png" if args.out else ".enhanced.png"
    kind = Kind(image_files.extensions(), suffix, records.enhance_text, refused=NPEG, known=NPEG)
    return batches.run(_enhance_file, kind, args)


def _info(args: argparse.Namespace) -> int:
    """Say what files say of themselves."""
    kind = Kind(NPEG, "", records.info_text, known=image_files.extensions())
    return batches.run(_info_file, kind, args)


def _info_file(args: argparse.Namespace, job: Job) -> Record:
    return records.info_record(job, info(reading.read_file(job.source)[1]))


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "encode": encode_command.run,
    "decode": _decode,
    "info": _info,
    "enhance": _enhance,
}
