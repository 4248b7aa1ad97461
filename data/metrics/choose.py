"""The best short student, chosen on validation by a written rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from statistics import fmean

from data.metrics.compare import Comparison
from data.records import Outcome, Score, Section

RULE = (
    "Among the candidates (all students but the baseline, the untrained base and controls, or those that `handoff.candidates` names) "
    "whose greedy accuracy on validation is at least the baseline's minus the margin, the one with the fewest mean tokens; "
    "ties: higher accuracy, then the name. If no candidate is within the margin, the one with the highest accuracy is taken and "
    "`within_margin` is false. Of its seeds the one with the highest validation accuracy; ties: fewer tokens, then the smaller seed."
)


class Candidate(Section):
    """One candidate's greedy numbers on validation, seeds averaged."""

    student: str
    accuracy: float
    tokens: float
    within_margin: bool


class Choice(Section):
    """The chosen student and seed (None without candidates), and what they were chosen from."""

    student: str | None
    seed: int | None
    within_margin: bool
    rule: str = RULE
    margin: float
    baseline: str
    baseline_accuracy: float
    candidates: list[Candidate]


def choose(validation: Comparison, scores: Iterable[Score], *, baseline: str, candidates: Collection[str], margin: float) -> Choice:
    """Apply `RULE`; `scores` are the greedy validation scores that `validation` was made of."""
    floor = validation.value(baseline, "accuracy") - margin
    rows = [_candidate(validation, student, floor) for student in sorted(set(candidates))]
    within = [row for row in rows if row.within_margin]
    ranked = sorted(within, key=lambda row: (row.tokens, -row.accuracy, row.student)) or sorted(
        rows, key=lambda row: (-row.accuracy, row.tokens, row.student)
    )
    best = ranked[0].student if ranked else None
    return Choice(
        student=best,
        seed=None if best is None else _best_seed([score for score in scores if score.student == best]),
        within_margin=bool(within),
        margin=margin,
        baseline=baseline,
        baseline_accuracy=round(validation.value(baseline, "accuracy"), 6),
        candidates=rows,
    )


def _candidate(validation: Comparison, student: str, floor: float) -> Candidate:
    accuracy = validation.value(student, "accuracy")
    tokens = validation.value(student, "tokens")
    # A hair of tolerance: 0.80 - 0.03 is not 0.77 in binary.
    return Candidate(student=student, accuracy=round(accuracy, 6), tokens=round(tokens, 6), within_margin=accuracy >= floor - 1e-9)


def _best_seed(scores: Collection[Score]) -> int:
    def rank(seed: int) -> tuple[float, float, int]:
        own = [score for score in scores if score.seed == seed]
        tokens = fmean(score.thinking_tokens + score.answer_tokens for score in own)
        return (-fmean(score.outcome is Outcome.RIGHT for score in own), tokens, seed)

    return min({score.seed for score in scores}, key=rank)
