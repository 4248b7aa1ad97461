"""How hard a problem is for a teacher, by the share of its draws that are right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum

from data.records import Outcome, Trace

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


def difficulties(traces: Iterable[Trace], outcomes: Mapping[str, Outcome]) -> dict[str, Difficulty]:
    """Problem → its band, from all of its long traces and what the verifier said of each (by trace id)."""
    of_problem: dict[str, list[Outcome]] = defaultdict(list)
    for trace in traces:
        of_problem[trace.problem_id].append(outcomes[trace.id])
    return {problem_id: difficulty(pass_rate(found)) for problem_id, found in of_problem.items()}


def difficulty(rate: float) -> Difficulty:
    """The band of a pass rate."""
    return Difficulty.EASY if rate >= EASY_FROM else Difficulty.HARD if rate <= HARD_TO else Difficulty.MEDIUM
