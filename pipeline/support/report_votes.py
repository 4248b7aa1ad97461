"""The part of a report on ways of counting draws, and on what rankers are worth."""

from __future__ import annotations

from collections.abc import Sequence

from data.metrics.calibration import Calibration
from data.metrics.votes import ORDERS, Votes
from data.voting import PLAIN
from pipeline.support.report_text import NONE, Table, markdown, percent, points

OF_VOTES = (
    f"`{PLAIN}` is the plain vote of all draws. Draws and tokens are per problem; prompts are not counted, nor what a ranker reads (every "
    f"prompt and answer once). Numbers of rules that stop are means over {ORDERS} orders of the draws or more (all orders of few draws). "
    "Differences (points) are paired with the best that the plain vote gives for as many draws, or as many tokens, on average: a mixture "
    "of two numbers of draws. Intervals are of one comparison each."
)
OF_RANKERS = (
    "How often a ranker scores a right draw above a wrong one of the same problem, and the mean squared error of its scores as chances "
    "(Brier): calibrated on the validation draws, as they come from its training, and of a ranker that says the rate of right draws every "
    "time."
)


def vote_sections(test: Votes | None, validation: Votes | None, students: Sequence[str]) -> list[str]:
    """Markdown, with the students in this order; nothing where no votes were asked for."""
    if test is None:
        return []
    parts = [f"## Votes: the draws of {test.problems} test problems", markdown(_counted(test, students)), OF_VOTES]
    if test.judged:
        parts += [markdown(_judged(test, students)), OF_RANKERS]
    if validation is not None:
        parts += [
            f"The same on the draws of {validation.problems} validation problems, for choosing:",
            markdown(_counted(validation, students)),
        ]
    return parts


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
            pairs = NONE if own.pair_accuracy is None else f"{100 * own.pair_accuracy:.1f} %"
            errors = [NONE if error is None else f"{error:.3f}" for error in (own.brier, own.brier_raw, own.brier_of_rate)]
            rows.append([ranker, student, pairs, *errors, "; ".join(_fit(fit) for _, fit in sorted(own.calibration.items()))])
    return header, rows


def _fit(calibration: Calibration) -> str:
    return f"{calibration.slope:.2f}, {calibration.offset:+.2f}" if calibration.fitted else "not calibrated: no right and wrong draws"
