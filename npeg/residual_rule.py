"""How the encoder chooses a residual: its symbols, its step, and whether it pays."""

import numpy as np

from . import entropy
from .residual import Residual, TABLES, best_shifts, grouped, tables, step_of, _to_coded

BITS = 0.14  # squared steps that a bit is worth
ROUND_UP = 0.67

def quantise(coefficients, codes, alone=False):
    """Choose symbols by rate and distortion."""
    steps = np.array([step_of(code) for code in codes])
    x = coefficients / steps[:, None, None, None, None]
    magnitude = np.abs(x)
    first = np.where(x < 0, -1, 1) * np.floor(magnitude + 1 - ROUND_UP).astype(np.int32)
    if alone:
        first[:, 0, 0] = np.rint(x[:, 0, 0])
    index = table_of(_to_coded(Residual(first, codes, alone)))
    places = np.flatnonzero(magnitude > 0.5)
    m, row = magnitude.ravel()[places], index.ravel()[places]
    bits = tables().token_bits
    near = np.floor(m + 0.5).astype(np.int64)
    best, least = near, np.full(len(m), np.inf)
    for k in (near, np.maximum(near - 1, 0), np.zeros_like(near)):
        cost = np.square(m - k) + BITS * bits[row, entropy.TOKEN_OF_MAGNITUDE[k]]
        best, least = np.where(cost < least, k, best), np.minimum(cost, least)
    symbols = np.zeros(x.shape, np.int32)
    symbols.ravel()[places] = np.where(x.ravel()[places] < 0, -best, best)
    if alone:
        symbols[:, 0, 0] = first[:, 0, 0]
    return Residual(symbols, tuple(codes), alone)


def table_of(symbols):
    """Table of each."""
    groups = grouped(symbols)
    shifts = best_shifts(groups, len(symbols))
    index = np.full((*symbols.shape[:3], symbols.shape[3] * symbols.shape[4]), 0, np.uint8)
    for (plane, u, v, blocks, found), _ in groups:
        part = index[plane, u, v]
        part[:, blocks] = (found + shifts[plane, u[0] + v[0]]).clip(0, TABLES - 1)
        index[plane, u, v] = part
    return index
