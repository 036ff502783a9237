"""Alpha: apart from colours and with them again, coded, and what is under it filled or flattened.

Enters: pixels, (H, W, 2) grey or (H, W, 4) RGB, not premultiplied. Leaves: colours and
alpha, payloads of section `A`, opaque pixels. Knows no files and no networks.

Source: Gortler et al. 1996, The Lumigraph (push-pull).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import exact
from .arrays import Samples
from .depth import STEP, full
from .errors import FormatError, InputError

Float = NDArray[np.float64]

OPAQUE = 255  # of 8 bits
FEWEST_STEPS = 15  # of alpha at quality 0: 16 levels, each less than 9 from what it stands for


def split(pixels: Samples) -> tuple[Samples, Samples | None]:
    """Return the colours, (H, W) or (H, W, 3), and the alpha (H, W) of pixels; None: opaque."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels, None
    colours = pixels[..., :-1] if pixels.shape[2] == 4 else pixels[..., 0]
    return np.ascontiguousarray(colours), np.ascontiguousarray(pixels[..., -1])


def join(colours: Samples, alpha: Samples | None) -> Samples:
    """Put colours and alpha together again."""
    return colours if alpha is None else np.dstack([colours, alpha])


def without_opaque(pixels: Samples) -> Samples:
    """Return pixels without an alpha that is opaque everywhere."""
    colours, alpha = split(pixels)
    return colours if alpha is None or (alpha == full(alpha)).all() else pixels


def encode(alpha: Samples, quality: float, bits: int = 8) -> bytes:
    """Return the payload of alpha (H, W), of a source of so many bits a sample.

    What is 0 or opaque stays at any quality, all at 100.
    """
    opaque = full(alpha)
    steps = FEWEST_STEPS + round((OPAQUE - FEWEST_STEPS) * quality / 100)
    if quality == 100 and (alpha.astype(np.int64) * OPAQUE % opaque).any():
        steps = (1 << bits) - 1  # alpha that 8 bits do not hold
    levels = (2 * steps * alpha.astype(np.int64) + opaque) // (2 * opaque)
    samples = levels.astype(np.uint8 if steps <= OPAQUE else np.uint16)
    return steps.to_bytes(alpha.itemsize, "little") + exact.encode(samples, _bits_of(steps))


def decode(payload: bytes, height: int, width: int, deep: bool = False) -> Samples:
    """Return the alpha (H, W) of a payload, uint8, or uint16 if it is `deep`.

    Raises:
        FormatError: it holds none.
    """
    head, body = payload[: 1 + deep], payload[1 + deep :]
    steps = int.from_bytes(head, "little")
    if len(head) < 1 + deep or not steps:
        raise FormatError("alpha section has no number of steps")
    levels = exact.decode(body, height, width, 1, _bits_of(steps)).astype(np.int64)
    if levels.max() > steps:
        raise FormatError(f"alpha section has level {levels.max()} of {steps}")
    opaque = OPAQUE * STEP if deep else OPAQUE
    found = (2 * opaque * levels + steps) // (2 * steps)
    return found.astype(np.uint16 if deep else np.uint8)


def _bits_of(steps: int) -> int:
    """Return how many bits the levels of alpha have as exact samples."""
    return max(8, steps.bit_length())


def flatten(pixels: Samples, background: str) -> Samples:
    """Return opaque pixels, (H, W) or (H, W, 3), in front of a colour.

    Args:
        pixels: with alpha or without, which come back as they are.
        background: a name such as white, or #rrggbb.

    Raises:
        InputError: there is no such colour.
    """
    from PIL import ImageColor

    try:
        behind = np.array(ImageColor.getrgb(background)[:3])
    except (ValueError, AttributeError, TypeError) as error:
        expected = "expected a name such as white, or #rrggbb"
        raise InputError(f"found the background {background!r}, {expected}") from error
    colours, alpha = split(pixels)
    if alpha is None:
        return pixels
    if colours.ndim == 2 and (behind == behind[0]).all():
        behind = behind[:1]
    colours = colours[..., None] if colours.ndim == 2 else colours
    front, share = colours.astype(np.int64), alpha[..., None].astype(np.int64)
    opaque = full(pixels)
    behind = behind * (opaque // OPAQUE)
    mixed = (front * share + behind * (opaque - share) + opaque // 2) // opaque
    mixed = mixed.astype(pixels.dtype)
    return np.squeeze(mixed, 2) if mixed.shape[2] == 1 else mixed


def fill(pixels: Samples) -> Samples:
    """Return pixels whose colours under alpha 0 cost little and do not bleed into the others.

    Few colours stay few: each row goes on in the colour last seen; else colours fade smoothly.
    """
    colours, alpha = split(pixels)
    if alpha is None or alpha.min() > 0:
        return pixels
    seen = alpha > 0
    if not seen.any():
        return join(np.zeros_like(colours), alpha)
    flat = _carried_on(colours, seen)
    if exact.may_be_small(flat):
        return join(flat, alpha)
    stack = colours[..., None] if colours.ndim == 2 else colours
    smooth = _pushed_and_pulled(stack.astype(np.float64), seen.astype(np.float64)[..., None])
    smooth = np.rint(smooth).clip(0, full(colours)).astype(colours.dtype)
    found = np.where(seen[..., None], stack, smooth)
    return join(found.reshape(colours.shape), alpha)


def _carried_on(colours: Samples, seen: NDArray[np.bool_]) -> Samples:
    """Return colours (H, W[, 3]) with each unseen pixel like the last seen one in raster order."""
    places = np.where(seen.ravel(), np.arange(seen.size), -1)
    places = np.maximum.accumulate(places)
    places[places < 0] = np.flatnonzero(seen)[0]
    return colours.reshape(seen.size, -1)[places].reshape(colours.shape)


def _pushed_and_pulled(colours: Float, weight: Float) -> Float:
    """Return colours (H, W, C), those of weight 0 from a picture of half the size.

    weight: (H, W, 1), 0..1.
    """
    height, width = weight.shape[:2]
    if weight.min() > 0 or height * width == 1:
        return colours
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    total, sums = _quartered(np.pad(weight, padding)), _quartered(np.pad(colours * weight, padding))
    small = _pushed_and_pulled(sums / np.maximum(total, 1e-6), np.minimum(total, 1))
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    edged = np.pad(large, ((1, 1), (1, 1), (0, 0)), mode="edge")
    large = (edged[:-2, 1:-1] + edged[2:, 1:-1] + edged[1:-1, :-2] + edged[1:-1, 2:]) / 4
    return np.where(weight > 0, colours, large[:height, :width])


def _quartered(values: Float) -> Float:
    """Return the sums of blocks of 2 x 2 of (H, W, C)."""
    total: Float = values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]
    return total
