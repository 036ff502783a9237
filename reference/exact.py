"""Exact payloads: pixels that come back as they were (SPEC.md, section 10)."""

import numpy as np

import planes
from refused import need

Array = np.ndarray
PLAIN, FROM_GREEN, LIFTED, PALETTE = range(4)


def read_alpha(data: bytes, height: int, width: int, deep: bool) -> tuple[Array, Array]:
    """Return the coded values of alpha (H, W), and alpha itself, 0..255 or, deep, 0..65535."""
    size = 2 if deep else 1
    need(len(data) > size, "alpha ends too early")
    n, most = int.from_bytes(data[:size], "little"), 65535 if deep else 255
    need(n > 0, "alpha has no levels")
    values = read(data[size:], height, width, 1, max(8, n.bit_length()))[..., 0]
    need(int(values.max()) <= n, "alpha is above its highest level")
    return values, (2 * most * values + n) // (2 * n)


def read(data: bytes, height: int, width: int, channels: int, bits: int) -> Array:
    """Return samples (H, W, C) of so many bits."""
    if height > width:
        return read_wide(data, width, height, channels, bits).transpose(1, 0, 2)
    return read_wide(data, height, width, channels, bits)


def read_wide(data: bytes, height: int, width: int, channels: int, bits: int) -> Array:
    """Return samples (H, W, C) of a tile that is at least as wide as high."""
    need(len(data) > 0, "an exact payload is empty")
    kind, most = data[0], 2**bits - 1
    if kind == PALETTE:
        return read_palette(data[1:], height, width, channels, bits)
    need(kind == PLAIN or (kind < PALETTE and channels == 3), "no such kind of exact payload")
    ranges = [(0, most)] * channels
    if kind != PLAIN:
        ranges = [(0, most), (-most, most), (-most, most)]
    found = np.array(planes.read(data[1:], ranges, height, width), np.int64)
    if kind == FROM_GREEN:
        g, p, q = found
        found = np.stack([p + g, g, q + g])
    if kind == LIFTED:
        y, p, q = found
        middle = y - (q >> 1)
        blue = middle - (p >> 1)
        found = np.stack([blue + p, q + middle, blue])
    need(int(found.min()) >= 0 and int(found.max()) <= most, "a sample is out of its range")
    return found.transpose(1, 2, 0)


def read_palette(data: bytes, height: int, width: int, channels: int, bits: int) -> Array:
    """Return samples (H, W, C) that have few colours."""
    need(len(data) >= 3, "colours end too early")
    n, length = data[0] + 1, int.from_bytes(data[1:3], "little")
    whole, coded = n * channels * (2 if bits > 8 else 1), data[3 : 3 + length]
    need(len(coded) == length <= whole, "colours are longer than they may be, or cut")
    if length == whole:
        samples = np.frombuffer(coded, "<u2" if bits > 8 else "u1").astype(np.int64)
        need(int(samples.max()) < 2**bits, "a colour is out of its range")
        colours = samples.reshape(n, channels)
    else:
        need(length > 0 and coded[0] < PALETTE, "colours of colours")
        colours = read_wide(coded, 1, n, channels, bits)[0]
    rest = data[3 + length :]
    if n == 1:
        need(not rest, "one colour has indexes")
        return np.broadcast_to(colours[0], (height, width, channels))
    (indexes,) = planes.read(rest, [(0, n - 1)], height, width)
    return colours[np.array(indexes)]
