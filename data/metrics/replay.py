"""What stopping rules would have done on draws that are there: samples, accuracy, and agreement with the vote of all draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from data.metrics.answers import credit
from data.metrics.bootstrap import Estimate, estimate, ratios, resampled_ratios
from data.metrics.compare import Rules
from data.stop_settings import StopRule
from data.stopping import Vote, leaders_of, stop

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Pool = Mapping[str, Sequence[Vote]]
"""Problem → all its draws."""


class Replayed(NamedTuple):
    """One rule, per problem; intervals are over problems, shuffles are averaged inside of each."""

    draws: Estimate
    accuracy: Estimate
    agreement: Estimate
    """How often its answer is that of the vote of all draws."""
    against_all: Estimate
    """Accuracy minus that of the vote of all draws, paired."""


def replay(pool: Pool, rules: Mapping[str, StopRule | None], *, shuffles: int, bootstrap: Rules) -> dict[str, Replayed]:
    """Let every rule read the draws of every problem in `shuffles` random orders, the same for all rules."""
    import numpy as np

    cells_PR3 = np.array([[_of_problem(name, pool[name], rule, shuffles) for rule in rules.values()] for name in sorted(pool)])
    all_P = np.array([credit(leaders_of(pool[name]), pool[name]) for name in sorted(pool)])
    cells_PR4 = np.concatenate([cells_PR3, cells_PR3[..., 1:2] - all_P[:, None, None]], axis=2)
    columns_1PM = cells_PR4.reshape(1, len(pool), -1)
    ones = np.ones_like(columns_1PM)
    point_R4 = ratios(columns_1PM, ones).reshape(-1, 4)
    resampled_BR4 = resampled_ratios(columns_1PM, ones, resamples=bootstrap.resamples, seed=bootstrap.seed).reshape(-1, len(rules), 4)
    return {
        name: Replayed(*(estimate(float(point_R4[row, column]), resampled_BR4[:, row, column]) for column in range(4)))
        for row, name in enumerate(rules)
    }


def _of_problem(name: str, votes: Sequence[Vote], rule: StopRule | None, shuffles: int) -> tuple[float, float, float]:
    """Draws, credit and agreement, means over shuffles."""
    every = leaders_of(votes)
    found = []
    for number in range(shuffles if rule else 1):
        ended = stop(rule, Random(f"replay:{name}:{number}").sample(votes, len(votes)))
        found.append((float(ended.draws), credit(ended.leaders, votes), float(ended.leaders == every)))
    draws, accuracy, agreement = (fmean(values) for values in zip(*found, strict=True))
    return draws, accuracy, agreement
