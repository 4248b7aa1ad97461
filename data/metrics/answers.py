"""Formulas of one number: pass@k, maj@k and AES."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from data.stopping import Vote, leaders_of

AES_ALPHA, AES_BETA, AES_GAMMA = 1.0, 3.0, 5.0
GREEDY_ONLY = 0.1
"""A student whose draws are right so much more seldom than its greedy answers should not be sampled as it was."""


def is_greedy_only(greedy: float | None, drawn: float | None) -> bool:
    """Whether draws are that much worse than greedy answers."""
    return greedy is not None and drawn is not None and greedy - drawn > GREEDY_ONLY


def pass_at_k(draws: int, right: int, k: int) -> float:
    """Chance that at least one of `k` draws is right, without bias: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, eq. 1)."""
    if not 0 <= right <= draws or not 1 <= k <= draws:
        raise ValueError(f"pass@{k} of {right} right in {draws} draws: needs 1 <= k <= draws and 0 <= right <= draws")
    return 1.0 - comb(draws - right, k) / comb(draws, k)


def majority(votes: Sequence[Vote]) -> float:
    """1 where the answer of most weight is right, 0 where it is wrong; answers of equal weight share the credit.

    Answers are told apart by their text alone, since a vote does not know the gold answer. Without any vote the credit is 0.
    """
    return credit(leaders_of(votes), votes)


def credit(leaders: set[str], votes: Sequence[Vote]) -> float:
    """Share of the `leaders` that are right."""
    right = {vote.answer for vote in votes if vote.right}
    return len(leaders & right) / len(leaders) if leaders else 0.0


def majority_at_k(votes: Sequence[Vote], k: int) -> float:
    """maj@k: mean credit over the disjoint windows of `k` draws in index order (a rest shorter than `k` is left out)."""
    if not 1 <= k <= len(votes):
        raise ValueError(f"maj@{k} of {len(votes)} draws: needs 1 <= k <= draws")
    windows = [votes[start : start + k] for start in range(0, len(votes) - k + 1, k)]
    return sum(map(majority, windows)) / len(windows)


def aes(accuracy: float, tokens: float, *, baseline_accuracy: float, baseline_tokens: float) -> float | None:
    """Accuracy-efficiency score against a baseline; None where the baseline is never right or writes nothing.

    AES = alpha * dL + beta * |dA| if dA >= 0, else alpha * dL - gamma * |dA|, with dL = (L_b - L) / L_b and dA = (A - A_b) / A_b
    (the definition of O1-Pruner's code, Luo et al. 2025). Its paper's table rewards some losses of accuracy; a loss costs gamma here.
    """
    if baseline_accuracy <= 0 or baseline_tokens <= 0:
        return None
    saved = (baseline_tokens - tokens) / baseline_tokens
    gained = (accuracy - baseline_accuracy) / baseline_accuracy
    return AES_ALPHA * saved + (AES_BETA if gained >= 0 else -AES_GAMMA) * abs(gained)
