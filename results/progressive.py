"""What a part of a file shows: npeg beside progressive JPEG and JPEG XL, at equal shares.

    python results/progressive.py photo.png results/progressive.jpg > results/progressive.tsv

The three files have about equal sizes: JPEG's and JPEG XL's quality is the one whose file is
nearest to npeg's. Each is cut after 10, 25 and 50 % of its bytes and decoded by its own decoder,
told that the file may be cut: Pillow with LOAD_TRUNCATED_IMAGES, djxl with --allow_partial_files,
npeg with partial=True. `-` in the table and a grey picture: that decoder gives none.
Needs cjxl and djxl.
"""

import io
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFile, ImageFont

import npeg
from npeg.arrays import Pixels
from npeg.bench.metrics.ssimulacra2 import score

QUALITY = 75  # of npeg
SHARES = (10, 25, 50, 100)
LABEL = 22  # pixels above a picture


def npeg_file(pixels: Pixels) -> bytes:
    """Return npeg's file."""
    return npeg.encode(pixels, QUALITY)


def jpeg_file(pixels: Pixels, size: int) -> bytes:
    """Return the progressive JPEG file nearest to a size."""

    def encoded(quality: int) -> bytes:
        file = io.BytesIO()
        options = {"quality": quality, "progressive": True, "optimize": True}
        Image.fromarray(pixels).save(file, "JPEG", **options)
        return file.getvalue()

    return nearest(encoded, range(1, 96), size)


def jxl_file(pixels: Pixels, size: int) -> bytes:
    """Return the progressive JPEG XL file nearest to a size."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x.png"), Path(folder, "x.jxl")
        Image.fromarray(pixels).save(source)

        def encoded(distance: int) -> bytes:
            options = ["-d", str(distance / 10), "-p", "--quiet"]
            subprocess.run(["cjxl", source, target, *options], check=True, capture_output=True)
            return target.read_bytes()

        return nearest(encoded, range(80, 2, -2), size)


def nearest(encoded: Callable[[int], bytes], values: range, size: int) -> bytes:
    """Return the file nearest to a size; files grow along `values`."""
    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if len(encoded(values[middle])) < size else (low, middle)
    found = [encoded(values[low]), encoded(values[high])]
    return min(found, key=lambda data: abs(len(data) - size))


def decode_npeg(data: bytes) -> Pixels | None:
    """Return the picture of a part of npeg's file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return npeg.decode(data, partial=True)
        except npeg.NpegError:
            return None


def decode_jpeg(data: bytes) -> Pixels | None:
    """Return the picture of a part of JPEG's file."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except OSError:
        return None


def decode_jxl(data: bytes) -> Pixels | None:
    """Return the picture of a part of JPEG XL's file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "x.jxl"), Path(folder, "x.png")
        source.write_bytes(data)
        command = ["djxl", str(source), str(target), "--allow_partial_files"]
        done = subprocess.run(command, capture_output=True)
        if done.returncode or not target.exists():
            return None
        return np.asarray(Image.open(target).convert("RGB"))


def first_picture(data: bytes, decode: Callable[[bytes], Pixels | None]) -> float:
    """Return the least share of a file, in per cent, in steps of 0.5, that gives a picture."""
    for half in range(1, 201):
        if decode(data[: len(data) * half // 200]) is not None:
            return half / 2
    return 100.0


def main() -> None:
    """Write the table to standard output and the pictures to a file."""
    pixels = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
    ours = npeg_file(pixels)
    rows = {
        "npeg": (ours, decode_npeg),
        "JPEG, progressive": (jpeg_file(pixels, len(ours)), decode_jpeg),
        "JPEG XL, progressive": (jxl_file(pixels, len(ours)), decode_jxl),
    }
    height, width = pixels.shape[:2]
    sheet = Image.new("RGB", (width * len(SHARES), (height + LABEL) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    print("codec\tsize_bytes\tshare_percent\tpsnr_db\tssimulacra2\tfirst_picture_percent")
    for row, (name, (data, decode)) in enumerate(rows.items()):
        first = first_picture(data, decode)
        for column, share in enumerate(SHARES):
            found = decode(data[: len(data) * share // 100])
            psnr = ssimulacra2 = "-"
            if found is not None:
                error = np.square(found.astype(float) - pixels).mean()
                psnr = f"{10 * np.log10(255**2 / error):.2f}"
                ssimulacra2 = f"{score(pixels, np.ascontiguousarray(found)):.1f}"
            shown = np.full_like(pixels, 128) if found is None else found
            left, top = column * width, row * (height + LABEL)
            label = f"{name}: {share} % of {len(data):,} bytes, {psnr} dB"
            draw.text((left + 4, top + 3), label, "black", ImageFont.load_default(14))
            sheet.paste(Image.fromarray(shown), (left, top + LABEL))
            print(name, len(data), share, psnr, ssimulacra2, first, sep="\t")
    sheet.save(sys.argv[2], quality=90, optimize=True)


if __name__ == "__main__":
    main()
