"""Ways of counting the draws of a problem, each beside the plain vote of as many draws and of as many tokens.

Everything is computed from stored draws. Rules read them in order, so that an order is one sample of what a rule would have done; the
draws of a problem are taken in `ORDERS` orders, the first of which is that of their index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from data.metrics.answers import credit, leaders_of, majority
from data.metrics.bootstrap import Estimate, estimate, ratios, resampled_ratios
from data.metrics.calibration import Calibration, brier, calibrated, pair_accuracy
from data.metrics.cells import vote_of
from data.metrics.compare import Rules
from data.records import Outcome, Score
from data.stopping import stop
from data.voting import WEIGHTS, Asc, Voting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ORDERS = 20
Draws = Mapping[str, Sequence[Sequence[Score]]]
"""Problem → the draws of every seed, by index."""


class Counted(NamedTuple):
    """What a way of counting the draws of one student gives."""

    accuracy: Estimate
    draws: float
    """Used per problem."""
    tokens: float
    """Generated per problem, by the draws that are used."""
    agreement: float
    """Share of problems on which its answer is that of the plain vote of all draws."""
    at_equal_draws: Estimate
    """Accuracy minus that of the plain vote of as many draws, paired."""
    at_equal_tokens: Estimate
    """The same for as many tokens."""


class Judged(NamedTuple):
    """How well a ranker judges the draws of one student."""

    calibration: Mapping[int, Calibration]
    """By seed, fitted on the validation problems."""
    pair_accuracy: float | None
    """On the test problems, as what follows."""
    brier_raw: float
    brier: float
    brier_of_rate: float
    """Of a ranker that gives every draw the student's rate of right draws on validation."""


class Votes(NamedTuple):
    """All ways of counting, by student and name, and all rankers, by ranker and student."""

    problems: int
    counted: Mapping[str, Mapping[str, Counted]]
    judged: Mapping[str, Mapping[str, Judged]]


def votes(test: Iterable[Score], validation: Iterable[Score], ways: Mapping[str, Voting], rules: Rules) -> Votes:
    """Count the drawn answers of both splits; the plain vote of all draws is named `majority`."""
    drawn, for_calibration = _by_student(test), _by_student(validation)
    judged: dict[str, dict[str, Judged]] = defaultdict(dict)
    counted = {}
    for student, draws in drawn.items():
        for ranker in sorted({way.ranker for way in ways.values() if isinstance(way, Asc)}):
            judged[ranker][student] = _judged(draws, for_calibration[student], ranker)
        calibrations = {ranker: of_students[student].calibration for ranker, of_students in judged.items()}
        counted[student] = _counted(draws, ways, calibrations, rules)
    return Votes(max(map(len, drawn.values())), counted, judged)


def _by_student(scores: Iterable[Score]) -> dict[str, Draws]:
    groups: dict[str, dict[str, dict[int, list[Score]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for score in scores:
        groups[score.student][score.problem_id][score.seed].append(score)
    return {
        student: {
            p: [sorted(of_seed, key=lambda score: score.draw) for _, of_seed in sorted(seeds.items())] for p, seeds in sorted(own.items())
        }
        for student, own in sorted(groups.items())
    }


def _judged(test: Draws, validation: Draws, ranker: str) -> Judged:
    """Calibrate on one split, and look at the other."""
    fitted, rates = {}, {}
    for seed, scores in _ranked(validation, ranker).items():
        right = [score.outcome is Outcome.RIGHT for score in scores]
        fitted[seed] = calibrated([score.ranks[ranker] for score in scores], right)
        rates[seed] = fmean(right)
    seen = [(seed, score, score.outcome is Outcome.RIGHT) for seed, scores in _ranked(test, ranker).items() for score in scores]
    right = [is_right for _, _, is_right in seen]
    groups: dict[tuple[int, str], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed, score, is_right in seen:
        groups[seed, score.problem_id][is_right].append(score.ranks[ranker])
    return Judged(
        calibration=fitted,
        pair_accuracy=pair_accuracy(groups.values()),
        brier_raw=brier([Calibration().chance(score.ranks[ranker]) for _, score, _ in seen], right),
        brier=brier([_chance(fitted, seed, score, ranker) for seed, score, _ in seen], right),
        brier_of_rate=brier([rates.get(seed, 0.5) for seed, _, _ in seen], right),
    )


def _ranked(draws: Draws, ranker: str) -> dict[int, list[Score]]:
    """The draws that a ranker judged, by seed."""
    found: dict[int, list[Score]] = defaultdict(list)
    for seeds in draws.values():
        for score in (score for of_seed in seeds for score in of_seed if ranker in score.ranks):
            found[score.seed].append(score)
    return found


def _chance(calibrations: Mapping[int, Calibration], seed: int, score: Score, ranker: str) -> float:
    return calibrations.get(seed, Calibration()).chance(score.ranks[ranker])


class _Cost(NamedTuple):
    """Of one problem, over its seeds and orders."""

    credit: float
    draws: float
    tokens: float
    agrees: float = 1.0


def _counted(
    draws: Draws, ways: Mapping[str, Voting], calibrations: Mapping[str, Mapping[int, Calibration]], rules: Rules
) -> dict[str, Counted]:
    import numpy as np

    most = max(len(of_seed) for seeds in draws.values() for of_seed in seeds)
    plain = [[_plain(seeds, k) for seeds in draws.values()] for k in range(1, most + 1)]
    curve_KPM = np.array(plain, dtype=np.float64)[..., :3]
    costs = {"majority": plain[-1]}
    for name, way in ways.items():
        costs[name] = [_mean([_one(of_seed, way, calibrations) for of_seed in seeds]) for seeds in draws.values()]
    return {name: _against_plain(np.array(of_problems, dtype=np.float64), curve_KPM, rules) for name, of_problems in costs.items()}


def _mean(costs: Sequence[_Cost]) -> _Cost:
    """The mean of every number."""
    return _Cost(*(fmean(values) for values in zip(*costs, strict=True)))


def _plain(seeds: Sequence[Sequence[Score]], k: int) -> _Cost:
    """The plain vote of `k` draws."""
    found = []
    for scores in seeds:
        cast = [vote_of(score) for score in scores]
        every = leaders_of(cast)
        for order in orders(len(scores)) if k < len(scores) else [range(len(scores))]:
            used = [cast[i] for i in order[:k]]
            found.append(_Cost(majority(used), k, sum(_tokens(scores[i]) for i in order[:k]), float(leaders_of(used) == every)))
    return _mean(found)


def _one(scores: Sequence[Score], way: Voting, calibrations: Mapping[str, Mapping[int, Calibration]]) -> _Cost:
    """One way of counting the draws of one problem and seed."""
    weigh = _weigher(way, calibrations)
    cast = [vote_of(score, weigh(score)) for score in scores]
    every, found = leaders_of([vote._replace(weight=1.0) for vote in cast]), []
    for order in orders(len(scores)) if way.stop else [range(len(scores))]:
        ended = stop(way.stop, [cast[i] for i in order])
        spent = list(accumulate(_tokens(scores[i]) for i in order))[ended.draws - 1]
        found.append(_Cost(credit(ended.leaders, cast), ended.draws, spent, float(ended.leaders == every)))
    return _mean(found)


def _weigher(way: Voting, calibrations: Mapping[str, Mapping[int, Calibration]]) -> Callable[[Score], float]:
    if not isinstance(way, Asc):
        return lambda score: 1.0
    weight, ranker = WEIGHTS[way.weight], way.ranker
    return lambda score: weight(_chance(calibrations[ranker], score.seed, score, ranker)) if ranker in score.ranks else 0.0


def orders(draws: int) -> list[list[int]]:
    """The order of the index and `ORDERS` - 1 others, the same for all problems with as many draws."""
    return [list(range(draws)), *(Random(f"votes:{number}").sample(range(draws), draws) for number in range(1, ORDERS))]


def _tokens(score: Score) -> int:
    return score.thinking_tokens + score.answer_tokens


def _against_plain(own_PM: Floats, curve_KPM: Floats, rules: Rules) -> Counted:
    """One way beside the plain vote; columns are credit, draws, tokens and agreement."""
    import numpy as np

    means = own_PM.mean(axis=0)
    rivals = [_at_cost(curve_KPM, column, float(means[column])) for column in (1, 2)]
    stacked_SP1 = np.stack([own_PM[:, 0], *rivals])[..., None]
    point = ratios(stacked_SP1, np.ones_like(stacked_SP1))[:, 0]
    resampled = resampled_ratios(stacked_SP1, np.ones_like(stacked_SP1), resamples=rules.resamples, seed=rules.seed)[..., 0]
    beside = [estimate(float(point[0] - point[rival]), resampled[:, 0] - resampled[:, rival]) for rival in (1, 2)]
    return Counted(estimate(float(point[0]), resampled[:, 0]), float(means[1]), float(means[2]), float(means[3]), *beside)


def _at_cost(curve_KPM: Floats, column: int, cost: float) -> Floats:
    """Credit of the plain vote per problem at a mean cost: between the two numbers of draws that it lies between, in proportion."""
    costs_K = curve_KPM[..., column].mean(axis=1)
    above = min(int((costs_K < cost).sum()), len(costs_K) - 1)
    below = max(0, above - 1)
    gap = float(costs_K[above] - costs_K[below])
    share = min(1.0, max(0.0, (cost - float(costs_K[below])) / gap)) if gap > 0 else 1.0
    mixed: Floats = (1 - share) * curve_KPM[below, :, 0] + share * curve_KPM[above, :, 0]
    return mixed
