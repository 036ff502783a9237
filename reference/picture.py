"""Sections to pixels: all tiles read, their latents joined, pixels made (SPEC.md, 7 to 11)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import exact
import latents
from header import Header
from model import load
from residual import Residual, differences
from residual import read as read_residual
from sections import Parts

Array = np.ndarray
REACH = 5  # latents around a tile that its pixels depend on
Box = tuple[int, int, int, int]
BESIDE = ((0, -1), (0, 1), (-1, 0), (1, 0))  # to the left, to the right, above, below


@dataclass
class Tile:
    """What the sections of a tile say; None is what it does not have."""

    alpha_values: Array | None = None  # (H, W), as coded
    alpha: Array | None = None  # (H, W), 0..255 or 0..65535
    samples: Array | None = None  # (H, W, 1 or 3), exact, of the source's bits
    z_hat: Array | None = None
    symbols: Array | None = None
    residual: Residual | None = None

    def integers(self) -> list[Array]:
        """Return all that every decoder must find the same, in the order of docs/conformance.md."""
        coded = self.residual.symbols if self.residual else None
        found = (self.alpha_values, self.samples, self.z_hat, self.symbols, coded)
        return [array for array in found if array is not None]


class Picture:
    """A file's tiles, read; networks are loaded when a tile needs them."""

    def __init__(self, header: Header, tiles: list[Parts], models: Path, name: bytes) -> None:
        self.header, self.models = header, models
        needed = any(parts.get("T") or "H" in parts for parts in tiles)
        self.model = load(models, header.model, name) if needed else None
        pairs = zip(tiles, header.boxes, strict=True)
        self.tiles = [self.read(parts, *sides(box)) for parts, box in pairs]

    def read(self, parts: Parts, height: int, width: int) -> Tile:
        """Return what the sections of a tile say."""
        header, tile = self.header, Tile()
        if "A" in parts:
            alpha = exact.read_alpha(parts["A"], height, width, header.deep)
            tile.alpha_values, tile.alpha = alpha
        if "E" in parts:
            tile.samples = exact.read(parts["E"], height, width, header.planes, header.bits)
            return tile
        if self.model and (parts["T"] or "H" in parts):
            found = latents.read(parts, self.model, height, width, header.level)
            tile.z_hat, tile.symbols = found
        if "R" in parts:
            data = parts["R"]
            tile.residual = read_residual(data, header.planes, height, width, self.models)
        return tile

    def pixels(self, by_tiles: bool = False) -> Array:
        """Return the pixels (H, W, 1 to 4), uint8 or uint16.

        Args:
            by_tiles: run the synthesis on each tile with what is near, not on the whole picture:
                slower, in less memory.
        """
        header = self.header
        y_hat, whole = self.latents(), None
        if self.model and not by_tiles:
            whole = self.levels(y_hat, (0, 0, header.height, header.width))
        channels = (1 if header.colours == 0 else 3) + header.alpha
        kind = np.uint16 if header.deep else np.uint8
        found = np.zeros((header.height, header.width, channels), kind)
        for tile, box in zip(self.tiles, header.boxes, strict=True):
            top, left, bottom, right = box
            levels = None if whole is None else whole[top:bottom, left:right]
            if by_tiles and tile.symbols is not None:
                levels = self.levels(y_hat, box)
            found[top:bottom, left:right] = self.tile_pixels(tile, box, levels)
        return found

    # --- networks ---

    def latents(self) -> Array:
        """Return the latents of the whole picture; see `spread` where networks have no say."""
        shape = -(-self.header.height // 16), -(-self.header.width // 16)
        if not self.model:
            return np.zeros((0, *shape), np.float32)
        found = np.zeros((self.model.channels, *shape), np.float32)
        there = np.zeros(shape, bool)
        for tile, (top, left, *_) in zip(self.tiles, self.header.boxes, strict=True):
            if tile.symbols is not None:
                made = self.model.latents(tile.z_hat, tile.symbols, self.header.level)
                row, column = top // 16, left // 16
                found[:, row : row + made.shape[1], column : column + made.shape[2]] = made
                there[row : row + made.shape[1], column : column + made.shape[2]] = True
        return spread(found, there)

    def levels(self, y_hat: Array, box: Box) -> Array:
        """Return the levels (H, W, 3) in a box, by the synthesis of it and what is near."""
        top, left, bottom, right = box
        row, column = max(top // 16 - REACH, 0), max(left // 16 - REACH, 0)
        near = y_hat[:, row : -(-bottom // 16) + REACH, column : -(-right // 16) + REACH]
        found = self.model.levels(near, self.header.level)
        return found[top - 16 * row : bottom - 16 * row, left - 16 * column : right - 16 * column]

    # --- pixels ---

    def tile_pixels(self, tile: Tile, box: Box, levels: Array | None) -> Array:
        """Return the pixels of a tile, (H, W, 1 to 4), from levels of the networks."""
        found = self.colours(tile, box, levels)
        if self.header.colours == 2:
            found = np.repeat(found, 3, axis=2)
        return found if tile.alpha is None else np.dstack([found, tile.alpha])

    def colours(self, tile: Tile, box: Box, levels: Array | None) -> Array:
        """Return the colours of a tile, (H, W, 1 or 3)."""
        header = self.header
        if tile.samples is not None:
            most = 2**header.bits - 1
            return (2 * 65535 * tile.samples + most) // (2 * most) if header.deep else tile.samples
        alone = tile.symbols is None
        found = 128.0 if alone else self.in_channels(levels)
        if tile.residual:
            found = found + differences(tile.residual, *sides(box), alone)
        scale, most = (257, 65535) if header.deep else (1, 255)
        return np.clip(np.rint(scale * found), 0, most)

    def in_channels(self, levels: Array) -> Array:
        """Return levels (H, W, 3) in the file's channels; of 8 bits they are rounded."""
        levels = levels if self.header.deep else np.rint(levels)
        if self.header.planes == 3:
            return levels
        mean = levels.astype(np.float64).sum(axis=2, keepdims=True) / 3
        return mean if self.header.deep else np.floor(mean + 0.5)


def sides(box: Box) -> tuple[int, int]:
    """Return the height and the width of a box."""
    top, left, bottom, right = box
    return bottom - top, right - left


def spread(y_hat: Array, there: Array) -> Array:
    """Give each place (h, w) without latents those of the first place beside it that has some."""
    height, width = there.shape
    for y, x in zip(*np.nonzero(~there), strict=True):
        for dy, dx in BESIDE:
            if 0 <= y + dy < height and 0 <= x + dx < width and there[y + dy, x + dx]:
                y_hat[:, y, x] = y_hat[:, y + dy, x + dx]
                break
    return y_hat
