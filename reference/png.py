"""Writes a PNG file: https://www.w3.org/TR/png-3/."""

import struct
import zlib

import numpy as np

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels: grey, grey and alpha, RGB, RGBA


def png(pixels: np.ndarray) -> bytes:
    """Return the PNG file of pixels (H, W, 1 to 4), uint8 or uint16."""
    height, width, channels = pixels.shape
    samples = pixels.astype(pixels.dtype.newbyteorder(">"))
    lines = b"".join(b"\0" + line.tobytes() for line in samples)
    bits = 8 * pixels.itemsize
    head = struct.pack(">IIBBBBB", width, height, bits, COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
