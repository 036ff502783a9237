"""Models of one's own: folders that `npeg export` wrote, named in files by a hash of their weights.

Enters: folders, names of models. Leaves: the other. Knows which files a decoder runs, but not what
is in them.

Source: FIPS 180-4 (SHA-256).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from hashlib import sha256
from pathlib import Path

from . import weights
from .errors import FormatError, InputError
from .sections import NAME_BYTES

VARIABLE = "NPEG_MODELS"
DECODING = ("context.onnx", "entropy.npz", "mean_head.onnx", "scale_head.onnx", "synthesis.onnx")
"""Files that decoding pixels needs, by name; others are for the encoder and small pictures."""

_given: ContextVar[Path | None] = ContextVar("_given", default=None)


def name_of(folder: Path) -> str:
    """Return the name of the model in a folder, 16 hexadecimal digits.

    Raises:
        InputError: there is no such model.
    """
    path = folder / weights.SUMS
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"found no model, expected a folder by npeg export: {folder}") from error
    digests = {line[66:]: line for line in lines}  # 64 digits, two blanks and the file's name
    if not digests.keys() >= {*DECODING}:
        raise InputError(f"found no model of photographs, some files are missing: {folder}")
    text = "".join(f"{digests[name]}\n" for name in DECODING)
    return sha256(text.encode()).hexdigest()[: 2 * NAME_BYTES]  # shared once in 10^19 pairs


def find(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a model: that folder, or one of this name where NPEG_MODELS leads.

    Raises:
        InputError: there is none.
    """
    try:
        places = [Path(model), *(Path(place) / model for place in _places())]
    except TypeError:
        raise InputError(f"found {model!r} as a model, expected its folder") from None
    for place in places:
        if (place / weights.SUMS).is_file():
            name_of(place)
            return place
    raise InputError(f"found no model, expected a folder by npeg export: {os.fspath(model)}")


@contextmanager
def also(model: str | os.PathLike[str] | None) -> Iterator[None]:
    """Let files find this model, for a while; None: nothing changes.

    Raises:
        InputError: there is no such model.
    """
    if model is None:
        yield
        return
    token = _given.set(find(model))
    try:
        yield
    finally:
        _given.reset(token)


def folder_of(name: str, shipped: Iterable[Path]) -> Path:
    """Return the folder of the model of a name: the one given, or in NPEG_MODELS, or shipped.

    Raises:
        FormatError: it is in none of them.
    """
    given = _given.get()
    if given is not None and name_of(given) == name:
        return given
    for place in (*everywhere(), *shipped):
        if name_of(place) == name:
            return place
    if given is not None:
        raise FormatError(f"file needs model {name}, found model {name_of(given)}: {given}")
    where = f"--model, model= or {VARIABLE}"
    raise FormatError(f"file needs model {name}, which is not here: name its folder by {where}")


def _places() -> list[str]:
    """Return the folders of NPEG_MODELS."""
    return [place for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place.strip()]


def everywhere() -> list[Path]:
    """Return the models that NPEG_MODELS leads to: its folders, and those in them."""
    found: list[Path] = []
    for place in map(Path, _places()):
        for folder in (place, *sorted(path.parent for path in place.glob(f"*/{weights.SUMS}"))):
            with suppress(InputError):  # another thing
                name_of(folder)
                found.append(folder)
    return found
