"""Reads the part of an .onnx file that npeg's networks use: a list of operators and their weights.

An .onnx file is a protocol buffer: a sequence of fields, each a number and a value. A value is an
integer of seven bits a byte, four or eight bytes, or a length and so many bytes, which may be
fields again. Which number means what: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_}
TYPES |= {10: np.float16, 11: np.float64}


@dataclass
class Node:
    """One operator: its kind, the names of what enters and leaves it, and its settings."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    settings: dict[str, Any]


@dataclass
class Graph:
    """A network: operators in an order in which they can run, weights by name, names of outputs."""

    nodes: list[Node] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def read(path: Path) -> Graph:
    """Return the network of a file."""
    (body,) = fields(path.read_bytes())[7]
    parts = fields(body)
    weights = [fields(tensor) for tensor in parts[5]]
    return Graph(
        [node_of(fields(node)) for node in parts[1]],
        {text(tensor[8][0]): array_of(tensor) for tensor in weights},
        [text(fields(output)[1][0]) for output in parts[12]],
    )


def fields(data: bytes) -> dict[int, list[Any]]:
    """Return the values of each field, by its number."""
    found: dict[int, list[Any]] = defaultdict(list)
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = divmod(key, 8)
        if kind == 0:
            value, at = varint(data, at)
            found[number].append(value)
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = varint(data, at)
        found[number].append(data[at : at + size])
        at += size
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value - (1 << 64) if value >> 63 else value), at


def text(value: bytes) -> str:
    """Return a name."""
    return value.decode()


def node_of(parts: dict[int, list[Any]]) -> Node:
    """Return an operator from its fields."""
    settings = [fields(setting) for setting in parts[5]]
    return Node(
        text(parts[4][0]),
        [text(name) for name in parts[1]],
        [text(name) for name in parts[2]],
        {text(setting[1][0]): value_of(setting) for setting in settings},
    )


def value_of(setting: dict[int, list[Any]]) -> Any:
    """Return the value of a setting: a number, a text, an array or a list of integers."""
    if setting[5]:
        return array_of(fields(setting[5][0]))
    if setting[8]:
        return integers(setting[8])
    if setting[4]:
        return text(setting[4][0])
    return float(np.frombuffer(setting[2][0], "<f4")[0]) if setting[2] else setting[3][0]


def integers(values: list[Any]) -> list[int]:
    """Return a repeated integer field, whose values are one a field or many in one."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            found.append(number)
    return found


def array_of(tensor: dict[int, list[Any]]) -> np.ndarray:
    """Return an array from the fields of a tensor."""
    kind = np.dtype(TYPES[tensor[2][0]])
    shape = integers(tensor[1])
    if tensor[9]:
        return np.frombuffer(tensor[9][0], kind.newbyteorder("<")).astype(kind).reshape(shape)
    if tensor[4]:
        return np.frombuffer(b"".join(tensor[4]), "<f4").astype(kind).reshape(shape)
    return np.array(integers(tensor[5] or tensor[7]), kind).reshape(shape)
