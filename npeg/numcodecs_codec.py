"""npeg as a codec of numcodecs, found by its entry point: chunks of pixels in a zarr array.

Enters or leaves: chunks of uint8 or uint16, (..., H, W), (..., H, W, 1) or (..., H, W, 3) with one
picture.
The codec is lossy: zarr keeps what `npeg.decode` returns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_ndarray_like, ndarray_copy

from . import decode, encode
from .errors import InputError
from .inputs import read_header


class Npeg(Codec):  # type: ignore[misc]  # numcodecs has no types
    """Chunks of pixels as .npeg files.

    Args:
        quality: 0 to 100.
        effort: 0, or 1 for smaller chunks at equal quality in over twice the time.
        tune: visual for the smallest chunk that looks the same, psnr for the least squared error.
    """

    codec_id = "npeg"

    def __init__(self, quality: float = 75, effort: int = 1, tune: str = "visual") -> None:
        self.quality, self.effort, self.tune = quality, effort, tune

    def encode(self, buf: Any) -> bytes:
        """Return the .npeg file of a chunk.

        Raises:
            InputError: the chunk is not one picture of uint8 or uint16.
        """
        chunk = np.asarray(ensure_ndarray_like(buf))
        picture = chunk.squeeze(axis=tuple(np.flatnonzero(np.equal(chunk.shape[:-3], 1))))
        if chunk.dtype.kind == "f":
            raise InputError(f"found a chunk of {chunk.dtype}, expected uint8 or uint16")
        if picture.ndim not in (2, 3):
            expected = "expected one picture, (H, W) or (H, W, 3), a chunk"
            raise InputError(f"found a chunk of shape {chunk.shape}, {expected}")
        return encode(picture, self.quality, effort=self.effort, tune=self.tune)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the pixels of a chunk, flat in C order, or in the shape of `out`."""
        data = bytes(ensure_ndarray_like(buf))
        dtype = "uint16" if getattr(read_header(data), "deep", False) else "uint8"
        return ndarray_copy(decode(data, dtype=dtype).ravel(), out)
