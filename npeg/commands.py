"""What the subcommands do: files in, files out, one line a file.

Heavy modules are imported where they are used, so that `npeg --help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from . import (
    bars,
    encode,
    files,
    image_files,
    info,
    interrupts,
    jobs,
    limits,
    reading,
    records,
    threads,
)
from .errors import InputError
from .files import STREAM
from .jobs import Job, Kind, Record

if TYPE_CHECKING:
    from PIL.Image import Image

    from .arrays import Pixels

NPEG = (".npeg",)
UNREAD = (".heic", ".heif", ".jxl")  # names of pictures all the same


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


# --- many files ---


def _run(work: Callable[..., Record], kind: Kind, args: argparse.Namespace) -> int:
    """Do one job for each input, report each in one line, return the exit status."""
    _take_two_names(args, kind)
    _check_output_name(args.out, kind)
    planned, left_out = jobs.plan(args.inputs, args.out, kind, args.force, args.skip_existing)
    args.alone = len(planned) == 1
    to_stdout = any(job.output == STREAM for job in planned)
    if to_stdout:
        files.check_output_stream()
    stream = sys.stderr if to_stdout else sys.stdout
    failed = skipped = 0
    with (
        bars.of_files(len(planned), args.quiet) as bar,
        closing(jobs.run(partial(work, args), planned, args.jobs)) as outcomes,
    ):
        say = partial(files.say, write=bar.write) if bar else files.say
        for outcome in outcomes:
            for line in records.complaints(outcome, args.quiet):
                say(line, sys.stderr)
            if args.json:
                say(json.dumps(records.json_record(outcome)), stream)
            elif outcome.record and not args.quiet:
                say(kind.text(outcome.record), stream)
            failed += bool(outcome.error)
            skipped += outcome.job.skipped
            if bar:
                bar.update()
    if not args.quiet:
        for line in records.summary(len(planned), failed, skipped, args.skip_existing, left_out):
            files.say(line, sys.stderr)
    return int(failed > 0)


def _take_two_names(args: argparse.Namespace, kind: Kind) -> None:
    """Read `IN OUT` as `IN -o OUT` where the second name can only be an output's.

    Raises:
        InputError: it can only be an output's, but there is no one input before it.
    """
    *before, last = args.inputs
    is_output = bool(before) and last.lower().endswith(kind.outputs) and not os.path.isdir(last)
    if not is_output or all(name.lower().endswith(kind.outputs) for name in before):
        return
    if args.out is not None:
        raise InputError(f"found two outputs, {last} and -o {args.out}, expected one")
    if len(before) > 1 or os.path.isdir(before[0]):
        raise InputError(f"found several inputs before the output {last}, expected -o FOLDER")
    args.inputs, args.out = before, last


def _check_output_name(out: str | None, kind: Kind) -> None:
    """Refuse an output whose name says that it is something else.

    Raises:
        InputError: such as a picture's name for what encode writes.
    """
    if out and out.lower().endswith(kind.refused) and not os.path.isdir(out):
        extension = os.path.splitext(out)[1]
        what = f"expected {kind.suffix}" if kind.suffix else "expected none"
        raise InputError(f"found the output {out}, whose name ends in {extension}, {what}")


# --- one file ---


def _encode(args: argparse.Namespace) -> int:
    """Encode files; what concerns all of them is checked once, before."""
    if args.codec == "dither" and args.quality is not None:
        raise InputError("found a quality for dither, which has one rate: leave -q out")
    if args.codec != "npeg":
        for name in ("effort", "tune"):
            if getattr(args, name) is not None:
                raise InputError(f"found --{name} for {args.codec}, which has one: leave it out")
        if args.lossless or args.alpha_quality is not None:
            name = "--lossless" if args.lossless else "--alpha-quality"
            raise InputError(f"found {name} for {args.codec}, which has none")
        if args.ssimulacra2 is not None:
            raise InputError(f"found a target for {args.codec}, which takes none")
    pictures = image_files.PICTURES
    refused = (*pictures, *UNREAD)
    suffix = "-1.npeg" if args.all_frames else ".npeg"
    kind = Kind(pictures, suffix, records.job_text, outputs=NPEG, refused=refused, known=NPEG)
    return _run(_encode_file, kind, args)


def _encode_file(args: argparse.Namespace, job: Job) -> Record:
    from . import inputs

    start = time.perf_counter()
    with files.open_source(job.source) as file:
        if args.all_frames or args.frame is not None or args.ssimulacra2 is not None:
            with image_files.open_image(file) as image:
                if args.all_frames:
                    return _encode_frames(args, job, image, start)
                if args.frame is not None:
                    image_files.seek(image, args.frame)
                with _knowing_frames(args.frame is not None):
                    data = _encoded(args, image)
        else:
            data = _encoded(args, file)  # whose pixels need not be in memory as an image, too
    _write(job, data, args)
    _warn_if_larger(job, len(data))
    return records.record(job, inputs.read_header(data), len(data), start)


def _encode_frames(args: argparse.Namespace, job: Job, image: Image, start: float) -> Record:
    """Write each frame or page to a file of its own."""
    from . import inputs

    if job.output == STREAM:
        raise InputError("found - as the output of all frames, expected a name for their files")
    outputs, sizes = [], []
    for number in range(1, image_files.frames(image) + 1):
        image_files.seek(image, number)
        output = f"{re.sub(r'(-1)?[.]npeg$', '', job.output)}-{number}.npeg"
        with _knowing_frames(True):
            data = _encoded(args, image)
        _write(job._replace(output=output), data, args)
        outputs.append(output)
        sizes.append(len(data))
    first, header = job._replace(output=outputs[0]), inputs.read_header(data)
    record = records.record(first, header, sum(sizes), start)
    record["rate_bpp"] = round(record["rate_bpp"] / len(outputs), 6)
    return record | {"outputs": outputs}


def _encoded(args: argparse.Namespace, image: Image | BinaryIO) -> bytes:
    """Return the .npeg file of an opened image or an image file, by a command's arguments."""
    quality = 75.0 if args.quality is None else args.quality
    effort, tune = 1 if args.effort is None else args.effort, args.tune or "visual"
    target = {name: getattr(args, name) for name in ("bpp", "size", "psnr")}
    with bars.of_image(args, args.ssimulacra2 is not None or any(target.values())):
        if args.ssimulacra2 is not None:
            from .encoder_rule import EncoderOptions
            from .scores import quality_of

            quality = quality_of(image, args.ssimulacra2, EncoderOptions(effort, tune))
        more = {"codec": args.codec, "strip": args.strip, "background": args.background}
        more |= {"lossless": args.lossless}
        if args.alpha_quality is not None:
            more["alpha_quality"] = args.alpha_quality
        return encode(image, quality, **target, effort=effort, tune=tune, **more)


@contextmanager
def _knowing_frames(chosen: bool) -> Iterator[None]:
    """Do not warn of frames that are left out where the user has chosen."""
    with warnings.catch_warnings():
        if chosen:
            warnings.filterwarnings("ignore", message="one of .* frames is stored")
        yield


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
    _write(job, image_files.image_file(pixels, image_format, found), args)
    return record | {"seconds": round(time.perf_counter() - start, 4)}


def _enhanced(pixels: Pixels, args: argparse.Namespace) -> Pixels:
    """Enhance decoded colours; alpha stays."""
    from . import transparency
    from .enhance import enhance

    colours, alpha = transparency.split(pixels)
    return transparency.join(enhance(colours, args.enhance, args.strength), alpha)


def _write(job: Job, data: bytes, args: argparse.Namespace) -> None:
    """Write the output of a job."""
    like = job.source if args.preserve and job.source != STREAM else None
    files.write(job.output, data, args.force, like)


def _warn_if_larger(job: Job, size_bytes: int) -> None:
    """Say that a file has become larger than what it was made of."""
    with suppress(OSError):
        if os.path.isfile(job.source) and size_bytes > (before := os.path.getsize(job.source)):
            text = f"the output is larger, {size_bytes} bytes, than its source, {before} bytes"
            warnings.warn(text, UserWarning, stacklevel=2)


def _decode(args: argparse.Namespace) -> int:
    """Decode files; what concerns all of them is checked once, before."""
    reading.check(args)
    if args.enhance:
        from .enhance import find_method

        find_method(args.enhance).strength(args.strength)
    elif args.strength is not None:
        raise InputError("found --strength without --enhance, whose strength it is")
    if args.enhance and args.depth == 16:
        raise InputError("found --depth 16 with --enhance, which works on 8 bits")
    pictures = image_files.PICTURES
    kind = Kind(NPEG, ".png", records.job_text, outputs=pictures, refused=NPEG, known=pictures)
    return _run(_decode_file, kind, args)


def _enhance_file(args: argparse.Namespace, job: Job) -> Record:
    from .enhance import enhance, find_method
    from .pixels import to_pixels

    start = time.perf_counter()
    image_format = image_files.image_format(job.output)
    strength = find_method(args.method).strength(args.strength)
    with files.open_source(job.source) as file, image_files.open_image(file) as image:
        pixels = enhance(to_pixels(image), args.method, args.strength)
    _write(job, image_files.image_file(pixels, image_format), args)
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
    kind = Kind(image_files.PICTURES, suffix, records.enhance_text, refused=NPEG, known=NPEG)
    return _run(_enhance_file, kind, args)


def _info(args: argparse.Namespace) -> int:
    """Say what files say of themselves."""
    return _run(_info_file, Kind(NPEG, "", records.info_text, known=image_files.PICTURES), args)


def _info_file(args: argparse.Namespace, job: Job) -> Record:
    return records.info_record(job, info(reading.read_file(job.source)[1]))


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "encode": _encode,
    "decode": _decode,
    "info": _info,
    "enhance": _enhance,
}
