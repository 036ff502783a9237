"""Self-contained HTML pages: a template, with style, script and data put inside.

A page needs no network and no other file: it may be opened from a disk.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any


def page(
    title: str,
    body: str,
    scripts: Sequence[str],
    data: Mapping[str, Any],
    styles: Sequence[str] = ("page.css",),
) -> str:
    """Return a page: the styles, the HTML file `body`, the data, and the scripts in their order.

    Args:
        title: of the window, plain text.
        body: name of an HTML fragment in this folder.
        scripts: names of scripts in this folder; each finds the data in `window.DATA`.
        data: what JSON can say.
        styles: names of style sheets in this folder.
    """
    # "</script>" inside of data would end the script
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',  # or browsers ask for one
        f"<title>{escape(title)}</title>",
        *(f"<style>\n{_read(name)}</style>" for name in styles),
        f"<body>\n{_read(body)}",
        f"<script>window.DATA = {text};</script>",
        *(f"<script>\n{_read(name)}</script>" for name in scripts),
        "</html>\n",
    ]
    return "\n".join(parts)


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")
