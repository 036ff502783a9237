"""Training images: a folder decoded once into memory, and batches drawn from it by number.

Batch k is a pure function of (seed, k), so an interrupted run continues exactly, and several
processes can each draw their own part of the same batch.
"""

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..arrays import Pixels
from ..errors import InputError
from ..inputs import rgb_file

T = TypeVar("T")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm"}


def load_images(
    folder: Path, smallest: int, progress: bool = True, most: int | None = None
) -> list[Pixels]:
    """Decode the images below a folder, sorted by path, as (H, W, 3) sRGB.

    Args:
        folder: searched with all its subfolders.
        smallest: images with a shorter side, in pixels, are left out.
        progress: whether to show a progress bar.
        most: read only so many images, spread evenly over the folder.

    Raises:
        InputError: no usable image was found, or one is damaged.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if most and len(paths) > most:
        paths = [paths[i * len(paths) // most] for i in range(most)]

    bar = {"total": len(paths), "desc": f"reading {folder.name}", "disable": not progress}
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # metadata does not matter here
        images = list(tqdm(pool.map(rgb_file, paths), **bar))
    images = [image for image in images if min(image.shape[:2]) >= smallest]
    if not images:
        raise InputError(f"{folder}: no image of at least {smallest}x{smallest} pixels found")
    return images


def draw_sample(
    images: list[Pixels],
    crop: int,
    rng: np.random.Generator,
    max_downscale: float = 1.0,
    vivid: float = 0.0,
) -> Pixels:
    """Cut a random crop, mirrored and transposed at random, as (3, crop, crop).

    With `max_downscale` above 1 every other one is scaled down from a crop up to so many times as
    large in each direction: sharper and busier than the photograph itself. Of all, a share `vivid`
    becomes more colourful and sharper, as photographs on the web are.
    """
    image = images[rng.integers(len(images))]
    side = crop
    if max_downscale > 1 and rng.random() < 0.5:
        largest = min(max_downscale, min(image.shape[:2]) / crop)
        side = int(crop * rng.uniform(1, largest))
    top = rng.integers(image.shape[0] - side + 1)
    left = rng.integers(image.shape[1] - side + 1)
    sample = image[top : top + side, left : left + side]
    if side > crop:
        scaled = Image.fromarray(sample).resize((crop, crop), Image.Resampling.LANCZOS)
        sample = np.asarray(scaled)
    if vivid and rng.random() < vivid:
        sample = _make_vivid(sample, rng)
    mirror, transpose = rng.integers(2, size=2)
    if mirror:
        sample = sample[:, ::-1]
    return sample.transpose((2, 1, 0) if transpose else (2, 0, 1))


def _make_vivid(sample: Pixels, rng: np.random.Generator) -> Pixels:
    """Raise the saturation by up to 80 % and sharpen, each by a random amount."""
    coloured = ImageEnhance.Color(Image.fromarray(sample)).enhance(rng.uniform(1, 1.8))
    mask = ImageFilter.UnsharpMask(radius=rng.uniform(0.5, 1.2), percent=int(rng.uniform(0, 120)))
    return np.asarray(coloured.filter(mask))


def draw_batch(
    images: list[Pixels],
    crop: int,
    batch: int,
    seed: int,
    step: int,
    rank: int = 0,
    world: int = 1,
    max_downscale: float = 1.0,
    vivid: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Return this process's samples of batch number `step`; see `draw_sample` for what they are.

    The qualities of the whole batch are stratified over [0, 1], which steadies the loss.

    Returns:
        x (batch, 3, crop, crop) in [0, 1] and t (batch,).
    """
    whole = np.random.default_rng((seed, step))
    strata = (whole.permutation(batch * world) + whole.random(batch * world)) / (batch * world)
    mine = range(rank * batch, (rank + 1) * batch)
    samples = [
        draw_sample(images, crop, np.random.default_rng((seed, step, i)), max_downscale, vivid)
        for i in mine
    ]
    pixels = torch.from_numpy(np.stack([sample.transpose(1, 2, 0) for sample in samples]))
    x = pixels.permute(0, 3, 1, 2).float().div_(255)  # in memory with the channels last
    return x, torch.from_numpy(strata[mine.start : mine.stop]).float()


def draw_noise(shapes: Sequence[tuple[int, ...]], seed: int, step: int, first: int) -> list[Tensor]:
    """Return uniform noise in [-0.5, 0.5), one tensor a shape, each sample with its own seed."""
    noise = [torch.empty(shape) for shape in shapes]
    for i in range(shapes[0][0]):
        key = np.random.SeedSequence((seed, step, first + i, 1)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(key >> 1))
        for tensor in noise:
            tensor[i].uniform_(-0.5, 0.5, generator=generator)
    return noise


def prefetch(source: Iterator[T], depth: int = 2) -> Generator[T, None, None]:
    """Draw from an endless source in a background thread, `depth` items ahead.

    Close it in the end: a thread that still computes while Python shuts down aborts the process.
    What the source raises is raised here.
    """
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(next, source) for _ in range(depth))
        try:
            while True:
                item = ahead.popleft().result()
                ahead.append(pool.submit(next, source))
                yield item
        finally:
            for future in ahead:
                future.cancel()


class Drawn(Dataset[T]):
    """What `draw` returns for each number."""

    def __init__(self, draw: Callable[[int], T]) -> None:
        self.draw = draw

    def __getitem__(self, number: int) -> T:
        return self.draw(number)


def draw_in_processes(
    draw: Callable[[int], T], numbers: range, workers: int, pin: bool
) -> Generator[T, None, None]:
    """Yield draw(number) for each number in their order, drawn by several processes.

    For steps that are shorter than a batch takes to draw. `pin` keeps tensors where a GPU can fetch
    them while it computes.
    """
    loader: DataLoader[Any] = DataLoader(
        Drawn(draw),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=pin,
    )
    yield from loader


def moved(batch: T, device: torch.device) -> T:
    """Return a batch, tensors in tuples and lists, on a device."""
    if isinstance(batch, tuple | list):
        return type(batch)(moved(part, device) for part in batch)
    return batch.to(device, non_blocking=True)  # type: ignore[attr-defined]
