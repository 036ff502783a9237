"""The arguments of each subcommand, and the values that they take.

Knows no work: `npeg.cli` says what is run.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import Any

from . import files
from .limits import DEFAULT as MOST_BY_DEFAULT
from .limits import MOST as MOST_PIXELS
from .threads import MOST

SCALES = {"1/4": 4, "1/8": 8, "1/16": 16}
SIZE_UNITS = {
    **{"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9},
    **{"kib": 2**10, "mib": 2**20, "gib": 2**30},
}
EXAMPLES = {
    "": """
  npeg encode photo.jpg                    photo.npeg, quality 75
  npeg decode photo.npeg                   photo.png
  npeg encode holiday/ -o archive/ -j 2    a folder, two pictures at a time
""",
    "encode": """
  npeg encode photo.jpg                    photo.npeg, quality 75
  npeg encode photo.jpg small.npeg -q 40
  npeg encode photo.jpg --size 40kB        the best file of at most 40 kB
  npeg encode holiday/ -o archive/ -j 2    the same again goes on where it stopped
  npeg encode logo.png --lossless          every pixel stays as it is
  cat photo.png | npeg encode - > photo.npeg
""",
    "decode": """
  npeg decode photo.npeg                   photo.png
  npeg decode photo.npeg photo.jpg
  npeg decode large.npeg --crop 4000,2000,512,512
  npeg decode photo.npeg --depth 16        a PNG file of 16 bits a sample
  npeg decode archive/ -o pictures/ -j 2
  npeg decode - < photo.npeg > photo.png
""",
    "info": """
  npeg info photo.npeg
  npeg info archive/ --json
""",
    "view": """
  npeg view photo.npeg                     beside any other picture, zoomed to pixels
  npeg view photo.npeg photo.jpg
""",
    "serve": """
  npeg serve                               a page that encodes, decodes and compares
  npeg serve holiday/ --no-browser --port 8000
""",
    "enhance": """
  npeg enhance photo.jpg                   photo.enhanced.png, restored
  npeg enhance photo.jpg -m NAME -o other.png
  npeg enhance --list
""",
}
ENVIRONMENT = f"""
environment (an empty variable is as good as none):
  NPEG_THREADS     threads of the networks, 1 to {MOST} (default: all cores; --threads goes before)
  NPEG_MAX_PIXELS  pixels an image may have (default {MOST_BY_DEFAULT}; --max-pixels goes before)
  NPEG_MODELS      folders of models of your own, where files find them
  NPEG_CIFAR10     where the teaching program finds its pictures, a folder or an archive
"""


class Parser(argparse.ArgumentParser):
    """A parser that does not keep to itself that its help cannot be printed."""

    def _print_message(self, message: str, file: Any = None) -> None:
        files.say(message, file or sys.stderr, end="")


def dress(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Let a parser's --help end with examples and the environment; return it.

    Args:
        parser: the command's or a subcommand's.
        name: of the subcommand, empty for the command.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    variables = ENVIRONMENT if name != "info" else ""
    parser.epilog = f"examples:{EXAMPLES[name]}{variables}".rstrip()
    return parser


def add_encode(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg encode`."""
    _add_names(parser, "the input's name with .npeg", "; after one file also its output.npeg")
    codecs = ("npeg", "dither", "dither8")
    parser.add_argument("--codec", choices=codecs, default="npeg", help="default npeg")
    rate = parser.add_mutually_exclusive_group()
    add = rate.add_argument
    add("-q", "--quality", type=_quality, metavar="0..100", help="default 75")
    add("--bpp", type=_positive, metavar="F", help="best file of at most F bits a pixel")
    add("--size", type=size, metavar="N", help="best file of at most N bytes, 40kB or 1.5MB")
    add("--psnr", type=_positive, metavar="DB", help="smallest file of at least DB RGB PSNR")
    text = "smallest file of at least this score, 70 for high quality"
    add("--ssimulacra2", type=_score, metavar="S", help=text)
    text = "0: in one pass; 1: smaller files in over twice the time (default 1)"
    parser.add_argument("-e", "--effort", type=int, choices=(0, 1), help=text)
    text = "visual: smallest that looks as good; psnr: smallest at equal PSNR, to be measured by"
    parser.add_argument("--tune", choices=("visual", "psnr"), help=f"{text} (default visual)")
    text = "every pixel comes back as it was; no quality, no target"
    rate.add_argument("--lossless", action="store_true", help=text)
    text = "100: alpha stays as it is (default); less: smaller, down to 16 levels"
    parser.add_argument("--alpha-quality", type=_quality, metavar="0..100", help=text)
    text = "folder of a model of your own, by npeg export, with the tune that it was trained for"
    parser.add_argument("--model", metavar="DIR", help=text)
    _add_background(parser)
    frames = parser.add_mutually_exclusive_group().add_argument
    text = "of an animation or of several pages, take this one (default 1)"
    frames("--frame", type=_frame, metavar="N", help=text)
    text = "take all of them, each into a file of its own: NAME-1.npeg, NAME-2.npeg, ..."
    frames("--all-frames", action="store_true", help=text)
    _add_strip(parser)
    _add_switches(parser)


def add_decode(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg decode`."""
    text = "the input's name with .png; its extension chooses the image format"
    _add_names(parser, text, "; after one file also its output.png")
    text = "decode a rectangle of these pixels alone, from those tiles that it needs"
    parser.add_argument("--crop", type=_rectangle, metavar="X,Y,W,H", help=text)
    text = "folder of the model that files need where npeg has it not"
    parser.add_argument("--model", metavar="DIR", help=text)
    text = "bits a sample of the output (default: 16 of a deeper source, into PNG, TIFF and PPM)"
    parser.add_argument("--depth", type=int, choices=(8, 16), help=text)
    text = "a small picture, from the first bytes of the file: 1/4, 1/8 or 1/16 of its size"
    parser.add_argument("--scale", type=_scale, metavar="1/N", help=text)
    text = "of a file that is cut, show what has arrived"
    parser.add_argument("--allow-partial", action="store_true", help=text)
    _add_background(parser)
    _add_strip(parser)
    _add_switches(parser)
    parser.add_argument("--enhance", metavar="NAME", help="then apply this method of npeg enhance")
    _add_strength(parser)


def _add_background(parser: argparse.ArgumentParser) -> None:
    text = "put what is transparent in front of a colour, such as white or #rrggbb"
    parser.add_argument("--background", metavar="COLOUR", help=text)


def _add_strip(parser: argparse.ArgumentParser) -> None:
    text = "leave out EXIF, XMP and all other metadata but the colour profile"
    parser.add_argument("--strip", action="store_true", help=text)


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg info`."""
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files, folders, globs, or - alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    add = parser.add_argument
    add("--quiet", action="store_true", help="print errors only")
    _add_limit(parser)
    parser.set_defaults(out=None, force=False, skip_existing=False, jobs=1, threads=None)


def add_enhance(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg enhance`."""
    _add_names(parser, "the input's name with .enhanced.png")
    add = parser.add_argument
    add("-m", "--method", default="restorer", metavar="NAME", help="default restorer")
    _add_strength(parser)
    add("--list", action="store_true", help="list the methods, and how to install missing ones")
    _add_switches(parser)


def _add_strength(parser: argparse.ArgumentParser) -> None:
    text = "of the enhancement (default: its own, see npeg enhance --list)"
    parser.add_argument("--strength", type=_share, metavar="0..1", help=text)


def _add_names(parser: argparse.ArgumentParser, default: str, second: str = "") -> None:
    add, nargs = parser.add_argument, "+" if second else "*"
    inputs = f"files, folders, globs, or - for standard input{second}"
    add("inputs", nargs=nargs, metavar="IN", help=inputs)
    add("-o", "--out", metavar="OUT", help=f"file, folder, or - (default: {default})")


def _add_switches(parser: argparse.ArgumentParser) -> None:
    existing = parser.add_mutually_exclusive_group().add_argument
    existing("-f", "--force", action="store_true", help="overwrite existing files")
    text = "go on where a batch stopped (folders do so anyway)"
    existing("--skip-existing", action="store_true", help=text)
    add = parser.add_argument
    text = "give outputs the times and the mode of their inputs"
    add("-p", "--preserve", action="store_true", help=text)
    add("-j", "--jobs", type=_count, default=1, metavar="N", help="files at a time (default 1)")
    text = "threads of the networks, over all files at a time (default: all cores)"
    add("--threads", type=_threads, metavar="N", help=text)
    text = "what does the files: processes of this machine (default), or Dask's workers"
    add("--engine", choices=("processes", "dask"), default="processes", help=text)
    text = "of the Dask cluster, tcp://host:8786 (default: --jobs workers of this machine)"
    add("--scheduler", metavar="ADDRESS", help=text)
    add("--json", action="store_true", help="print one JSON object a file, errors too")
    add("--quiet", action="store_true", help="print errors only")
    _add_limit(parser)


def _add_limit(parser: argparse.ArgumentParser) -> None:
    text = f"refuse images of more pixels (default {MOST_BY_DEFAULT})"
    parser.add_argument("--max-pixels", type=_pixels, metavar="N", help=text)


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


def _score(text: str) -> float:
    return _number(text, -sys.float_info.max, 100, "a score up to 100")


def _threads(text: str) -> int:
    return _whole(text, MOST)


def _frame(text: str) -> int:
    return _whole(text, 1 << 20)


def _count(text: str) -> int:
    return _whole(text, 256)


def _pixels(text: str) -> int:
    return _whole(text, MOST_PIXELS)


def _rectangle(text: str) -> tuple[int, ...]:
    if not re.fullmatch("[0-9]{1,8}(,[0-9]{1,8}){3}", text):
        expected = "expected X,Y,W,H in pixels, such as 0,0,512,512"
        raise argparse.ArgumentTypeError(f"found {text!r}, {expected}")
    return tuple(map(int, text.split(",")))


def _scale(text: str) -> int:
    if text not in SCALES:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {', '.join(SCALES)}")
    return SCALES[text]


def _whole(text: str, most: int) -> int:
    if not re.fullmatch("[0-9]+", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 1 to {most}")
    return int(_number(text, 1, most, f"1 to {most}"))


def size(text: str) -> int:
    """Return the bytes that a size such as 40000, 1e6, 40kB or 1.5MiB stands for.

    Raises:
        argparse.ArgumentTypeError: not such a text, or under one byte.
    """
    match = re.fullmatch(r"([0-9.]+(?:e[+-]?[0-9]+)?) ?([a-z]*)", text.strip().lower())
    number, unit = match.groups() if match else ("", "")
    expected = "bytes such as 40000 or 40kB"
    value = _number(number if unit in SIZE_UNITS else text, 0, 1e15, expected)
    if value * SIZE_UNITS[unit] < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
    return int(value * SIZE_UNITS[unit])
