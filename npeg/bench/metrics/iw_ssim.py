"""IW-SSIM: structural similarity at five scales, each place weighted by what it tells the eye.

Enters: two images of one size, (H, W, 3) uint8. Leaves: a score, at most 1.

Source: Wang and Li, "Information content weighting for perceptual image quality assessment", IEEE
Transactions on Image Processing 20, 2011, and the authors' Matlab code, in its defaults. That code
takes a grey picture; here it is luma (BT.601, full range, not rounded).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npeg.arrays import Pixels
from npeg.bench.metrics.luma import luma
from npeg.bench.metrics.originals import remember
from npeg.bench.metrics.ssim import C1, C2, SCALE_WEIGHTS, SIGMA, SMALLEST_SIDE, WINDOW_TAPS
from npeg.errors import InputError

Plane = NDArray[np.float64]

PYRAMID_TAPS = np.sqrt(2) * np.array([1, 4, 6, 4, 1]) / 16
"""Low-pass of the Laplacian pyramid, "binom5" of Simoncelli's matlabPyrTools."""
SIDE = 3  # of the neighbourhood in which content is modelled
NOISE = 0.4  # variance of the eye's own noise, in squares of grey levels
TINY = 1e-15  # below, a variance or an information is taken for none
INSIDE = WINDOW_TAPS // 2 - SIDE // 2  # from weights to the places where SSIM's window fits


class _Content(NamedTuple):
    """A model of an original's band: its energy at each place, and in which directions it lies."""

    energy: Plane  # (H - 2, W - 2), 1 on average
    variances: Plane  # (9,) or (10,): eigenvalues of the neighbourhoods' covariance


class _Original(NamedTuple):
    """The bands of an original, finest first, and the content of all but the coarsest."""

    bands: list[Plane]
    contents: list[_Content]


def iw_ssim(original: Pixels, decoded: Pixels) -> float:
    """Return the information-weighted structural similarity of luma, 0..1.

    Where nothing carries information, as in a flat original, all places count alike; the authors'
    code is not defined there.

    Raises:
        InputError: a side is 160 pixels or less, too small for five scales.
    """
    if min(original.shape[:2]) <= SMALLEST_SIDE:
        height, width = original.shape[:2]
        raise InputError(f"IW-SSIM needs more than {SMALLEST_SIDE} pixels, found {width}x{height}")
    bands, contents = _analysed(original)
    score = 1.0
    for scale, (x, y) in enumerate(zip(bands, _pyramid(luma(decoded)), strict=True)):
        if scale < len(contents):
            weights = _information(contents[scale], x, y)[INSIDE:-INSIDE, INSIDE:-INSIDE]
            similarity = _mean(_similarity(x, y, brightness=False), weights)
        else:
            similarity = float(_similarity(x, y, brightness=True).mean())
        score *= abs(similarity) ** SCALE_WEIGHTS[scale]
    return float(score)


@remember
def _analysed(original: Pixels) -> _Original:
    bands = _pyramid(luma(original))
    coarser = [*bands[1:-1], None]  # the coarse rest is no difference, so no parent
    contents = [_content(band, parent) for band, parent in zip(bands[:-1], coarser, strict=True)]
    return _Original(bands, contents)


# --- the Laplacian pyramid ---


def _pyramid(plane: Plane) -> list[Plane]:
    """Split luma (H, W) into four differences, finest first, and the coarse rest."""
    bands = []
    for _ in SCALE_WEIGHTS[1:]:
        coarse = _low_pass(plane)[::2, ::2]
        bands.append(plane - _enlarge(coarse, plane.shape))
        plane = coarse
    return [*bands, plane]


def _low_pass(plane: Plane) -> Plane:
    from scipy.ndimage import correlate1d

    for axis in (0, 1):
        plane = correlate1d(plane, PYRAMID_TAPS, axis=axis, mode="mirror")
    return plane


def _enlarge(coarse: Plane, shape: tuple[int, ...]) -> Plane:
    """Put zeros between the samples and smooth, to a shape of twice as many."""
    wide = np.zeros(shape)
    wide[::2, ::2] = coarse
    return _low_pass(wide)


# --- what each place tells ---


def _content(band: Plane, parent: Plane | None) -> _Content:
    """Model a band (H, W) as a Gaussian scale mixture: one covariance, an energy at each place.

    parent: the next coarser band, whose sample is one more neighbour.
    """
    near = np.lib.stride_tricks.sliding_window_view(band, (SIDE, SIDE))
    vectors = near.reshape(-1, SIDE * SIDE)  # (places, 9)
    if parent is not None:
        above = _twice(parent)[: band.shape[0], : band.shape[1]][1:-1, 1:-1]
        vectors = np.column_stack([vectors, above.ravel()])
    values, directions = np.linalg.eigh(vectors.T @ vectors / len(vectors))
    kept = np.maximum(values, 0)
    kept *= values.sum() / (kept.sum() or 1)
    inverse = np.divide(1, kept, out=np.zeros_like(kept), where=kept > TINY)
    energy = np.square(vectors @ directions) @ inverse / len(values)
    return _Content(energy.reshape(near.shape[:2]), kept)


def _twice(plane: Plane) -> Plane:
    """Enlarge a band (H, W) to (2 H, 2 W), bilinearly, straight on beyond its border."""
    for axis in (0, 1):
        lines = np.moveaxis(plane, axis, 0)
        count = len(lines)
        # as the authors: 4 n - 3 lines over the whole, one more at each end, every other of them
        at = (np.arange(4 * count - 3) + 0.5) * count / (4 * count - 3) - 0.5
        at = at.clip(0, count - 1)
        low = np.minimum(at.astype(int), count - 2)
        share = (at - low)[:, None]
        fine = lines[low] * (1 - share) + lines[low + 1] * share
        first, last = 2 * fine[0] - fine[1], 2 * fine[-1] - fine[-2]
        plane = np.moveaxis(np.concatenate([first[None], fine, last[None]])[::2], 0, axis)
    return plane


def _information(content: _Content, x: Plane, y: Plane) -> Plane:
    """Return the bits that both bands (H, W) tell an eye of their content, (H - 2, W - 2).

    The decoded band is the original's times a gain, plus noise: both follow from moments nearby.
    Source: equation 28 of the paper.
    """
    mean_x, mean_y = _box(x), _box(y)
    variance_x = np.maximum(_box(x * x) - mean_x**2, 0)
    variance_y = np.maximum(_box(y * y) - mean_y**2, 0)
    covariance = _box(x * y) - mean_x * mean_y
    gain = covariance / (variance_x + TINY)
    noise = np.maximum(variance_y - gain * covariance, 0)
    gain[variance_x < TINY] = 0
    noise = np.where(variance_x < TINY, variance_y, noise)
    gain[variance_y < TINY] = 0
    noise[variance_y < TINY] = 0

    told = (noise + (1 + gain**2) * NOISE) * content.energy
    ratios = np.ones_like(told)
    for variance in content.variances:  # one logarithm of a product: far from overflow
        ratios *= 1 + (told * variance + NOISE * noise) / NOISE**2
    bits = np.log2(ratios)
    bits[bits < TINY] = 0
    return bits


def _box(plane: Plane) -> Plane:
    """Average neighbourhoods of (H, W), to (H - 2, W - 2)."""
    from scipy.ndimage import correlate1d

    for axis in (0, 1):  # not `uniform_filter`, whose running sums carry errors into flat places
        plane = correlate1d(plane, np.full(SIDE, 1 / SIDE), axis=axis)
    return plane[1:-1, 1:-1]


# --- structural similarity ---


def _similarity(x: Plane, y: Plane, brightness: bool) -> Plane:
    """Return SSIM of bands (H, W), with or without its brightness, (H - 10, W - 10)."""
    mean_x, mean_y = _window(x), _window(y)
    variance_x = np.maximum(_window(x * x) - mean_x**2, 0)
    variance_y = np.maximum(_window(y * y) - mean_y**2, 0)
    covariance = _window(x * y) - mean_x * mean_y
    similarity = (2 * covariance + C2) / (variance_x + variance_y + C2)
    if brightness:
        similarity *= (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return similarity


def _window(plane: Plane) -> Plane:
    from scipy.ndimage import correlate1d

    offsets = np.arange(WINDOW_TAPS) - WINDOW_TAPS // 2
    taps = np.exp(-(offsets**2) / (2 * SIGMA**2))
    for axis in (0, 1):
        plane = correlate1d(plane, taps / taps.sum(), axis=axis)
    inside = slice(WINDOW_TAPS // 2, -(WINDOW_TAPS // 2))
    return plane[inside, inside]


def _mean(values: Plane, weights: Plane) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else float(values.mean())
