"""ESC's control scheme: from a first window per problem, what a (window, most draws) will cost and risk (arXiv 2401.10480, section 2.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import erfc, sqrt
from statistics import fmean
from typing import NamedTuple


class Prediction(NamedTuple):
    """What ESC with this window and at most so many draws is expected to do."""

    window: int
    most: int
    draws: float
    """Expected per problem."""
    changed: float
    """Upper bound on the share of problems whose answer is another than that of all draws."""


def predict(pilots: Iterable[Sequence[str | None]], *, window: int, most: int) -> Prediction:
    """Predict from the answers of a pilot, a first window of draws per problem; an answer that cannot be read (None) never agrees.

    With p_j the frequencies of a problem's answers in its pilot, q = Σ p_j^w is the chance of a unanimous window, and the expected draws
    are Σ_{i<n} (i+1) w q (1-q)^i + most (1-q)^n for n = ⌊most / w⌋ windows (the paper's formula where w divides most). The answer changes
    where another than the most frequent one fills a window; its chance is bounded by the normal approximation
    1 - Φ((w - w p_i) / sqrt(w p_i (1 - p_i))).
    """
    shares = [_shares(pilot) for pilot in pilots]
    if not shares:
        raise ValueError("no pilot: at least one problem with a first window of draws is needed")
    draws = fmean(_expected(sum(share**window for share in own), window, most) for own in shares)
    changed = fmean(sum(_filled(share, window) for share in own[1:]) for own in shares)
    return Prediction(window, most, draws, changed)


def cheapest(predictions: Iterable[Prediction], *, risk: float) -> Prediction | None:
    """The one of fewest draws among those that change at most the share `risk` of the answers; None where none does.

    The risk is that of another answer than the vote of `most` draws, so that only predictions of equal `most` are alternatives.
    """
    return min((found for found in predictions if found.changed <= risk), key=lambda found: found.draws, default=None)


def _shares(pilot: Sequence[str | None]) -> list[float]:
    """The frequencies of the answers that could be read, the largest first."""
    counts = Counter(answer for answer in pilot if answer is not None)
    return sorted((number / len(pilot) for number in counts.values()), reverse=True)


def _expected(agrees: float, window: int, most: int) -> float:
    windows = most // window
    stopped = sum((i + 1) * window * agrees * (1 - agrees) ** i for i in range(windows))
    return float(stopped + most * (1 - agrees) ** windows)


def _filled(share: float, window: int) -> float:
    """Bound of the chance that an answer of this frequency fills a window."""
    return erfc((window - window * share) / sqrt(window * share * (1 - share)) / sqrt(2)) / 2
