"""A model: the networks and integers of a folder of weights (SPEC.md, sections 7 and 9)."""

from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from entropy import Tables
from graph import Network
from header import MODELS
from refused import Refused, need

Array = np.ndarray
NETWORKS = ("context", "mean_head", "scale_head", "synthesis")
FILES = ("context.onnx", "entropy.npz", *(f"{name}.onnx" for name in NETWORKS[1:]))


class Model:
    """The networks of a folder; each is read when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with np.load(self.folder / "entropy.npz") as file:
            self.integers = dict(file)
        self.tables = Tables(self.integers["tables"])
        self.index_z = self.integers["index_z"]  # (201, Z)
        self.hyper_channels = self.index_z.shape[1]
        self.channels = self.integers["offset_y"].shape[1]
        self.first_coded = int(self.integers["first_coded"])

    @cached_property
    def scale_head(self) -> Network:
        """From hyper-latents to table indexes, on integers."""
        return Network(self.folder / "scale_head.onnx")

    @cached_property
    def mean_head(self) -> Network:
        """From hyper-latents to psi, means and perhaps steps."""
        return Network(self.folder / "mean_head.onnx")

    @cached_property
    def context(self) -> Network:
        """From psi and anchors to the other latents' means."""
        return Network(self.folder / "context.onnx")

    @cached_property
    def synthesis(self) -> Network:
        """From latents to pixels."""
        return Network(self.folder / "synthesis.onnx")

    def t(self, level: int) -> Array:
        """Return what the networks know of the level, (1,)."""
        if "t" in self.integers:
            return self.integers["t"][level : level + 1].astype(np.float32)
        return np.array([level / 200], np.float32)

    def indexes(self, z_hat: Array, level: int) -> Array:
        """Return the table of each latent (M, 4h, 4w) from hyper-latents (Z, h, w)."""
        multiplier, offset = (self.integers[name][level] for name in ("multiplier_z", "offset_y"))
        (found,) = self.scale_head(
            z_hat=z_hat[None].astype(np.float32),
            multiplier=multiplier.reshape(1, -1, 1, 1).astype(np.float32),
            offset=offset.reshape(1, -1, 1, 1).astype(np.float32),
        )
        return found[0].astype(np.int64)

    def latents(self, z_hat: Array, symbols: Array, level: int) -> Array:
        """Return the latents (M, h, w) that symbols and hyper-latents of a tile stand for."""
        t, (_, rows, columns) = self.t(level), symbols.shape
        psi, *others = self.mean_head(z_hat=z_hat[None].astype(np.float32), t=t)
        psi = psi[:, :, :rows, :columns]
        means = others[0][:, :, :rows, :columns]
        scaled = symbols[None].astype(np.float32)
        if len(others) > 1:
            scaled = scaled * others[1][:, :, :rows, :columns]
        even = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
        anchors = np.where(even, scaled + means, np.float32(0))
        (means_of_others,) = self.context(psi=psi, anchors=anchors, t=t)
        return np.where(even, anchors, scaled + means_of_others)[0]

    def levels(self, y_hat: Array, level: int) -> Array:
        """Return the levels (16h, 16w, 3) of latents (M, h, w), not rounded, within 0..255."""
        _, patches = self.synthesis(y_hat=y_hat[None].astype(np.float32), t=self.t(level))
        _, rows, columns, _ = patches.shape
        found = patches.reshape(rows, columns, 8, 8, 3).transpose(0, 2, 1, 3, 4)
        return np.clip(found.reshape(8 * rows, 8 * columns, 3) * np.float32(255), 0, 255)


@cache
def load(models: Path, number: int, name: bytes) -> Model:
    """Return the model of an id, or where that is 0 of a name, from the folder of all models."""
    if number:
        need(number in MODELS, f"model {number} is unknown")
        return Model(models / MODELS[number])
    for folder in sorted(models.iterdir()):
        if all((folder / file).exists() for file in FILES) and name_of(folder) == name:
            return Model(folder)
    raise Refused(f"model {name.hex()} is unknown")


def name_of(folder: Path) -> bytes:
    """Return the name of a model by the hashes of its files."""
    hashes = [(sha256((folder / file).read_bytes()).hexdigest(), file) for file in FILES]
    lines = "".join(f"{found}  {file}\n" for found, file in hashes)
    return sha256(lines.encode()).digest()[:8]
