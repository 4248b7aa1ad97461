"""How hard a problem is for a teacher, by the share of its draws that are right."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from data.records import Outcome

EASY_FROM, HARD_TO = 0.8, 0.3
"""Of 4 draws: all right is easy, one or none is hard."""


class Difficulty(StrEnum):
    """A band of pass rates."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


def pass_rate(outcomes: Iterable[Outcome]) -> float:
    """Share of right draws among all of a problem's draws, unfinished ones included."""
    found = list(outcomes)
    return sum(outcome is Outcome.RIGHT for outcome in found) / len(found)


def difficulty(rate: float) -> Difficulty:
    """The band of a pass rate."""
    return Difficulty.EASY if rate >= EASY_FROM else Difficulty.HARD if rate <= HARD_TO else Difficulty.MEDIUM
