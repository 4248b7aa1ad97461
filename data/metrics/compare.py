"""Students beside each other: every measure with its interval, and paired differences against baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from data.metrics.answers import aes
from data.metrics.bootstrap import Estimate, estimate, holm, ratios, resampled_ratios, sign_flip_p
from data.metrics.cells import MEASURES, Cells, Measure, cells
from data.records import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_PROBLEMS = 1000
"""With fewer problems "keeps accuracy" is not claimed: the interval is as wide as the margin."""


class Keeps(StrEnum):
    """Does a student keep the baseline's accuracy?"""

    YES = "yes"
    NO = "no"
    TOO_FEW = "too few problems"


@dataclass(frozen=True)
class Rules:
    """How numbers are made: number and seed of the resamples, margin of "keeps accuracy"."""

    resamples: int = 2000
    seed: int = 0
    margin: float = 0.03


class Paired(NamedTuple):
    """One student against one baseline on the same problems; `p_holm` is corrected for all students compared with this baseline."""

    difference: Estimate
    token_ratio: Estimate
    p: float
    p_holm: float
    keeps: Keeps
    aes: float | None


@dataclass(frozen=True)
class Comparison:
    """`summary[student][measure]` and `paired[baseline][student]`, over the same `problems` problems."""

    problems: int
    summary: dict[str, dict[str, Estimate]]
    paired: dict[str, dict[str, Paired]]

    def value(self, student: str, measure: str) -> float:
        """The number of one measure that is always defined (accuracy, tokens, unfinished)."""
        value = self.summary[student][measure].value
        assert value is not None, f"{student}.{measure} is not defined"
        return value


class _Sampled(NamedTuple):
    cells: Cells
    point_SM: NDArray[np.float64]
    resampled_BSM: NDArray[np.float64]


def compare(
    scores: Iterable[Score], rules: Rules, *, baselines: Iterable[str] = (), measures: Mapping[str, Measure] = MEASURES
) -> Comparison:
    """Compare all students of `scores` (one split, one mode); a baseline that has no scores is left out."""
    made = cells(scores, measures)
    arrays = made.numerators_SPM, made.denominators_SPM
    sampled = _Sampled(made, ratios(*arrays), resampled_ratios(*arrays, resamples=rules.resamples, seed=rules.seed))
    return Comparison(
        problems=len(made.problems),
        summary={student: _summary(sampled, index) for index, student in enumerate(made.students)},
        paired={baseline: _paired(sampled, baseline, rules) for baseline in baselines if baseline in made.students},
    )


def _summary(sampled: _Sampled, student: int) -> dict[str, Estimate]:
    return {
        measure: estimate(float(sampled.point_SM[student, index]), sampled.resampled_BSM[:, student, index])
        for index, measure in enumerate(sampled.cells.measures)
    }


def _paired(sampled: _Sampled, baseline: str, rules: Rules) -> dict[str, Paired]:
    others = [student for student in sampled.cells.students if student != baseline]
    if not others:
        return {}
    p_values = _p_values(sampled.cells, baseline, others, rules=rules)
    corrected = holm(p_values)
    return {
        student: _pair(sampled, student, baseline, margin=rules.margin, p_values=(p, p_holm))
        for student, p, p_holm in zip(others, p_values, corrected, strict=True)
    }


def _p_values(made: Cells, baseline: str, others: list[str], *, rules: Rules) -> list[float]:
    accuracy_SP = made.numerators_SPM[:, :, made.measures.index("accuracy")]
    of_others = accuracy_SP[[made.students.index(student) for student in others]]
    differences_PK = (of_others - accuracy_SP[made.students.index(baseline)]).T
    return [float(p) for p in sign_flip_p(differences_PK, resamples=rules.resamples, seed=rules.seed)]


def _pair(sampled: _Sampled, student: str, baseline: str, *, margin: float, p_values: tuple[float, float]) -> Paired:
    made = sampled.cells
    s, b = made.students.index(student), made.students.index(baseline)
    accuracy, tokens = made.measures.index("accuracy"), made.measures.index("tokens")
    point, resampled = sampled.point_SM, sampled.resampled_BSM
    difference = estimate(
        float(point[s, accuracy] - point[b, accuracy]),
        resampled[:, s, accuracy] - resampled[:, b, accuracy],
    )
    return Paired(
        difference=difference,
        token_ratio=_token_ratio(sampled, s, b),
        p=p_values[0],
        p_holm=p_values[1],
        keeps=keeps_accuracy(difference, problems=len(made.problems), margin=margin),
        aes=aes(
            float(point[s, accuracy]),
            float(point[s, tokens]),
            baseline_accuracy=float(point[b, accuracy]),
            baseline_tokens=float(point[b, tokens]),
        ),
    )


def _token_ratio(sampled: _Sampled, student: int, baseline: int) -> Estimate:
    """Ratio of mean tokens (not the mean of ratios, which long answers of single problems would rule)."""
    tokens = sampled.cells.measures.index("tokens")
    if sampled.point_SM[baseline, tokens] <= 0:
        return Estimate(None, None, None)
    point, resampled = sampled.point_SM[:, tokens], sampled.resampled_BSM[:, :, tokens]
    return estimate(float(point[student] / point[baseline]), resampled[:, student] / resampled[:, baseline])


def keeps_accuracy(difference: Estimate, *, problems: int, margin: float) -> Keeps:
    """Yes where the lower bound of the paired difference lies above -margin; claimed on at least 1,000 problems only."""
    if problems < MIN_PROBLEMS or difference.low is None:
        return Keeps.TOO_FEW
    return Keeps.YES if difference.low > -margin else Keeps.NO


def per_seed(scores: Iterable[Score]) -> dict[tuple[str, int], dict[str, float]]:
    """The defined measures of every student and seed, without intervals."""
    groups: dict[tuple[str, int], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.student, score.seed), []).append(score)
    return {key: _points(rows) for key, rows in sorted(groups.items())}


def _points(scores: list[Score]) -> dict[str, float]:
    made = cells(scores)
    values = ratios(made.numerators_SPM, made.denominators_SPM)[0]
    return {measure: float(value) for measure, value in zip(made.measures, values, strict=True) if value == value}
