"""From scores to arrays: one numerator and one denominator per student, problem and measure.

Every measure is a ratio of sums over problems, so that one bootstrap over problems gives all intervals. Draws and then seeds are
averaged inside the problem: they are no independent evidence about other problems.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from data.errors import StageError
from data.metrics.answers import majority_at_k, pass_at_k
from data.records import Outcome, Score, Status
from data.stopping import Vote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Group = Sequence[Score]
"""All scores of one student, seed and problem, by draw."""
Measure = Callable[[Group], tuple[float, float]]
"""Numerator and denominator of a group."""


class Cells(NamedTuple):
    """Arrays of shape (students, problems, measures), seeds averaged."""

    students: tuple[str, ...]
    problems: tuple[str, ...]
    measures: tuple[str, ...]
    numerators_SPM: NDArray[np.float64]
    denominators_SPM: NDArray[np.float64]


def _right(score: Score) -> float:
    return float(score.outcome is Outcome.RIGHT)


def _finished(score: Score) -> float:
    return float(score.status is not Status.TRUNCATED)


def _tokens(score: Score) -> float:
    return score.thinking_tokens + score.answer_tokens


def _ratio(numerator: Callable[[Score], float], denominator: Callable[[Score], float] = lambda score: 1.0) -> Measure:
    return lambda group: (fmean(map(numerator, group)), fmean(map(denominator, group)))


MEASURES: Mapping[str, Measure] = {
    "accuracy": _ratio(_right),
    "accuracy_finished": _ratio(lambda score: _right(score) * _finished(score), _finished),
    "unfinished": _ratio(lambda score: 1.0 - _finished(score)),
    "tokens": _ratio(_tokens),
    "thinking_tokens": _ratio(lambda score: score.thinking_tokens),
    "answer_tokens": _ratio(lambda score: score.answer_tokens),
    "tokens_per_right": _ratio(_tokens, _right),
}
"""Measures of any answers. `tokens_per_right` is the price of a right answer: all tokens, those of wrong answers too, over right ones."""


def measures_of_draws(draws: int) -> dict[str, Measure]:
    """pass@k and maj@k for k = 1, 2, 4, ... up to `draws` draws of every problem."""
    found: dict[str, Measure] = {}
    for k in (2**power for power in range(draws.bit_length())):
        found |= {f"pass_at_{k}": _pass(k), f"maj_at_{k}": _majority(k)}
    return found


def _pass(k: int) -> Measure:
    return lambda group: (pass_at_k(len(group), round(sum(map(_right, group))), k), 1.0)


def _majority(k: int) -> Measure:
    return lambda group: (majority_at_k([vote_of(score) for score in group], k), 1.0)


def vote_of(score: Score, weight: float = 1.0) -> Vote:
    """What a draw votes for, and how much it counts."""
    return Vote.of(score.outcome, score.extracted, weight)


def cells(scores: Iterable[Score], measures: Mapping[str, Measure] = MEASURES) -> Cells:
    """The arrays of `scores` (of one split and mode), the same for any order of rows.

    Raises StageError where a student's seed lacks problems or draws that another one has: numbers over different problems
    must not be compared.
    """
    import numpy as np

    groups = _groups(scores)
    problems = tuple(sorted({problem for _, _, problem in groups}))
    seeds = _seeds(groups, problems)
    values = np.array(
        [[_averaged([groups[student, seed, p] for seed in seeds[student]], measures) for p in problems] for student in sorted(seeds)],
        dtype=np.float64,
    )
    return Cells(tuple(sorted(seeds)), problems, tuple(measures), values[..., 0], values[..., 1])


def _groups(scores: Iterable[Score]) -> dict[tuple[str, int, str], list[Score]]:
    groups: dict[tuple[str, int, str], list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.student, score.seed, score.problem_id].append(score)
    if not groups:
        raise StageError("no scores to compare; look at the stage `evaluate` and at the splits of `prepare`")
    for group in groups.values():
        group.sort(key=lambda score: score.draw)
    sizes = {len(group) for group in groups.values()}
    if len(sizes) > 1:
        raise StageError(f"scores hold {sorted(sizes)} answers per problem; all must have the same number. Run `dvc repro -f evaluate`.")
    return dict(groups)


def _seeds(groups: Iterable[tuple[str, int, str]], problems: tuple[str, ...]) -> dict[str, list[int]]:
    covered: dict[tuple[str, int], int] = defaultdict(int)
    for student, seed, _ in groups:
        covered[student, seed] += 1
    seeds: dict[str, list[int]] = defaultdict(list)
    for (student, seed), count in sorted(covered.items()):
        if count != len(problems):
            raise StageError(
                f"student {student!r}, seed {seed}: {count} of {len(problems)} problems have scores; all students need the same problems. "
                "Run `dvc repro -f evaluate`."
            )
        seeds[student].append(seed)
    return dict(seeds)


def _averaged(groups: Sequence[Group], measures: Mapping[str, Measure]) -> list[tuple[float, float]]:
    pairs = [[measure(group) for group in groups] for measure in measures.values()]
    return [(fmean(n for n, _ in of_seeds), fmean(d for _, d in of_seeds)) for of_seeds in pairs]
