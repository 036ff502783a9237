"""Tables of the entropy coder: which are refused, and how probabilities become one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_entropy import SCALES, laplace_probabilities, tables  # noqa: F401  # a fixture

from npeg.entropy import (
    ESCAPE,
    LOW_BITS,
    TOKENS,
    Tables,
    quantize_probabilities,
)
from npeg.errors import InputError
from npeg.rans import TOTAL


@pytest.mark.parametrize(
    ("frequencies", "message"),
    [
        ([[TOTAL]], "shape"),
        (np.zeros((0, 61), int), "shape"),
        ([[TOTAL / 61] * 61], "dtype"),
        ([[TOTAL + 1, *[0] * 59, -1]], "span"),
        ([[TOTAL, *[0] * 60]], "escape 0"),
        ([[TOTAL, *[0] * 59, 1]], "sums to 8193"),
        ([[0] * 60 + [TOTAL], [1] * 61], "table 1 sums to 61"),
    ],
)
def test_invalid_tables_are_refused(frequencies: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tables(frequencies)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=TOKENS, max_size=TOKENS).filter(any))
def test_quantized_probabilities_are_a_table_that_no_moved_unit_improves(p: list[float]) -> None:
    table = quantize_probabilities(p)
    Tables([table])
    escaped = float(sum(np.array(p)[table[:ESCAPE] == 0]))
    used = np.flatnonzero(table)
    weights, shares = np.append(p, escaped)[used], table[used].astype(float)
    gain = weights * np.log2((shares + 1) / shares)
    loss = np.where(shares > 1, weights * np.log2(shares / np.maximum(shares - 1, 0.5)), np.inf)
    assert gain.max() <= loss.min() + 1e-12 * max(p)


def test_quantized_probabilities_stay_near_the_entropy_and_escape_the_tail(
    tables: Tables,  # noqa: F811
) -> None:
    for scale, row, bits in zip(SCALES, tables.frequencies, tables.token_bits, strict=True):
        p = laplace_probabilities(scale)
        p /= p.sum()
        ideal = -(p * np.log2(p.clip(1e-300))).sum() + p @ (LOW_BITS + (np.arange(TOKENS) > 0))
        assert p @ bits <= 1.001 * ideal + 2e-4
        assert (row[:ESCAPE] == 0).any()


@pytest.mark.parametrize("p", [[0.0] * TOKENS, [1.0], [-1.0] + [1.0] * 59, [np.nan] * TOKENS])
def test_what_are_no_probabilities_is_refused(p: list[float]) -> None:
    with pytest.raises(InputError, match="60 finite probabilities"):
        quantize_probabilities(p)
