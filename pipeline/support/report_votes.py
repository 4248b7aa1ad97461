"""The part of a report on ways of counting draws, and on what rankers are worth."""

from __future__ import annotations

from collections.abc import Sequence

from data.metrics.votes import ORDERS, Votes
from pipeline.support.report_text import NONE, Table, markdown, percent, points

OF_VOTES = (
    f"`majority` is the plain vote of all draws. Draws and tokens are per problem. Rules read draws in order: every number is a mean over "
    f"{ORDERS} orders of the draws. Differences (points) are paired with the plain vote of as many draws, or as many tokens, taken between "
    "two whole numbers of draws where need be."
)
OF_RANKERS = (
    "How often a ranker scores a right draw above a wrong one of the same problem, and the mean squared error of its scores as chances "
    "(Brier): calibrated on the validation draws, as they come from its training, and of a ranker that says the rate of right draws every "
    "time."
)


def vote_sections(votes: Votes | None, students: Sequence[str]) -> list[str]:
    """Markdown, with the students in this order; nothing where no votes were asked for."""
    if votes is None:
        return []
    parts = [f"## Votes: the draws of {votes.problems} test problems", markdown(_counted(votes, students)), OF_VOTES]
    return parts + ([markdown(_judged(votes, students)), OF_RANKERS] if votes.judged else [])


def _counted(votes: Votes, students: Sequence[str]) -> Table:
    header = ("student", "vote", "accuracy", "draws", "tokens", "same answer as all", "− plain, equal draws", "− plain, equal tokens")
    rows = []
    for student in students:
        for way, own in votes.counted.get(student, {}).items():
            rows.append([student, way, percent(own.accuracy), f"{own.draws:.1f}", f"{own.tokens:.1f}", f"{100 * own.agreement:.1f} %"])
            rows[-1] += [points(own.at_equal_draws), points(own.at_equal_tokens)]
    return header, rows


def _judged(votes: Votes, students: Sequence[str]) -> Table:
    header = ("ranker", "student", "right above wrong", "Brier", "as trained", "of the rate alone", "slope, offset (by seed)")
    rows = []
    for ranker, by_student in votes.judged.items():
        for student, own in ((student, by_student[student]) for student in students if student in by_student):
            fits = "; ".join(f"{fit.slope:.2f}, {fit.offset:+.2f}" for _, fit in sorted(own.calibration.items()))
            pairs = NONE if own.pair_accuracy is None else f"{100 * own.pair_accuracy:.1f} %"
            rows.append([ranker, student, pairs, f"{own.brier:.3f}", f"{own.brier_raw:.3f}", f"{own.brier_of_rate:.3f}", fits or NONE])
    return header, rows
