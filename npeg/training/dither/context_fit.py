"""Fits the dither codecs' context model to the code planes of training images.

Enters: planes of bits of some images.  Leaves: `npeg.dither.context.Weights`, integers.
Does not know: networks, files.

For each plane, the bits of earlier planes that explain most of its variance are chosen one by one
(orthogonal matching pursuit on the covariances); then logistic regression weighs them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ...dither.context import KINDS, MARGIN, UNIT, Pass, Weights, passes, sum_features
from ...errors import InputError

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]

FEATURES = 12  # of earlier planes, for each plane: their sum takes a third of the coder's time
OFFSETS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
PAIRS = (((-1, 0), (1, 0)), ((0, -1), (0, 1)))  # neighbours that half of a plane's bits know
POSITIONS = 15_000  # of all images together, at which features are chosen and weighed
MAX_WEIGHT = 2**15 // FEATURES - 1  # so that no sum leaves int16
RIDGE = 1.0  # pull of the logistic regression's weights to 0, in observations


def fit(images: Sequence[Bits], seed: int = 0, progress: bool = True) -> Weights:
    """Return the weights for planes like those of the images.

    Args:
        images: planes (P, h, w) of each image.
        seed: of the choice of positions.
        progress: whether to show a progress bar.

    Raises:
        InputError: the images have too few positions to learn from.
    """
    known = [np.pad(planes, ((0, 0), (MARGIN,) * 2, (MARGIN,) * 2)) for planes in images]
    samples = _sample(known, np.random.default_rng(seed))
    if len(samples) < 100:
        raise InputError(f"found {len(samples)} positions in the images, expected 100 or more")
    count = known[0].shape[0]
    covariance = _covariance(samples)
    weights = _empty(count)
    for p in tqdm(range(count), desc="fitting", unit="plane", disable=not progress):
        _fit_features(weights, p, samples, covariance)
        for kind in range(KINDS):
            _fit_kind(weights, p, kind, known)
    return weights


def _empty(count: int) -> Weights:
    def zeros(*shape: int) -> NDArray[np.int16]:
        return np.zeros((count, *shape), np.int16)

    return Weights(
        sources=zeros(FEATURES),
        rows=zeros(FEATURES),
        columns=zeros(FEATURES),
        weights=zeros(FEATURES),
        scales=zeros(KINDS),
        biases=zeros(KINDS),
        own=zeros(KINDS, 2),
    )


def _sample(known: Sequence[Bits], rng: np.random.Generator) -> Bits:
    """Return the bits of all planes around random positions, (N, P * 9)."""
    share = -(-POSITIONS // len(known))
    parts = []
    for planes in known:
        h, w = (side - 2 * MARGIN for side in planes.shape[1:])
        rows, columns = (rng.integers(side, size=min(share, h * w)) for side in (h, w))
        columns ^= (rows + columns + 1) & 1  # only where the four neighbours are coded before
        keep = columns < w
        rows, columns = rows[keep] + MARGIN, columns[keep] + MARGIN
        around = [planes[:, rows + dy, columns + dx] for dy, dx in OFFSETS]
        parts.append(np.stack(around, axis=1).reshape(-1, len(rows)).T)
    return np.concatenate(parts)


def _covariance(samples: Bits) -> NDArray[np.float32]:
    centred = samples - samples.mean(axis=0, dtype=np.float32)
    return np.asarray(centred.T @ centred / len(samples), np.float32)


def _column(plane: int, offset: tuple[int, int]) -> int:
    return plane * len(OFFSETS) + OFFSETS.index(offset)


def _fit_features(weights: Weights, p: int, samples: Bits, covariance: NDArray[np.float32]) -> None:
    """Choose and weigh plane p's features of earlier planes."""
    pairs = [[_column(p, offset) for offset in pair] for pair in PAIRS]
    chosen = _choose(covariance, p, pairs)
    if not chosen:
        return
    own = [samples[:, a].astype(np.float64) + samples[:, b] for a, b in pairs]
    features = np.stack([*(samples[:, j] for j in chosen), *own, np.ones(len(samples))], axis=1)
    target = samples[:, _column(p, (0, 0))].astype(np.float64)
    logits = regress(features, target)[: len(chosen)]
    for k, (j, logit) in enumerate(zip(chosen, logits, strict=True)):
        weights.sources[p, k] = j // len(OFFSETS)
        weights.rows[p, k], weights.columns[p, k] = OFFSETS[j % len(OFFSETS)]
        weights.weights[p, k] = _integer(UNIT * logit, MAX_WEIGHT)


def _choose(covariance: NDArray[np.float32], p: int, pairs: list[list[int]]) -> list[int]:
    """Return up to FEATURES columns below plane p that explain most beside its own neighbours."""
    inside = p * len(OFFSETS)
    target = _column(p, (0, 0))
    candidates = np.arange(inside)
    variance = covariance[candidates, candidates].astype(np.float64)
    residual = covariance[candidates, target].astype(np.float64)
    floor = 0.02 * variance + 1e-6  # what is left of a column that others explain
    basis = np.zeros((0, inside))
    for pair in pairs:  # explained away first: they are known anyway
        column = covariance[pair].sum(axis=0).astype(np.float64)
        own = float(column[pair].sum())
        if own > 1e-6:
            residual -= column[candidates] * column[target] / own
            variance -= column[candidates] ** 2 / own
    chosen: list[int] = []
    for _ in range(min(FEATURES, inside)):
        worth = np.where(variance > floor, residual**2 / np.maximum(variance, 1e-12), 0.0)
        worth[chosen] = 0.0
        best = int(worth.argmax())
        if worth[best] <= 0:
            break
        direction = covariance[best, candidates] - basis.T @ basis[:, best]
        direction /= np.sqrt(variance[best])
        residual -= direction * (residual[best] / np.sqrt(variance[best]))
        variance -= direction**2
        basis = np.concatenate([basis, direction[None]])
        chosen.append(best)
    return chosen


def _fit_kind(weights: Weights, p: int, kind: int, known: Sequence[Bits]) -> None:
    """Weigh what one kind of pass knows: the sum of the features and its own neighbours."""
    rows: list[Floats] = []
    targets: list[NDArray[np.int16]] = []
    left = POSITIONS
    for planes in known:
        shorts = planes[: p + 1].astype(np.int16)
        sums = sum_features(shorts, p, weights)
        for step in (step for step in passes() if step.kind == kind):
            logit: Floats = step.of(sums).ravel() / UNIT
            columns: list[NDArray[Any]] = [logit, *_pairs(step, shorts[p]), np.ones(len(logit))]
            rows.append(np.stack(columns, axis=1))
            targets.append(step.of(shorts[p]).ravel())
            left -= len(targets[-1])
        if left < 0:
            break
    features, target = np.concatenate(rows), np.concatenate(targets).astype(np.float64)
    scale, *own, bias = regress(features, target)
    weights.scales[p, kind] = _integer(256 * scale, 4096)
    weights.biases[p, kind] = _integer(UNIT * bias, 4096)
    weights.own[p, kind, : len(own)] = [_integer(UNIT * value, 4096) for value in own]


def _pairs(step: Pass, plane: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    return [(step.of(plane, *a) + step.of(plane, *b)).ravel() for a, b in step.offsets()]


def regress(features: Floats, target: Floats, steps: int = 12) -> Floats:
    """Return the weights of a logistic regression with a small ridge, by Newton's method.

    Args:
        features: (N, K).
        target: (N,), 0 or 1.
        steps: of Newton's method, at most.
    """
    weights = np.zeros(features.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (target - p) - RIDGE * weights
        curvature = (features * (p * (1 - p))[:, None]).T @ features
        step = np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
        weights += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-3:
            break
    return weights


def _integer(value: float, limit: int) -> int:
    return int(np.clip(np.rint(value), -limit, limit))
