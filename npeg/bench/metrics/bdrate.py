"""Bjøntegaard's delta rate: how much smaller one codec's files are at equal quality.

Source: Bjøntegaard, VCEG-M33, 2001; piecewise cubic interpolation as in JCTVC-L1100.
"""

from collections.abc import Sequence

import numpy as np

Curve = Sequence[tuple[float, float]]
"""Points (rate in bpp, quality), in any order."""


def bd_rate(anchor: Curve, test: Curve) -> float | None:
    """Return the mean difference of the rates in per cent; negative if `test` saves bits.

    Returns None where the curves share no span of quality, or one has under two points.
    """
    from bjontegaard import bd_rate as bjontegaard_rate  # imports matplotlib: a second

    curves = [rising(anchor), rising(test)]
    if min(map(len, curves)) < 2 or not _overlap(*curves):
        return None
    columns = [np.array(column) for curve in curves for column in zip(*curve, strict=True)]
    rate = bjontegaard_rate(*columns, method="pchip", require_matching_points=False, min_overlap=0)
    return float(rate)


def rising(curve: Curve) -> list[tuple[float, float]]:
    """Return the points that no cheaper one equals or beats, by rate: a proper curve."""
    points: list[tuple[float, float]] = []
    for rate, quality in sorted(curve):
        if np.isfinite(quality) and (not points or quality > points[-1][1]):
            points.append((rate, quality))
    return points


def ssim_db(value: float) -> float:
    """Return SSIM or MS-SSIM in decibels, a scale on which curves are as straight as PSNR's."""
    return float("inf") if value >= 1 else float(-10 * np.log10(1 - value))


def _overlap(a: Curve, b: Curve) -> bool:
    return max(a[0][1], b[0][1]) < min(a[-1][1], b[-1][1])
