"""Filters that know how block codecs err: on a grid of 8x8 pixels that starts in the corner."""

import io
import subprocess
from functools import cache

import numpy as np

from ..arrays import Pixels
from ..errors import NpegError
from .enhancement import Float, to_pixels

BLOCK = 8
LARGEST_STEP = 16.0  # 8-bit steps across an edge that `deblock` still takes for the codec's
SHIFTS = [(dy, dx) for dy in range(BLOCK) for dx in range(BLOCK)]
LARGEST_QP = 60.0  # ffmpeg's scale of quantisation ends at 63
SPP_QUALITY = 6  # ffmpeg's spp: 2^6 shifts, all there are


def deblock(image: Pixels, strength: float) -> Pixels:
    """Smooth small steps across the edges of 8x8 blocks.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
        Decoded JPEG or the like, not cropped and not scaled.
    strength : 0..1
        Largest step that counts as the codec's, in units of 16 8-bit steps.

    Returns
    -------
    uint8 array like `image`. Failure look: real edges along the grid are softened; ringing within
    blocks stays.

    Source: ITU-T H.263 (1998), Annex J, its filter of four pixels and up-down ramp.
    """
    x = image.astype(np.float32)
    x = _across_columns(x, LARGEST_STEP * strength)
    x = np.swapaxes(_across_columns(np.swapaxes(x, 0, 1), LARGEST_STEP * strength), 0, 1)
    return to_pixels(x / 255)


def _across_columns(x: Float, strength: float) -> Float:
    """Filter the vertical edges of blocks in x (H, W, ...), 0..255."""
    x = x.copy()
    first = np.arange(BLOCK, x.shape[1] - 1, BLOCK)  # the column right of each edge
    a, b, c, d = (x[:, first + offset] for offset in (-2, -1, 0, 1))
    step = (a - 4 * b + 4 * c - d) / 8
    size = np.abs(step)
    ramp = np.sign(step) * np.maximum(0, size - np.maximum(0, 2 * (size - strength)))
    inner = np.clip((a - d) / 4, -np.abs(ramp) / 2, np.abs(ramp) / 2)
    x[:, first - 2], x[:, first + 1] = a - inner, d + inner
    x[:, first - 1], x[:, first] = b + ramp, c - ramp
    return np.clip(x, 0, 255)


def recompression(image: Pixels, strength: float) -> Pixels:
    """Compress the image again on all 64 shifted grids and average what comes back.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        100 less the quality of the JPEGs, in units of 100; best near the image's own quality.

    Returns
    -------
    uint8 array like `image`. Failure look: soft texture; at too high a strength, its own ringing.

    Source: Nosratinia, Journal of VLSI Signal Processing 27, 2001.
    """
    from PIL import Image

    if strength == 0:
        return image.copy()
    quality = round(100 * (1 - strength))
    height, width = image.shape[:2]
    beside = [(0, 0)] * (image.ndim - 2)
    total = np.zeros(image.shape, np.float32)
    for dy, dx in SHIFTS:
        shifted = np.pad(image, [(dy, 0), (dx, 0), *beside], mode="edge")
        buffer = io.BytesIO()
        Image.fromarray(shifted).save(buffer, "JPEG", quality=max(1, quality), subsampling=0)
        total += np.asarray(Image.open(buffer))[dy : dy + height, dx : dx + width]
    return to_pixels(total / (255 * len(SHIFTS)))


def spp(image: Pixels, strength: float) -> Pixels:
    """Requantise the DCT of all 64 shifts and average, as ffmpeg's `spp` does.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Quantiser in units of 60 of ffmpeg's 63; more is smoother.

    Returns
    -------
    uint8 array like `image`; colours go through 8-bit YCbCr, which alone costs what leaves about
    52 dB. Failure look: like `recompression`.

    Raises
    ------
    NpegError
        ffmpeg fails.
    """
    quantiser = round(LARGEST_QP * strength)
    if quantiser == 0:
        return image.copy()
    height, width = image.shape[:2]
    grey = image.ndim == 2
    layout = "gray" if grey else "rgb24"
    inner = "gray" if grey else "yuvj444p"
    command = [
        *(_ffmpeg(), "-v", "error", "-f", "rawvideo", "-pix_fmt", layout),
        *("-s", f"{width}x{height}", "-i", "-"),
        *("-vf", f"format={inner},spp=quality={SPP_QUALITY}:qp={quantiser},format={layout}"),
        *("-frames:v", "1", "-f", "rawvideo", "-"),
    ]
    done = subprocess.run(command, input=image.tobytes(), capture_output=True, check=False)
    if done.returncode or len(done.stdout) != image.size:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NpegError(f"ffmpeg's spp failed: {lines[-1] if lines else 'no output'}")
    return np.frombuffer(done.stdout, np.uint8).reshape(image.shape).copy()


@cache
def _ffmpeg() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())
