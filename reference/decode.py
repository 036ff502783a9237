"""Decodes a .npeg file to a PNG file, in NumPy alone, as SPEC.md says.

    python reference/decode.py in.npeg out.png

It is here to be read and to be compared with: it is slow. It keeps no metadata.
"""

import argparse
import os
import sys
from hashlib import sha256
from pathlib import Path

import header
import sections
from picture import Picture
from png import png
from refused import Refused

MODELS = Path(__file__).parents[1] / "npeg" / "models"


def main() -> int:
    """Decode what the command line names; return the exit status."""
    args = arguments()
    try:
        picture = read(args.input.read_bytes(), args.models, args.max_pixels)
        write(args.output, png(picture.pixels(args.by_tiles)))
    except (Refused, OSError) as error:
        print(f"{args.input}: {error}", file=sys.stderr)
        return 1
    if args.symbols:
        print(digest(picture))
    return 0


def read(data: bytes, models: Path, most_pixels: int) -> Picture:
    """Return the picture of a file's bytes, its sections read and its pixels not yet made."""
    head = header.read(data, most_pixels)
    name, _ = sections.own_model(data, head)
    return Picture(head, sections.read(data, head), models, name)


def digest(picture: Picture) -> str:
    """Return the SHA-256 of all integers of a file, as docs/conformance.md says."""
    found = sha256()
    for tile in picture.tiles:
        for array in tile.integers():
            found.update(array.astype("<i4").tobytes())
    return found.hexdigest()


def write(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description="Decode a .npeg file to a PNG file.")
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    text = "folder of the models (default: that of the package beside)"
    parser.add_argument("--models", type=Path, default=MODELS, help=text)
    parser.add_argument("--symbols", action="store_true", help="print the SHA-256 of all symbols")
    text = "run the synthesis tile by tile: slower, in less memory"
    parser.add_argument("--by-tiles", action="store_true", help=text)
    text = f"refuse pictures of more pixels (default {header.MOST_BY_DEFAULT})"
    parser.add_argument("--max-pixels", type=int, default=header.MOST_BY_DEFAULT, help=text)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
