"""Checkpoints: all that a run needs to go on exactly, and bare weights small enough to keep.

A checkpoint is a torch file of tensors and plain values; bare weights are a safetensors file in
half precision, from which a run goes on with fresh optimisers.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from .networks.model import LMBDA_MIN, LMBDA_RATIO

FORMAT = 3  # 1: up to model 3, 2: before its layers were centred; networks no longer built
QUALITIES = [LMBDA_MIN, LMBDA_RATIO]
RUN = {"step", "seconds", "model", "average", "optimizers"}  # of a checkpoint: the rest names it


def about_codec(arch: dict[str, Any]) -> dict[str, Any]:
    """Return what names a checkpoint, or bare weights, as those of a codec of these widths."""
    return {"format": FORMAT, "lmbda": QUALITIES, "arch": arch}


def replace_file(path: Path, state: dict[str, Any]) -> None:
    """Write a torch file; a kill at any moment leaves the old or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def read_state(path: Path, kind: int | str) -> dict[str, Any]:
    """Read a checkpoint, or bare weights as a checkpoint at step 0 without optimisers.

    Only tensors and plain values are accepted from either file.

    Raises:
        InputError: the file is missing, damaged or of another format than `kind`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        bare = path.suffix == ".safetensors"
        state = _load_weights(path) if bare else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything
        raise InputError(f"{path}: not a checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != kind:
        raise InputError(f"{path}: not a checkpoint of format {kind}")
    return state


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of the codec; see `read_state`.

    Raises:
        InputError: as there, or it was trained for other qualities.
    """
    state = read_state(path, FORMAT)
    if list(state["lmbda"]) != QUALITIES:
        raise InputError(f"{path}: trained for other qualities: lmbda {state['lmbda']}")
    return state


def save_weights(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint's averaged weights alone, in half precision, with what names them."""
    half = {name: value.half().contiguous() for name, value in state["average"].items()}
    about = {key: value for key, value in state.items() if key not in RUN}
    save_file(half, path, {"npeg": json.dumps(about)})


def _load_weights(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        about: dict[str, Any] = json.loads(file.metadata()["npeg"])
        weights: dict[str, Tensor] = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    return about | {
        "step": 0,
        "seconds": 0.0,
        "model": weights,
        "average": weights,
        "optimizers": [],
    }
