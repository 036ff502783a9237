from typing import Any

import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]
_Symbols = NDArray[np.int32]

def expect(
    own: _Symbols,
    around: _Symbols,
    blocks: _Symbols,
    near: _Symbols,
    plane: int,
    d: int,
    context: _Symbols,
    classes: NDArray[np.uint8],
) -> None: ...
def choose(
    context: _Symbols,
    classes: NDArray[Any],
    band: _Symbols,
    half: _Ints,
    sides: int,
    shape: tuple[int, int],
    bin_of_context: _Ints,
    table_of_bin: _Ints,
    bins: _Ints,
    tables: _Ints,
) -> None: ...
def learn(bins: _Ints, symbols: _Symbols, count: _Ints, sum: _Ints) -> None: ...
def keep(
    band: _Symbols,
    plane: int,
    d: int,
    shape: tuple[int, int],
    own: _Symbols,
    around: _Symbols,
    blocks: _Symbols,
    near: _Symbols,
) -> None: ...
def inverse(
    symbols: _Symbols,
    worth: NDArray[np.float64],
    cosines: NDArray[np.float64],
    colours: NDArray[np.float64],
    shape: tuple[int, int, int],
    pixels: NDArray[np.float64],
) -> None: ...
