"""Write golden files of each model, and the example of SPEC.md.

    python tests/make_golden.py

Once, when a model is added: golden files of a model that is there already are left as they are.
"""

import io
import re
import textwrap
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from npeg import codec, container, latents, networks, tiles
from npeg.arrays import Pixels
from npeg.container import LEVELS
from npeg.encoder_rule import TUNES, EncoderOptions
from npeg.sections import TILE, read_head

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
SHOWN = ((0, 0), (0, 7), (7, 3))  # pixels of the example, row and column


def golden_files(photograph: Pixels, tune: str) -> dict[str, bytes]:
    """Return files by name: colour, grey, tiles, a pixel, residual, soft alpha, exact, layers."""
    usual, small = EncoderOptions(tune=tune), EncoderOptions(tune=tune, tile_size=64)
    grey = photograph.mean(axis=2).astype(np.uint8)
    ramp = np.linspace(0, 255, 60).astype(np.uint8)[None, :, None].repeat(44, axis=0)
    few = photograph[100:170, 150:230] // 64 * 64
    encoded = {
        "coffee-100x75-q40": codec.encode_pixels(photograph[100:175, 150:250], 80, usual),
        "coffee-grey-33x65-q90": codec.encode_pixels(grey[120:185, 200:233], 180, usual),
        "coffee-tiles-140x130-q10": codec.encode_pixels(photograph[100:230, 150:290], 20, small),
        "pixel-1x1-q100": codec.encode_pixels(photograph[200:201, 300:301], LEVELS - 1, usual),
        "coffee-residual-48x64-q95": codec.encode_pixels(photograph[100:148, 150:214], 190, usual),
        "coffee-alpha-44x60-q50": codec.encode_pixels(
            np.dstack([photograph[100:144, 150:210], ramp]), 100, usual
        ),
        "few-colours-70x80-lossless": codec.encode_pixels(few, 150, replace(small, lossless=True)),
        "coffee-layers-256x384-q75": codec.encode_pixels(
            photograph[:256, 100:484], 150, replace(small, tile_size=256)
        ),
    }
    return {f"{name}-model{usual.rule.model_id}.npeg": file for name, file in encoded.items()}


def golden_line(name: str, file: bytes) -> str:
    """Return a file's line of sha256.txt: digest, name, height, width, mean."""
    pixels = codec.decode_pixels(file)
    height, width = pixels.shape[:2]
    return f"{sha256(file).hexdigest()} {name} {height} {width} {pixels.mean():.4f}"


def example(file: bytes) -> str:
    """Return the text of SPEC.md's last section for a small file of one tile."""
    header, (parts,) = container.read_tiles(file)
    model = networks.load(header.model_id)
    (tile,) = tiles.tiles_of(header)
    z_hat, symbols, indexes = latents.read(model, parts, tile.latent_shape(), header.level)
    coded = int((indexes >= model.first_coded).sum())
    pixels = codec.decode_pixels(file)
    dump = [file[i : i + 16].hex(" ") for i in range(0, len(file), 16)]
    ends = (0, 4, 5, 6, 7, 8, 14, 15, 16, 20, 21, 22, 26)
    pieces = [file[a:b].hex(" ") for a, b in pairwise(ends)]
    meanings = (
        "NPEG",
        "version 1",
        f"model {header.model_id}",
        f"level {header.level}: quality {header.level / 2:g}",
        "RGB, 8 bits",
        f"{header.width} x {header.height} pixels",
        f"tiles of {header.tile_size} pixels",
        "the networks' level is the same",
        "CRC-32 of the above",
        "section `T`, 0x54, and 0x80: the last one",
        f"length {len(parts[TILE])}",
        "CRC-32 of type, length and payload",
    )
    told = (
        f"The payload codes {z_hat.size} hyper-latents, of which {channels(z_hat)}; then {coded} of"
        f" {symbols.size} latents, of which {channels(symbols)}."
    )
    return "\n".join(
        [
            f"An {header.width} x {header.height} image at quality {header.level / 2:g} is these"
            f" {len(file)} bytes:\n",
            *(f"    {16 * i:04x}: {line}" for i, line in enumerate(dump)),
            "\n| bytes | value |\n|---|---|",
            *(f"| `{part}` | {value} |" for part, value in zip(pieces, meanings, strict=True)),
            "| the rest | the payload: 1 lane |\n",
            textwrap.fill(told, 100),
            "Decoded, three of the pixels are (R G B; a decoder may differ by 1):\n",
            *(
                f"    row {row}, column {column}: {' '.join(map(str, pixels[row, column]))}"
                for row, column in SHOWN
            ),
            "",
        ]
    )


def example_of_layers(name: str) -> str:
    """Return the text on a golden file in layers: the head of each section and what it says."""
    file = (GOLDEN / name).read_bytes()
    header, stream = container.read_header(file), io.BytesIO(file)
    at, rows = stream.seek(container.HEADER_SIZE), []
    while at < len(file):
        head = read_head(stream, header.tiles > 1)
        shown = file[at : stream.tell()].hex(" ")
        last = ", the last one" if head.last else ""
        told = f"`{head.kind.decode()}` of tile {head.tile}: {head.length} bytes{last}"
        rows.append(f"| {at} | `{shown}` | {told} |")
        at = stream.seek(head.length, 1)
    return "\n".join(
        [
            f"\n`tests/golden/{name}`, {header.width} x {header.height} pixels in tiles of"
            f" {header.tile_size},\nhas two tiles. The payloads of the first come in layers, those"
            " of the second would be too small:\n",
            "| offset | head | section |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def channels(symbols: NDArray[np.float32]) -> str:
    """Return which symbols (C, 1, 1) are not 0, in words."""
    (found,) = symbols[:, 0, 0].nonzero()
    values = ", ".join(f"channel {c} is {int(symbols[c, 0, 0])}" for c in found)
    return f"{len(found)} are not 0: {values}"


def main() -> None:
    """Write the files, their lines and the section."""
    photograph = data.coffee()
    listed = (GOLDEN / "sha256.txt").read_text()
    every = {k: v for tune in TUNES for k, v in golden_files(photograph, tune).items()}
    for name, file in every.items():
        if (GOLDEN / name).exists():
            print(f"{name} is there already: left as it is")
            continue
        (GOLDEN / name).write_bytes(file)
        listed += golden_line(name, file) + "\n"
    (GOLDEN / "sha256.txt").write_text(listed)
    spec = (ROOT / "SPEC.md").read_text()
    small = codec.encode_pixels(np.ascontiguousarray(photograph[200:208, 300:308]), 60)
    layers = example_of_layers(f"coffee-layers-256x384-q75-model{networks.DEFAULT_MODEL}.npeg")
    heading = "## 12. Example\n\n"
    before, _, after = spec.partition(heading)
    rest = re.search(r"^## ", after, re.M)
    tail = after[rest.start() :] if rest else ""
    (ROOT / "SPEC.md").write_text(before + heading + example(small) + layers + tail)


if __name__ == "__main__":
    main()
