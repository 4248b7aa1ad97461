"""How hard a problem is for a teacher, by the share of the draws that every problem gets that are right."""

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
    """Share of right draws among some of a problem's draws, unfinished ones included; 0 of none."""
    found = list(outcomes)
    return sum(outcome is Outcome.RIGHT for outcome in found) / max(len(found), 1)


def difficulties(traces: Iterable[Trace], outcomes: Mapping[str, Outcome], *, first: int | None) -> dict[str, Difficulty]:
    """Problem → its band, from its `first` draws (None: all) and what the verifier said of each (by trace id).

    Where a rule stops drawing at what it saw, the draws past those that every problem gets are no fair sample. A problem none of whose
    first draws is a trace (they failed, or lack the format) is hard.
    """
    of_problem: dict[str, list[Outcome]] = defaultdict(list)
    for trace in traces:
        of_problem[trace.problem_id] += [outcomes[trace.id]] if is_first(trace, first) else []
    return {problem_id: difficulty(pass_rate(found)) for problem_id, found in of_problem.items()}


def is_first(trace: Trace, first: int | None) -> bool:
    """Whether a long trace is among the `first` draws of its problem, in index order (None: all)."""
    return first is None or trace.draw < first


def difficulty(rate: float) -> Difficulty:
    """The band of a pass rate."""
    return Difficulty.EASY if rate >= EASY_FROM else Difficulty.HARD if rate <= HARD_TO else Difficulty.MEDIUM
