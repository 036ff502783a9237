"""Variant id to inference sessions and the weights of its context model."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .. import weights
from ..arrays import Pixels
from ..networks import FOLDER
from ..sessions import once_a_process, open_session
from ..threads import thread_count
from .container import VARIANTS, Variant
from .context import Weights


@dataclass(frozen=True)
class Model:
    """The shipped networks of one variant; sessions are built when first used, then kept."""

    variant: Variant
    threads: int

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return FOLDER / self.variant.name

    @cached_property
    def _encoder(self) -> ort.InferenceSession:
        return open_session(self.folder / "encoder.onnx", self.threads)

    @cached_property
    def _decoder(self) -> ort.InferenceSession:
        return open_session(self.folder / "decoder.onnx", self.threads)

    @cached_property
    def context(self) -> Weights:
        """The weights of the bits' probabilities."""
        with np.load(
            weights.open_arrays(self.folder / "context.npz"), allow_pickle=False
        ) as arrays:
            return Weights(**{field.name: arrays[field.name] for field in fields(Weights)})

    def encode(self, pixels: Pixels) -> Pixels:
        """(H, W, 3), sides multiples of the stride, to bits (planes, H/stride, W/stride)."""
        bits: NDArray[np.uint8] = self._encoder.run(None, {"pixels": pixels[None]})[0][0]
        return bits

    def decode(self, halves: Pixels) -> Pixels:
        """Twice the code, (planes, h, w) with 1 where a bit is not known, to (H, W, 3)."""
        pixels: Pixels = self._decoder.run(None, {"halves": halves[None]})[0][0]
        return pixels


@once_a_process
def _load(variant_id: int, threads: int) -> Model:
    return Model(VARIANTS[variant_id], threads)


def load(variant_id: int, threads: int | None = None) -> Model:
    """Return the networks of a variant."""
    return _load(variant_id, threads or thread_count())
