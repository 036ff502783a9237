"""The `npeg` command: arguments in, files, one line a file and an exit status out.

Heavy modules are imported where they are used, so that `npeg --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from . import __version__, decode, encode, image_files, info, jobs, metadata
from .errors import InputError, LimitError, NpegError
from .jobs import STREAM, Job, Outcome, Record

if TYPE_CHECKING:
    from .container import Header
    from .dither.container import Header as DitherHeader

    AnyHeader = Header | DitherHeader

EXTRAS = {  # subcommand -> (help, cheap module with add_arguments(parser) and run(args) -> int)
    "train": ("train networks on folders of images", "npeg.training.options_train"),
    "export": ("turn a training checkpoint into networks", "npeg.training.options_export"),
    "bench": ("compare with other codecs", "npeg.bench.options"),
}
SIZE_UNITS = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "kib": 2**10, "mib": 2**20}


def main(argv: list[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process).

    Returns:
        The exit status: 0, 1 when something failed, 130 when interrupted; usage errors exit 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may not be text
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parser(argv).parse_args(argv)
        status: int = args.run(args)
        sys.stdout.flush()
    except NpegError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torch":
            raise
        return _fail('training needs PyTorch: pip install "npeg[train]"')
    except KeyboardInterrupt:
        return _fail("interrupted", status=130)  # 128 + SIGINT, as shells count
    except BrokenPipeError:  # the reader has left; Python would fail once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _fail(message: str, status: int = 1) -> int:
    print(f"npeg: {_one_line(message)}", file=sys.stderr)
    return status


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- what the subcommands do ---


def _run(work: Callable[..., Record], kind: Kind, args: argparse.Namespace) -> int:
    """Do one job for each input, report each in one line, return the exit status."""
    planned = jobs.plan(args.inputs, args.out, kind.extensions, kind.suffix, args.force)
    to_stdout = any(job.output == STREAM for job in planned)
    if to_stdout and sys.stdout.isatty():
        raise InputError("found a terminal as standard output, expected a pipe or -o OUT")
    stream = sys.stderr if to_stdout else sys.stdout
    failed = False
    with _progress(len(planned), args.quiet) as bar:
        say = bar.write if bar else print
        for outcome in jobs.run(partial(work, args), planned, args.jobs):
            for line in _complaints(outcome, args.quiet):
                say(line, file=sys.stderr)
            if outcome.record and (args.json or not args.quiet):
                text = json.dumps(outcome.record) if args.json else kind.text(outcome.record)
                say(text, file=stream)
            stream.flush()
            failed = failed or bool(outcome.error)
            if bar:
                bar.update()
    return int(failed)


def _progress(total: int, quiet: bool) -> AbstractContextManager[Any]:
    """Return a progress bar on stderr, or nothing where nobody would watch it."""
    if quiet or total < 2 or not sys.stderr.isatty():
        return nullcontext()
    from tqdm import tqdm

    bar: AbstractContextManager[Any] = tqdm(total=total, unit="file", leave=False)
    return bar


def _complaints(outcome: Outcome, quiet: bool) -> list[str]:
    name = outcome.job.source
    if outcome.error:
        return [_one_line(f"npeg: {name}: {outcome.error}")]
    return [_one_line(f"npeg: warning: {name}: {text}") for text in outcome.warnings if not quiet]


def _encode_file(args: argparse.Namespace, job: Job) -> Record:
    start = time.perf_counter()
    if args.codec == "dither" and args.quality is not None:
        raise InputError("found a quality for dither, which has one rate: leave -q out")
    if args.codec != "npeg" and args.effort is not None:
        raise InputError(f"found an effort for {args.codec}, which has one: leave -e out")
    if args.codec != "npeg" and args.tune is not None:
        raise InputError(f"found a tune for {args.codec}, which has one: leave --tune out")
    quality = 75.0 if args.quality is None else args.quality
    effort = 1 if args.effort is None else args.effort
    choices = {"bpp": args.bpp, "size": args.size, "psnr": args.psnr, "tune": args.tune or "visual"}
    with jobs.open_source(job.source) as file, image_files.open_image(file) as image:
        data = encode(image, quality, **choices, effort=effort, codec=args.codec, strip=args.strip)
    jobs.write(job.output, data, args.force)
    return _record(job, _read_header(data), len(data), start)


def _decode_file(args: argparse.Namespace, job: Job) -> Record:
    start = time.perf_counter()
    image_format = image_files.image_format(job.output)
    header, data = _read_npeg(job.source)
    pixels = decode(data)
    if args.enhance:
        from .enhance import enhance

        pixels = enhance(pixels, args.enhance, args.strength)
    found = metadata(data).stripped() if args.strip else metadata(data)
    jobs.write(job.output, image_files.image_file(pixels, image_format, found), args.force)
    return _record(job, header, len(data), start)


def _decode(args: argparse.Namespace) -> int:
    """Decode files; what concerns all of them is checked once, before."""
    if args.enhance:
        from .enhance import find_method

        find_method(args.enhance).strength(args.strength)
    elif args.strength is not None:
        raise InputError("found --strength without --enhance, whose strength it is")
    return _run(_decode_file, Kind((".npeg",), ".png", _job_text), args)


def _enhance_file(args: argparse.Namespace, job: Job) -> Record:
    from .enhance import enhance, find_method
    from .pixels import to_pixels

    start = time.perf_counter()
    image_format = image_files.image_format(job.output)
    strength = find_method(args.method).strength(args.strength)
    with jobs.open_source(job.source) as file, image_files.open_image(file) as image:
        pixels = enhance(to_pixels(image), args.method, args.strength)
    jobs.write(job.output, image_files.image_file(pixels, image_format), args.force)
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
    kind = Kind(image_files.PICTURES, ".png" if args.out else ".enhanced.png", _enhance_text)
    return _run(_enhance_file, kind, args)


def _info_file(args: argparse.Namespace, job: Job) -> Record:
    _, data = _read_npeg(job.source)
    found = info(data)
    return {
        "input": job.source,
        "size_bytes": found.size_bytes,
        "rate_bpp": round(found.rate_bpp, 6),
        **vars(found.header),
        "quality": found.header.quality,
        "tiles": found.header.tiles,
        "sections": [vars(section) for section in found.sections],
        "metadata": list(found.metadata),
    }


def _record(job: Job, header: AnyHeader, size_bytes: int, start: float) -> Record:
    """Return what is known of a done job; the size and rate are those of the .npeg file."""
    return {
        "input": job.source,
        "output": job.output,
        "size_bytes": size_bytes,
        "rate_bpp": round(8 * size_bytes / (header.width * header.height), 6),
        "width": header.width,
        "height": header.height,
        "quality": header.quality,
        "seconds": round(time.perf_counter() - start, 4),
    }


def _job_text(record: Record) -> str:
    return (
        f"{record['input']} -> {record['output']}  {_size_text(record['size_bytes'])}  "
        f"{record['rate_bpp']:.2f} bpp  quality {record['quality']:g}  {record['seconds']:.2f} s"
    )


def _enhance_text(record: Record) -> str:
    return (
        f"{record['input']} -> {record['output']}  {record['width']}x{record['height']}  "
        f"{record['method']} {record['strength']:g}  {record['seconds']:.2f} s"
    )


def _info_text(record: Record) -> str:
    tiles = f"{record['tiles']} tile{'s' if record['tiles'] > 1 else ''}"
    planes, number = record.get("planes"), record.get("variant_id", record.get("model_id"))
    model = f"dither variant {number}, {planes} planes" if planes else f"model {number}"
    return (
        f"{record['input']}  {record['width']}x{record['height']} "
        f"{'RGB' if record['channels'] == 3 else 'grey'}  {_size_text(record['size_bytes'])}  "
        f"{record['rate_bpp']:.2f} bpp  quality {record['quality']:g}  {tiles}  "
        f"{model}  version {record['version']}"
        f"{''.join(f'  {name}' for name in record['metadata'])}"
    )


def _size_text(size_bytes: int) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} B"


# --- .npeg files, read with care ---


def _read_header(data: bytes) -> AnyHeader:
    """Read the header of a .npeg file, npeg's own or that of a dither codec."""
    from . import container, dither

    return (
        dither.container.read_header(data) if dither.is_file(data) else container.read_header(data)
    )


def _read_npeg(source: str) -> tuple[AnyHeader, bytes]:
    """Read a .npeg file, no further than a file with such a header can be long."""
    from .container import HEADER_SIZE, MOST_METADATA

    with jobs.open_source(source) as file:
        parts = [file.read(HEADER_SIZE)]  # a dither file's header has no more bytes
        header = _read_header(parts[0])
        left = header.most_bytes + MOST_METADATA
        while part := file.read(1 << 20):
            parts.append(part)
            left -= len(part)
            if left < 0:
                size = f"{header.width}x{header.height}"
                raise LimitError(f"found a far longer file than {size} pixels need")
    return header, b"".join(parts)


# --- arguments ---


class Kind(NamedTuple):
    """How a subcommand finds its inputs, names its outputs and words its records."""

    extensions: tuple[str, ...]
    suffix: str
    text: Callable[[Record], str]


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="npeg", description="A neural image codec: images to small .npeg files and back."
    )
    parser.add_argument("--version", action="version", version=f"npeg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_encode(commands.add_parser("encode", help="images to .npeg files"))
    _add_decode(commands.add_parser("decode", help=".npeg files to images"))
    _add_info(commands.add_parser("info", help="what .npeg files say of themselves"))
    _add_enhance(commands.add_parser("enhance", help="restore images, or make them look better"))
    named = next((arg for arg in argv if not arg.startswith("-")), "")
    for name, (text, module_name) in EXTRAS.items():
        if not _exists(module_name):
            continue
        extra = commands.add_parser(name, help=text)
        if name == named:
            module = importlib.import_module(module_name)
            module.add_arguments(extra)
            extra.set_defaults(run=module.run)
    return parser


def _exists(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def _add_encode(parser: argparse.ArgumentParser) -> None:
    _add_names(parser, "the input's name with .npeg")
    codecs = ("npeg", "dither", "dither8")
    parser.add_argument("--codec", choices=codecs, default="npeg", help="default npeg")
    rate = parser.add_mutually_exclusive_group()
    add = rate.add_argument
    add("-q", "--quality", type=_quality, metavar="0..100", help="default 75")
    add("--bpp", type=_positive, metavar="F", help="best file of at most F bits a pixel")
    add("--size", type=_size, metavar="N", help="best file of at most N bytes, 40kB or 1.5MB")
    add("--psnr", type=_positive, metavar="DB", help="smallest file of at least DB RGB PSNR")
    text = "0: in one pass; 1: smaller files in over twice the time (default 1)"
    parser.add_argument("-e", "--effort", type=int, choices=(0, 1), help=text)
    text = "visual: smallest that looks as good; psnr: smallest at equal PSNR, to be measured by"
    parser.add_argument("--tune", choices=("visual", "psnr"), help=f"{text} (default visual)")
    _add_strip(parser)
    _add_switches(parser)
    parser.set_defaults(
        run=partial(_run, _encode_file, Kind(image_files.PICTURES, ".npeg", _job_text))
    )


def _add_decode(parser: argparse.ArgumentParser) -> None:
    _add_names(parser, "the input's name with .png; its extension chooses the image format")
    _add_strip(parser)
    _add_switches(parser)
    parser.add_argument("--enhance", metavar="NAME", help="then apply this method of npeg enhance")
    _add_strength(parser)
    parser.set_defaults(run=_decode)


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files, folders, globs, or - alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    run = partial(_run, _info_file, Kind((".npeg",), "", _info_text))
    parser.set_defaults(run=run, out=None, force=False, jobs=1, quiet=False)


def _add_enhance(parser: argparse.ArgumentParser) -> None:
    _add_names(parser, "the input's name with .enhanced.png", nargs="*")
    add = parser.add_argument
    add("-m", "--method", default="restorer", metavar="NAME", help="default restorer")
    _add_strength(parser)
    add("--list", action="store_true", help="list the methods, and how to install missing ones")
    _add_switches(parser)
    parser.set_defaults(run=_enhance)


def _add_strip(parser: argparse.ArgumentParser) -> None:
    text = "leave out EXIF, XMP and all other metadata but the colour profile"
    parser.add_argument("--strip", action="store_true", help=text)


def _add_strength(parser: argparse.ArgumentParser) -> None:
    text = "of the enhancement (default: its own, see npeg enhance --list)"
    parser.add_argument("--strength", type=_share, metavar="0..1", help=text)


def _add_names(parser: argparse.ArgumentParser, default: str, nargs: str = "+") -> None:
    add = parser.add_argument
    add("inputs", nargs=nargs, metavar="IN", help="files, folders, globs, or - for standard input")
    add("-o", "--out", metavar="OUT", help=f"file, folder, or - (default: {default})")


def _add_switches(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--force", action="store_true", help="overwrite existing files")
    add("-j", "--jobs", type=_count, default=1, metavar="N", help="files at a time (default 1)")
    add("--json", action="store_true", help="print one JSON object a file")
    add("--quiet", action="store_true", help="print errors only")


def _number(text: str, low: float, high: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return value


def _quality(text: str) -> float:
    return _number(text, 0, 100, "a number from 0 to 100")


def _share(text: str) -> float:
    return _number(text, 0, 1, "a number from 0 to 1")


def _positive(text: str) -> float:
    return _number(text, sys.float_info.min, sys.float_info.max, "a number above 0")


def _count(text: str) -> int:
    return int(_number(text, 1, 256, "1 to 256"))


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9.]+) ?([a-z]*)", text.lower())
    number, unit = match.groups() if match else ("", "")
    factor = SIZE_UNITS.get(unit, 0)
    return int(factor * _number(number if factor else text, 1 / 1024, 1e9, "such as 40000 or 40kB"))
