"""How far a decoded JPEG may be changed: its quantisation cells, found in its pixels.

Enters: an image and what a restorer makes of it. Leaves: the share of the change that is likely to
be right. A JPEG's rounded coefficients bound what its original can have been: half a quantisation
step to each side. An estimate that wants to leave these cells is not of an image like this one
(text, line art), so its block is left as it is.

Source: the lattice of coefficients, Fan and de Queiroz, IEEE TIP 12(2), 2003.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Pixels
from .enhancement import Float

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
STANDARD = np.array(  # luma, ITU-T T.81, table K.1
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
SAMPLE = 1 << 20  # pixels in the middle of an image from which its table is found
BAND = 512  # rows at a time
FEWEST = 64  # blocks without a sample of 0 or 255, of a picture that is no graphic
FEW_COLOURS, FEW_GREYS = 256, 64
ON_LATTICE = 0.35  # share of the mean cosine of phases that a lattice would have
NOISE = 0.3  # deviation of a coefficient by the rounding of pixels
VIOLATION = 12.0  # times the share of a block's change outside of its cells is what trust loses
FAINT, CLEAR = 1.5, 2.2  # levels that a restorer changes a good picture by, and an impaired one


def restrained(image: Pixels, restored: Pixels) -> Pixels:
    """Return what of a restoration an image's own history allows.

    Args:
        image: (H, W) or (H, W, 3), decoded.
        restored: the same shape.

    Returns:
        Within the cells of a JPEG, the less the more of a block's change was outside of them; the
        image itself where it is a graphic that never was a JPEG; of other pictures of unknown
        history the change fades out where it is as small as that of a good picture.
    """
    middle = _middle(image)
    if _has_few_colours(middle):
        return image.copy()
    coefficients = _transform(_luma(middle))
    free = _unclipped(middle)
    graphic = np.count_nonzero(free) < FEWEST
    coefficients = coefficients.reshape(-1, 64) if graphic else coefficients[free].reshape(-1, 64)
    table = standard_table(coefficients)
    if not graphic and (table is None or table.max() == 1):  # all whole steps are multiples of 1
        own = own_table(coefficients)
        table = table if own is None else own
    if table is not None:
        bands = range(0, len(image), BAND)
        parts = [_held(image[y : y + BAND], restored[y : y + BAND], table) for y in bands]
        return np.concatenate(parts)
    if graphic:
        return image.copy()
    return _faded(image, restored)


def standard_table(coefficients: Float) -> NDArray[np.int64] | None:
    """Return the luma table (8, 8) of libjpeg on whose lattice coefficients (n, 64) are, if any."""
    c = coefficients
    used = np.abs(c) > 4 * NOISE
    used[:, 0] = False  # clipping moves means
    values, which = c[used], np.nonzero(used)[1]
    blurs = np.exp(-2 * (np.pi * NOISE / np.arange(1, 257)) ** 2)
    blurs = np.append(0, blurs)  # by step: what rounded pixels leave of a cosine
    best, score = None, 0.0
    for quality in range(5, 101):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        table = np.clip((STANDARD * scale + 50) // 100, 1, 255)
        steps = np.abs(values) / table[which]
        phases = np.where(steps > 0.5, np.cos(2 * np.pi * steps), -1)  # none is in between
        seen = steps > 0.3
        phases, blurred = phases[seen], blurs[table[which][seen]]
        if phases.size >= 4 * FEWEST and phases.mean() > max(score, ON_LATTICE * blurred.mean()):
            best, score = table.reshape(8, 8), phases.mean()
    return best


def own_table(coefficients: Float) -> NDArray[np.int64] | None:
    """Return the luma table (8, 8) of a JPEG whose writer had tables of its own."""
    found = np.array([_step(np.abs(c)) for c in coefficients.T])
    known = np.flatnonzero(found)
    if len(known) < 3 or np.mean(found[known] > 1) < 0.3:
        return None
    scale = np.median(found[known] / STANDARD[known])
    likely = np.maximum(1, np.rint(scale * STANDARD)).astype(np.int64)
    return np.where(found > 0, found, likely).reshape(8, 8)


def _step(magnitudes: Float) -> int:
    """Return the step of whose multiples magnitudes are: 1 if of none, 0 if it cannot be told."""
    a = magnitudes[magnitudes > 4 * NOISE]
    if len(a) < 16:
        return 0
    steps = np.arange(2, min(int(np.quantile(a, 0.1) / 0.8), 255) + 1)
    if not len(steps):
        return 1
    phases = np.cos(2 * np.pi * a[None] / steps[:, None]).mean(1)
    best = int(phases.argmax())
    blurred = np.exp(-2 * (np.pi * NOISE / steps[best]) ** 2)
    if phases[best] < 0.7 * blurred:
        return 1
    several = np.mean(a > 1.5 * steps[best]) > 0.02  # one value alone is a multiple of anything
    return int(steps[best]) if several else 0


def _held(image: Pixels, restored: Pixels, table: NDArray[np.int64]) -> Pixels:
    """Return a band of a restored JPEG with its luma inside of its cells."""
    change = restored.astype(np.float32) - image
    luma = _luma(change)
    wanted = _transform(luma)
    inside = np.clip(wanted, -table / 2, table / 2)
    outside = np.square(wanted - inside).sum((2, 3)) / (np.square(wanted).sum((2, 3)) + 1e-9)
    trust = np.clip(1 - VIOLATION * outside, 0, 1)[..., None, None].astype(np.float32)
    h, w = luma.shape
    shares = np.broadcast_to(trust, wanted.shape)
    share, held = (_joined(b)[:h, :w] for b in (shares, _inverse(inside * trust)))
    if change.ndim == 2:
        return _rounded(image + held)
    return _rounded(image + share[..., None] * (change - luma[..., None]) + held[..., None])


def _faded(image: Pixels, restored: Pixels) -> Pixels:
    """Return the change, or less of it where all of it is faint: a good picture."""
    squares = (
        np.square(a.astype(np.float32) - b).sum() for a, b in zip(image, restored, strict=True)
    )
    levels = (sum(squares) / image.size) ** 0.5
    share = float(np.clip((levels - FAINT) / (CLEAR - FAINT), 0, 1))
    if share in (0, 1):
        return restored if share else image.copy()
    rows = zip(image, restored, strict=True)
    return np.stack([_rounded(a + share * (b.astype(np.float32) - a)) for a, b in rows])


def _has_few_colours(image: Pixels) -> bool:
    """Tell a picture of so few colours that nothing lossy can have made it, or it is tiny."""
    samples = image.reshape(-1, 1 if image.ndim == 2 else 3).astype(np.int32)
    packed = samples @ (256 ** np.arange(samples.shape[1]))
    return len(np.unique(packed)) <= (FEW_COLOURS if image.ndim == 3 else FEW_GREYS)


def _unclipped(image: Pixels) -> NDArray[np.bool_]:
    """Return which 8x8 blocks have no sample of 0 or 255, (h, w), those cut by the border too."""
    samples = image.reshape(*image.shape[:2], -1)
    extreme = ((samples == 0) | (samples == 255)).any(2)
    extreme = np.pad(extreme, [(0, -side % 8) for side in extreme.shape])
    h, w = extreme.shape
    return np.logical_not(extreme.reshape(h // 8, 8, w // 8, 8).max((1, 3)))


def _middle(image: Pixels) -> Pixels:
    """Return whole blocks of the image's middle rows, at most SAMPLE pixels or one row of them."""
    rows = max(SAMPLE // image.shape[1] // 8 * 8, 8)
    top = max(len(image) - rows, 0) // 2 // 8 * 8
    return image[top : top + rows]


def _luma(image: NDArray[Any]) -> Float:
    x = image.astype(np.float32)
    return x if x.ndim == 2 else np.asarray(x @ LUMA, np.float32)


def _basis() -> Float:
    k, i = np.arange(8)[:, None], np.arange(8)[None]
    rows = np.cos(np.pi * k * (2 * i + 1) / 16) / 2
    rows[0] /= 2**0.5
    return rows.astype(np.float32)


DCT = _basis()


def _transform(plane: Float) -> Float:
    """Return the orthonormal DCT of the 8x8 blocks of (H, W), the border repeated: (h, w, 8, 8)."""
    plane = np.pad(plane, [(0, -side % 8) for side in plane.shape], mode="edge")
    h, w = plane.shape
    blocks = plane.reshape(h // 8, 8, w // 8, 8).transpose(0, 2, 1, 3)
    return np.asarray(DCT @ blocks @ DCT.T, np.float32)


def _inverse(coefficients: Float) -> Float:
    return np.asarray(DCT.T @ coefficients @ DCT, np.float32)


def _joined(blocks: NDArray[Any]) -> NDArray[Any]:
    h, w = blocks.shape[:2]
    return blocks.transpose(0, 2, 1, 3).reshape(8 * h, 8 * w)


def _rounded(x: NDArray[Any]) -> Pixels:
    return np.clip(x + 0.5, 0, 255).astype(np.uint8)
