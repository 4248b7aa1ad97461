"""From a ranker's scores to chances, and how good both are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RIDGE = 1e-3
"""Pulls the slope to 1 and the offset to 0 with the weight of a thousandth of a draw: scores that separate perfectly have a finite fit."""
STEPS, HALVINGS, TOLERANCE = 100, 30, 1e-9
"""Of Newton's method: most steps, how often one is halved, and the gain in nats at which it ends."""


class Calibration(NamedTuple):
    """chance = 1 / (1 + exp(-(slope · logit + offset))) (Platt scaling of a logit)."""

    slope: float = 1.0
    offset: float = 0.0
    fitted: bool = False
    """Whether there was anything to fit it on."""

    def chance(self, logit: float) -> float:
        """Chance of being right."""
        return sigmoid(self.slope * logit + self.offset)


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x) without overflow."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def calibrated(logits: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The maximum of the likelihood, by Newton's method. A slope below 0 (a ranker that is worse than chance) becomes 0.

    Without draws that are right and draws that are wrong nothing can be fitted, and the scores stay as they are.
    """
    if len(set(right)) < 2:
        return Calibration()
    fitted = _fit(logits, right, slope=None)
    return fitted if fitted.slope >= 0 else _fit(logits, right, slope=0.0)


def _fit(logits: Sequence[float], right: Sequence[bool], *, slope: float | None) -> Calibration:
    """The best fit; with the `slope` that is given, if one is."""
    import numpy as np

    x = np.stack([np.asarray(logits, dtype=np.float64), np.ones(len(logits))], axis=1)
    y, start = np.asarray(right, dtype=np.float64), np.array([1.0 if slope is None else slope, 0.0])
    free = np.array([slope is None, True])

    def loss(theta: NDArray[np.float64]) -> float:
        z = x @ theta
        return float(np.logaddexp(0, np.where(y > 0, -z, z)).sum() + 0.5 * RIDGE * ((theta - start) ** 2).sum())

    theta = start
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -500, 500)))
        gradient = (x.T @ (p - y) + RIDGE * (theta - start))[free]
        hessian = ((x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(2))[np.ix_(free, free)]
        step = np.zeros(2)
        step[free] = np.linalg.solve(hessian, gradient)
        tried = (theta - step / 2**halvings for halvings in range(HALVINGS))
        lower = next((new for new in tried if loss(new) < loss(theta) - TOLERANCE), None)
        if lower is None:
            break
        theta = lower
    return Calibration(float(theta[0]), float(theta[1]), fitted=True)


def brier(chances: Sequence[float], right: Sequence[bool]) -> float | None:
    """Mean squared difference between the chance and what was (Brier 1950); 0 is perfect, None is of nothing."""
    if not chances:
        return None
    return fmean((chance - is_right) ** 2 for chance, is_right in zip(chances, right, strict=True))


def pair_accuracy(groups: Iterable[Mapping[bool, Sequence[float]]]) -> float | None:
    """How often a right draw has the higher score than a wrong one of the same problem; equal scores count half.

    `groups` has the scores of every problem by whether they are of right draws; problems weigh the same. None without such pairs.
    """
    shares = [_share(group[True], group[False]) for group in groups if group.get(True) and group.get(False)]
    return fmean(shares) if shares else None


def _share(right: Sequence[float], wrong: Sequence[float]) -> float:
    return fmean((r > w) + 0.5 * (r == w) for r in right for w in wrong)
