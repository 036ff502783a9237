"""Weights out of PyTorch's files of before 2020, without PyTorch, and without running their code.

Such a file is five pickles (magic number, version, machine, tensors, keys of storages), then for
each storage its length as int64 and its numbers. Only what tensors need may be named in a pickle.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError

MAGIC = 0x1950A86A20F9469CFC6C


class _Tensor(NamedTuple):
    key: str
    offset: int
    shape: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch", "FloatStorage"):
            return name
        raise FormatError(f"weights name {module}.{name}, expected tensors of float32 only")

    def persistent_load(self, pid: Any) -> str:
        return str(pid[2])  # ("storage", type, key, device, length, view)


def _tensor(key: str, offset: int, shape: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(key, offset, shape)


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a file, by name; all are float32 and contiguous.

    Raises:
        FormatError: the file is of another kind.
    """
    with path.open("rb") as file:
        load: Callable[[], Any] = lambda: _Unpickler(file).load()  # noqa: E731
        try:
            if load() != MAGIC:
                raise FormatError(f"{path.name} does not begin as PyTorch's files of before 2020")
            load(), load()
            tensors, keys = load(), load()
        except (pickle.UnpicklingError, EOFError) as error:
            raise FormatError(f"{path.name} holds no weights: {error}") from error
        storages = {}
        for key in keys:
            length = int(np.fromfile(file, "<i8", 1)[0])
            storages[key] = np.fromfile(file, "<f4", length)
    return {
        name: storages[t.key][t.offset : t.offset + int(np.prod(t.shape))].reshape(t.shape)
        for name, t in tensors.items()
    }
