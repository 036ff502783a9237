"""Image files of 16 bits a sample: PNG, TIFF and PPM, which Pillow writes of grey alone.

Enters: uint16 pixels, and options for Pillow. Leaves: the bytes of a file. Pillow writes one of 8
bits with all metadata; what is otherwise in one of 16 bits is put in its place.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import depth

FORMATS = ("PNG", "TIFF", "PPM")
TIFF_WIDTH, TIFF_BITS = 256, 258  # tags
ROWS = 64  # of a PNG file that are filtered at once
LEVEL = 6  # of zlib, as Pillow's

Deep = NDArray[np.uint16]
Bytes = NDArray[np.uint8]


def write(pixels: Deep, image_format: str, options: dict[str, Any]) -> bytes:
    """Return an image file of 16 bits a sample.

    Args:
        pixels: (H, W) grey, (H, W, 3) RGB, or with alpha (H, W, 2) or (H, W, 4).
        image_format: one of FORMATS.
        options: of Pillow's `Image.save`.
    """
    return {"PNG": _png, "TIFF": _tiff, "PPM": _ppm}[image_format](pixels, options)


def _saved(pixels: Bytes, image_format: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def _ppm(pixels: Deep, _: dict[str, Any]) -> bytes:
    height, width = pixels.shape[:2]
    head = f"P{5 if pixels.ndim == 2 else 6}\n{width} {height}\n{depth.FULL}\n"
    return head.encode() + pixels.astype(">u2").tobytes()


# --- TIFF: a picture twice as wide has the same bytes ---


def _tiff(pixels: Deep, options: dict[str, Any]) -> bytes:
    height, width = pixels.shape[:2]
    halves = pixels.astype("<u2").view(np.uint8).reshape(height, 2 * width, *pixels.shape[2:])
    data = bytearray(_saved(halves, "TIFF", options))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from("<HHI", data, at)
        if tag == TIFF_WIDTH:
            struct.pack_into({3: "<H", 4: "<I"}[kind], data, at + 8, width)
        if tag == TIFF_BITS:
            place = at + 8 if number <= 2 else struct.unpack_from("<I", data, at + 8)[0]
            struct.pack_into(f"<{number}H", data, place, *[16] * number)
    return bytes(data)


# --- PNG: the chunks of a file of one pixel, but for head and pixels ---


def _png(pixels: Deep, options: dict[str, Any]) -> bytes:
    data = _saved(depth.as_type(pixels[:1, :1], np.uint8), "PNG", options)
    found = data[:8]
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            height, width = pixels.shape[:2]
            body = struct.pack(">IIB", width, height, 16) + body[9:]
        elif kind == b"IDAT":
            body = _compressed(pixels, options.get("compress_level", LEVEL))
        found += struct.pack(">I", len(body)) + kind + body
        found += struct.pack(">I", zlib.crc32(kind + body))
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _compressed(pixels: Deep, level: int) -> bytes:
    """Return the filtered rows of a PNG file as one zlib stream."""
    height = len(pixels)
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    size = 2 * (1 if pixels.ndim == 2 else pixels.shape[2])
    coder = zlib.compressobj(level)
    before = np.zeros_like(rows[:1])
    found = []
    for top in range(0, height, ROWS):
        part = rows[top : top + ROWS]
        found.append(coder.compress(_filtered(part, before, size).tobytes()))
        before = part[-1:]
    return b"".join([*found, coder.flush()])


def _filtered(rows: Bytes, before: Bytes, size: int) -> Bytes:
    """Return rows, each behind the number of the filter that leaves least of it.

    Args:
        rows: (n, bytes).
        before: the row above them, (1, bytes).
        size: bytes of a pixel.

    Source: W3C, PNG, third edition, sections 9.2 and 12.7.
    """
    x = rows.astype(np.int16)
    b = np.concatenate([before, rows[:-1]]).astype(np.int16)
    a, c = (np.pad(values, ((0, 0), (size, 0)))[:, :-size] for values in (x, b))
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    paeth = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    guesses = (np.zeros_like(x), a, b, (a + b) >> 1, paeth)
    ways = np.stack([(x - guess).astype(np.uint8) for guess in guesses])
    left = abs(ways.view(np.int8).astype(np.int32)).sum(axis=2)
    best = left.argmin(axis=0)
    chosen = ways[best, np.arange(len(rows))]
    return np.concatenate([best[:, None].astype(np.uint8), chosen], axis=1)
