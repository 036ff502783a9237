import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]
_Bytes = NDArray[np.uint8]

def decode(
    words: NDArray[np.uint16],
    states: _Ints,
    planes: NDArray[np.int32],
    shape: tuple[int, ...],
    flags: int,
    coarseness: int,
    match_counts: _Ints,
    match_sizes: _Bytes,
    token_counts: _Ints,
    token_sizes: _Bytes,
    templates: _Ints,
    weights: _Ints,
    low: _Ints,
    high: _Ints,
    context_of_activity: _Ints,
    low_bits: _Ints,
    first_value: _Ints,
) -> str | None: ...
