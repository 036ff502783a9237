"""The `npeg` command: arguments in, an exit status out, one line for what goes wrong."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import sys
from collections.abc import Callable
from functools import partial

from . import __version__, arguments, commands, files, records
from .errors import NpegError
from .web import options

EXTRAS = {  # subcommand -> (help, cheap module with add_arguments(parser) and run(args) -> int)
    "train": ("train networks on folders of images", "npeg.training.options_train"),
    "export": ("turn a training checkpoint into networks", "npeg.training.options_export"),
    "bench": ("compare with other codecs", "npeg.bench.options"),
    "conformance": ("check a decoder against files that are known", "npeg.conformance"),
}
Add = Callable[[argparse.ArgumentParser], None]
COMMANDS: dict[str, tuple[str, Add]] = {
    "encode": ("images to .npeg files", arguments.add_encode),
    "decode": (".npeg files to images", arguments.add_decode),
    "info": ("what .npeg files say of themselves", arguments.add_info),
    "enhance": ("restore images, or make them look better", arguments.add_enhance),
}

PAGES: dict[str, tuple[str, Add]] = {
    "view": ("show .npeg files and other pictures in a browser", options.add_view),
    "serve": ("serve npeg's page for this machine, and a folder's pictures", options.add_serve),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process).

    Returns:
        The exit status: 0, 1 when something failed, 130 when interrupted; usage errors exit 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    files.open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may not be text
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parse(argv)
        status: int = args.run(args)
        files.say("", sys.stdout, end="")  # what a subcommand printed, too
        return status
    except NpegError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torch":
            raise
        return _fail('training needs PyTorch: pip install "npeg[train]"')
    except KeyboardInterrupt as error:  # 128 + the signal's number, as shells count
        return _fail("interrupted", 128 + getattr(error, "number", 2))
    except BrokenPipeError:  # the reader has left
        files.abandon(sys.stdout)
        return 1


def _fail(message: str, status: int = 1) -> int:
    files.say(f"npeg: {records.one_line(message)}", sys.stderr)
    return status


def _parse(argv: list[str]) -> argparse.Namespace:
    """Parse arguments; what is wrong with a subcommand's is said with its own usage."""
    args, unknown = _parser(argv).parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    del args.parser  # it cannot be sent to worker processes
    return args


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    text = "A neural image codec: images to small .npeg files and back."
    parser = arguments.dress(arguments.Parser(prog="npeg", description=text), "")
    parser.add_argument("-V", "--version", action="version", version=f"npeg {__version__}")
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )
    for name, (text, add_arguments) in COMMANDS.items():
        command = subparsers.add_parser(name, help=text, description=text)
        arguments.dress(command, name)
        add_arguments(command)
        command.set_defaults(run=commands.run, parser=command)
    for name, (text, add_arguments) in PAGES.items():
        page = subparsers.add_parser(name, help=text, description=text)
        arguments.dress(page, name)
        add_arguments(page)
        page.set_defaults(run=options.run, parser=page)
    named = next((arg for arg in argv if not arg.startswith("-")), "")
    for name, (text, module_name) in EXTRAS.items():
        if not _exists(module_name):
            continue
        extra = subparsers.add_parser(name, help=text, description=text)
        if named in (name, "completion"):
            module = importlib.import_module(module_name)
            module.add_arguments(extra)
            extra.set_defaults(run=module.run, parser=extra)
    text = "print a script that completes npeg's arguments in a shell, or its manual page"
    shells = subparsers.add_parser("completion", help=text, description=text)
    shells.add_argument("shell", choices=("bash", "zsh", "fish", "man"))
    shells.set_defaults(run=partial(_complete, parser), parser=shells)
    return parser


def _complete(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Print what a shell is to know of this parser."""
    from . import completion

    files.say(completion.WRITERS[args.shell](parser), sys.stdout, end="")
    return 0


def _exists(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:  # not even its package
        return False
