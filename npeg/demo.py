"""`make demo`: a photograph through npeg, and the page that puts it beside JPEG, WebP and AVIF.

A second page, compare.html, needs no server and is linked from the first.

python -m npeg.demo [--out DIR] [--image FILE] [--quality Q] [--port N]
"""

import argparse
import os
import sys
from pathlib import Path

from . import cli
from .errors import InputError


def add_photograph(folder: Path) -> Path:
    """Write the photograph that scikit-image ships, 600x400 pixels, as PNG; return its path."""
    from PIL import Image

    try:
        from skimage import data
    except ModuleNotFoundError:
        raise InputError('the demo\'s photograph needs: pip install "npeg[bench]"') from None
    path = folder / "coffee.png"
    Image.fromarray(data.coffee()).save(path)  # type: ignore[no-untyped-call]
    return path


def main() -> int:
    """Encode, decode, compare, and open the page where there is a screen; return 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder to write to")
    parser.add_argument("--image", type=Path, help="a photograph of your own")
    parser.add_argument("--quality", default="45", help="npeg quality, 0 to 100 (default 45)")
    parser.add_argument("--port", type=int, default=0, help="of the page (default: a free one)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        photo = args.image or add_photograph(args.out)
    except InputError as error:
        print(f"npeg: {error}", file=sys.stderr)
        return 1
    encoded, page = args.out / f"{photo.stem}.npeg", args.out / "compare.html"
    decoded = args.out / f"{photo.stem}.npeg.png"
    for command in (
        ["encode", str(photo), "-o", str(encoded), "-q", args.quality, "-f"],
        ["decode", str(encoded), "-o", str(decoded), "-f"],
        ["bench", "--compare", str(photo), "-o", str(page), "-q", args.quality],
    ):
        print("$ npeg", *command, flush=True)
        if status := cli.main(command):
            return status
    if sys.stdout.isatty() and (
        os.name == "nt" or sys.platform == "darwin" or "DISPLAY" in os.environ
    ):
        return show([photo, encoded], page, args.port)
    print(f"npeg view {photo} {encoded} shows both; {page} compares them in any browser")
    return 0


def show(pictures: list[Path], page: Path, port: int) -> int:
    """Open the page with the pictures and a link to another page until Ctrl-C; return 0."""
    from .web import options, server

    try:
        server.run(pictures, port, options.announced(browser=True), [page])
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
