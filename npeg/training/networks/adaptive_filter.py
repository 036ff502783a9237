"""The synthesis' last step: filters of luma at full resolution that follow its local structure.

Enters: the picture as the other layers give it, in 8x8 patches. Leaves: what is added to it: in
each 4x4 block a sum of a few zero-phase filters of luma, weighted by a tiny network that sees how
busy the block's surroundings are in four directions. Residual pairs at an eighth of the resolution
have no means for that. All works on blocks moved to channels, where a filter is a dense 3x3
convolution.

Source: after the adaptive loop filter of VVC (Karczewicz et al., IEEE TCSVT 31(10), 2021) and RAISR
(Romano et al., arXiv:1606.01299), with a few kernels and soft weights in place of classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import layout
from .layers import full_precision, pointwise
from .pairs import SLOPE, start_at_zero
from .quality import KNOTS, interpolate

PATCH = 8  # both transforms work on 8x8 pixel patches moved to channels
BLOCK = 4
AREA = BLOCK * BLOCK
REACH = 4  # pixels from a kernel's centre to its farthest taps
TAPS = [
    (dy, dx)
    for dy in range(REACH + 1)
    for dx in range(-REACH, REACH + 1)
    if (dy, dx) > (0, 0) and abs(dy) + abs(dx) <= REACH
]  # each stands for itself and its mirror image
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # along which second differences are taken
SAMPLED = ((0, 1), (1, 3), (2, 0), (3, 2))  # the pixels of a block where they are taken
WINDOW = 8  # side in pixels of the square around a block in which they are averaged
UNIT, FAINTEST = 1 / 255, 0.1  # of activity, and how little of it is told from none, in units
HIDDEN = 32


def blockwise(taps: dict[tuple[int, int], float], pixels: tuple[tuple[int, int], ...]) -> Tensor:
    """Return what a filter is at some pixels of each block, weights (len(pixels), AREA, 3, 3)."""
    weight = torch.zeros(len(pixels), AREA, 3, 3)
    for row, (i, j) in zip(weight, pixels, strict=True):
        for (dy, dx), value in taps.items():
            (by, y), (bx, x) = divmod(i + dy, BLOCK), divmod(j + dx, BLOCK)
            row[y * BLOCK + x, by + 1, bx + 1] += value
    return weight


def second_difference(dy: int, dx: int) -> dict[tuple[int, int], float]:
    """Return x[-d] - 2 x[0] + x[d] as taps of a filter."""
    return {(dy, dx): 1.0, (-dy, -dx): 1.0, (0, 0): -2.0}


def window_means() -> Tensor:
    """Return weights (4, 4 * len(SAMPLED), 3, 3): the mean of each direction around a block."""
    low, high = (BLOCK - WINDOW) // 2, (BLOCK + WINDOW) // 2
    inside = torch.zeros(len(SAMPLED), 3, 3)
    for by in range(3):
        for bx in range(3):
            for n, (i, j) in enumerate(SAMPLED):
                y, x = i + BLOCK * (by - 1), j + BLOCK * (bx - 1)
                inside[n, by, bx] = low <= y < high and low <= x < high
    directions = torch.eye(len(DIRECTIONS))
    return torch.einsum("de,nyx->denyx", directions, inside / inside.sum()).flatten(1, 2)


def luma_of_patches() -> Tensor:
    """Return the matrix (64, 192) from patches to the luma of their blocks, one after another.

    Patches have their pixels as `layout.unshuffle` orders them; so do patches their four blocks,
    and blocks their pixels. Its rows are orthonormal: its transpose brings luma back to R, G and B
    alike.
    """
    places = torch.arange(PATCH**2).view(1, 1, PATCH, PATCH)
    blocks = layout.unshuffle(layout.unshuffle(places, BLOCK), PATCH // BLOCK).flatten()
    return torch.eye(PATCH**2)[blocks].repeat_interleave(3, 1) / 3**0.5


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve blocks (B, C, h, w) with weights (K, C, 3, 3), those of the border repeated."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight)


class Kernels(nn.Module):
    """K zero-phase filters of blocks (B, AREA, h, w), to (B, K * AREA, h, w)."""

    spread: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.randn(count, len(TAPS)) / len(TAPS) ** 0.5)
        everywhere = tuple(divmod(place, BLOCK) for place in range(AREA))
        of_each = [blockwise(second_difference(*tap), everywhere) for tap in TAPS]
        self.register_buffer("spread", torch.cat(of_each), persistent=False)

    def weights(self) -> Tensor:
        """Return the filters as a convolution's weights (K * AREA, AREA, 3, 3)."""
        spread = self.spread.reshape(len(TAPS), AREA, AREA, 3, 3)
        return torch.einsum("kt,topyx->kopyx", self.taps, spread).flatten(0, 1)

    def forward(self, luma: Tensor) -> Tensor:
        return convolve(luma, self.weights())

    def folded(self) -> "FixedKernels":
        """Return what it is once it is trained."""
        return FixedKernels(self.weights().detach())


class FixedKernels(nn.Module):
    """`Kernels` that are trained."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, luma: Tensor) -> Tensor:
        return convolve(luma, self.weight)


class AdaptiveFilter(nn.Module):
    """What is added to patches (B, 192, h, w) of a picture; qualities t (B,).

    Args:
        kernels: how many filters are mixed.
    """

    differences: Tensor
    window: Tensor
    luma: Tensor

    def __init__(self, kernels: int) -> None:
        super().__init__()
        self.kernels: nn.Module = Kernels(kernels)
        self.first = nn.Conv2d(len(DIRECTIONS), HIDDEN, 1)
        self.shift = nn.Parameter(torch.zeros(KNOTS, HIDDEN))
        self.second = nn.Conv2d(HIDDEN, kernels, 1)
        self.gain = nn.Parameter(torch.ones(KNOTS, kernels))
        start_at_zero(self.second)
        directions = [blockwise(second_difference(*d), SAMPLED) for d in DIRECTIONS]
        self.register_buffer("differences", torch.cat(directions), persistent=False)
        self.register_buffer("window", window_means(), persistent=False)
        self.register_buffer("luma", luma_of_patches()[:, :, None, None], persistent=False)

    def forward(self, patches: Tensor, t: Tensor) -> Tensor:
        with full_precision(patches):
            added = self.added(self.blocks_of_luma(patches), t)
            return pointwise(layout.unshuffle(added, PATCH // BLOCK), self.luma.transpose(0, 1))

    def blocks_of_luma(self, patches: Tensor) -> Tensor:
        """Return the luma of patches in blocks, (B, AREA, 2 * h, 2 * w)."""
        return layout.shuffle(pointwise(patches, self.luma), PATCH // BLOCK)

    def added(self, luma: Tensor, t: Tensor) -> Tensor:
        """Return what is added to blocks of luma (B, AREA, h, w)."""
        b, _, h, w = luma.shape
        filtered = self.kernels(luma).view(b, -1, AREA, h, w)
        return (filtered * self.weights(self.activity(luma), t)[:, :, None]).sum(1)

    def activity(self, luma: Tensor) -> Tensor:
        """Return logarithms of the mean second differences around each block, (B, 4, h, w)."""
        means = convolve(convolve(luma, self.differences).abs(), self.window)
        return torch.log(means / UNIT + FAINTEST)

    def weights(self, activity: Tensor, t: Tensor) -> Tensor:
        """Return how much of each filter is added, (B, kernels, h, w)."""
        h = F.leaky_relu(self.first(activity) + interpolate(self.shift, t), SLOPE)
        return self.second(h) * interpolate(self.gain, t)
