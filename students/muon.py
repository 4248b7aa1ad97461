"""Muon in float32: momentum whose update is made orthogonal by Newton–Schulz iterations (Jordan et al. 2024).

torch.optim.Muon iterates in bfloat16, which processors without bfloat16 units emulate, a hundred times slower; here equal shapes share one
batched product in float32 as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the quintic X ← aX + (bA + cA²)X with A = XXᵀ."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, scaled by sqrt(max(1, rows / columns)); for matrices only."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], *, lr: float, momentum: float = 0.95, iterations: int = 5) -> None:
        """`lr` is the size of an update in units of its spectral norm."""
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "iterations": iterations})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        """Update all matrices from their gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for matrices in by_shape.values():
                self._update(matrices, group)

    def _update(self, matrices: list[torch.nn.Parameter], group: dict[str, float]) -> None:
        wanted = []
        for matrix in matrices:
            assert matrix.grad is not None
            buffer = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
            buffer.lerp_(matrix.grad, 1 - group["momentum"])
            wanted.append(matrix.grad.lerp(buffer, group["momentum"]))
        rows, columns = matrices[0].shape
        scale = group["lr"] * max(1.0, rows / columns) ** 0.5
        for matrix, update in zip(matrices, orthogonal(torch.stack(wanted), iterations=int(group["iterations"])), strict=True):
            matrix.sub_(update, alpha=scale)


def orthogonal(matrices_NRC: torch.Tensor, *, iterations: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly: singular values end between 0.7 and 1.2. Shape [N, R, C] in and out."""
    a, b, c = COEFFICIENTS
    tall = matrices_NRC.size(1) > matrices_NRC.size(2)
    x = matrices_NRC.mT if tall else matrices_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
