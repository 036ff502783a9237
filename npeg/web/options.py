"""The arguments of `npeg view` and `npeg serve`, and what they do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

MOST_PORT = 65535


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg view`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help=".npeg files or other pictures")
    _add_switches(parser)


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `npeg serve`."""
    text = "whose pictures the page lists, with the folders in it (default: none)"
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=text)
    _add_switches(parser)


def _add_switches(parser: argparse.ArgumentParser) -> None:
    text = "to listen on, at the loopback address (default: a free one)"
    parser.add_argument("--port", type=_port, default=0, metavar="N", help=text)
    text = "print the page's address, and open no browser"
    parser.add_argument("--no-browser", dest="browser", action="store_false", help=text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_PORT:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 1 to {MOST_PORT}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C; return the exit status.

    Raises:
        InputError: there is no such file or folder, or the port cannot be used.
    """
    from .. import files
    from . import server

    pictures = _pictures(args.files) if args.command == "view" else _below(args.folder)

    try:
        server.run(pictures, args.port, announced(args.browser))
    except KeyboardInterrupt:
        files.say("", sys.stderr)
    return 0


def announced(browser: bool) -> Callable[[str], None]:
    """Return what says a page's address once it answers, and opens it if a browser is wanted."""
    from .. import files

    def ready(url: str) -> None:
        files.say(f"npeg: {url} (Ctrl-C ends)", sys.stderr)
        if browser:
            import webbrowser

            webbrowser.open(url)

    return ready


def _pictures(names: list[str]) -> list[Path]:
    from ..errors import InputError

    for name in names:
        if not os.path.isfile(name):
            raise InputError(f"{name}: no such file")
    return [Path(name) for name in names]


def _below(folder: str | None) -> list[Path]:
    """Return the pictures in a folder and those below, without hidden ones, in order."""
    from ..errors import InputError
    from ..image_files import PICTURES

    if folder is None:
        return []
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = (n for n in sorted(names) if n.lower().endswith((".npeg", *PICTURES)))
        found += [Path(parent, name) for name in shown if not name.startswith(".")]
    return found
