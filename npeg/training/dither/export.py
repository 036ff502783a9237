"""Weights of the teaching networks to a model folder that NumPy and ONNX Runtime run.

Writes two ONNX graphs, encoder and decoder, with weights in half precision, and `context.npz`, the
integers that the bits of a file depend on.
"""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from ...arrays import Pixels
from ...dither.context import Weights
from ...errors import InputError
from ...teaching.network import Autoencoder
from ...weights import write_sums
from ..data import load_images
from ..export.model_folder import write_graph
from . import context_fit
from .photographs import load_checkpoint
from .strided import STRIDE, StridedAutoencoder

Network = Autoencoder | StridedAutoencoder

FIT_SIDE = {1: 128, 8: 512}  # stride -> pixels a side of what is coded of each fitting image


class EncoderGraph(nn.Module):
    """Pixels (1, H, W, 3) uint8 to bits (1, P, h, w) uint8."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the bits; a sigmoid is above 1/2 where a feature is above 0."""
        x = pixels.permute(0, 3, 1, 2).float() / 255
        return (self.network.features(x) > 0).to(torch.uint8)


class DecoderGraph(nn.Module):
    """Twice the code (1, P, h, w) uint8, 0..2, to pixels (1, H, W, 3) uint8."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, halves: Tensor) -> Tensor:
        """Return the pixels."""
        x_hat = self.network.decode(halves.float() / 2)
        return (x_hat * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def load_network(codec: str, path: Path) -> Network:
    """Return the trained network of a codec: dither from `save()`, dither8 from its checkpoint.

    Raises:
        InputError: the file is not such weights.
    """
    if codec == "dither8":
        strided = StridedAutoencoder()
        strided.load_state_dict(load_checkpoint(path)["model"])
        return strided
    network = Autoencoder()
    try:
        network.load_state_dict(load_file(path))
    except Exception as error:  # torch and safetensors raise nearly anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: not weights of the teaching network ({reason})") from None
    return network


@torch.no_grad()
def code_planes(network: Network, images: list[Pixels]) -> list[NDArray[np.uint8]]:
    """Return the bits (P, h, w) of the middle of each image."""
    stride = STRIDE if isinstance(network, StridedAutoencoder) else 1
    graph, planes = EncoderGraph(network), []
    for pixels in images:
        h, w = (min(side, FIT_SIDE[stride]) // stride * stride for side in pixels.shape[:2])
        top, left = (pixels.shape[0] - h) // 2, (pixels.shape[1] - w) // 2
        crop = np.ascontiguousarray(pixels[top : top + h, left : left + w])
        planes.append(graph(torch.from_numpy(crop)[None])[0].numpy())
    return planes


def write_context(weights: Weights, path: Path) -> None:
    """Write the integers of the context model."""
    np.savez_compressed(path, allow_pickle=False, **asdict(weights))


def export(codec: str, checkpoint: Path, folder: Path, images: Path, most: int) -> None:
    """Write the model folder of a codec, whole or not at all.

    Args:
        codec: dither or dither8.
        checkpoint: its weights, see `load_network`.
        folder: where to write; replaced if it exists.
        images: folder of training images that the context model is fitted to.
        most: how many of them, spread evenly.

    Raises:
        InputError: weights or images are not usable.
    """
    network = load_network(codec, checkpoint).eval().requires_grad_(False)
    weights = context_fit.fit(code_planes(network, load_images(images, STRIDE, most=most)))
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_context(weights, partial / "context.npz")
    pixels = torch.zeros(1, 64, 48, 3, dtype=torch.uint8)
    encoder, decoder = EncoderGraph(network), DecoderGraph(network)
    write_graph(encoder, {"pixels": pixels}, ["bits"], partial / "encoder.onnx", half=True)
    halves = encoder(pixels)
    write_graph(decoder, {"halves": halves}, ["pixels"], partial / "decoder.onnx", half=True)
    write_sums(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
