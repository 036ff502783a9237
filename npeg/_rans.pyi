import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]
_Words = NDArray[np.uint16]
_Bytes = NDArray[np.uint8]

def push(rows: _Ints, states: _Ints, frequencies: _Words, starts: _Words, words: _Words) -> int: ...
def pop(
    indexes: _Ints,
    states: _Ints,
    entry_of_slot: _Bytes,
    frequencies: _Words,
    starts: _Words,
    words: _Words,
    entries: _Bytes,
) -> int: ...
def split(bits: _Bytes, widths: _Ints, fields: _Ints) -> int: ...
def join(values: _Ints, widths: _Ints, bits: _Bytes) -> int: ...
