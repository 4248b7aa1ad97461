"""Ways of counting the draws of a problem, each beside the plain vote of as many draws and of as many tokens.

Everything is computed from stored draws. A rule reads them in order, so that one order is one sample of what it would have done: numbers
are means over orders in which every draw stands equally often at every place (all orders of few draws).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, permutations
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from data.errors import StageError
from data.metrics.answers import credit
from data.metrics.bootstrap import Estimate, estimate, ratios, resampled_ratios
from data.metrics.calibration import Calibration, brier, calibrated, pair_accuracy
from data.metrics.cells import vote_of
from data.metrics.compare import Rules
from data.records import Outcome, Score
from data.stopping import Vote, leaders_of, stop
from data.voting import PLAIN, Asc, Voting, Weight

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALL_ORDERS_UP_TO, ORDERS = 4, 24
"""So many draws are taken in all orders; more of them in at least so many orders."""
WEIGHTS: Mapping[Weight, Callable[[float], float]] = {
    "1": lambda score: 1.0,
    "1+2s": lambda score: 1 + 2 * score,
    "1+s": lambda score: 1 + score,
    "s": lambda score: score,
}
Draws = Mapping[str, Sequence[Sequence[Score]]]
"""Problem → the draws of every seed, by index."""
Calibrations = Mapping[str, Mapping[int, Calibration]]
"""Ranker → seed → what its scores mean for one student."""


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
    """How well a ranker judges the draws of one student; None where there is nothing to judge."""

    calibration: Mapping[int, Calibration]
    """By seed."""
    pair_accuracy: float | None
    """How often a right draw stands above a wrong one of the same problem."""
    brier: float | None
    brier_raw: float | None
    """Of the scores as they come from the ranker's training."""
    brier_of_rate: float | None
    """Of a ranker that gives every draw the rate of right draws that calibration saw."""


class Votes(NamedTuple):
    """All ways of counting, by student and name, and all rankers, by ranker and student."""

    problems: int
    counted: Mapping[str, Mapping[str, Counted]]
    judged: Mapping[str, Mapping[str, Judged]]


def votes(scores: Iterable[Score], for_calibration: Iterable[Score], ways: Mapping[str, Voting], rules: Rules) -> Votes:
    """Count the drawn answers in `scores`; rankers are calibrated on other ones. The plain vote of all draws is named PLAIN.

    Raises StageError where a draw that votes has no rank.
    """
    drawn, others = _by_student(scores), _by_student(for_calibration)
    rankers = sorted({way.ranker for way in ways.values() if isinstance(way, Asc)})
    judged: dict[str, dict[str, Judged]] = {ranker: {} for ranker in rankers}
    counted = {}
    for student, draws in drawn.items():
        for ranker in rankers:
            judged[ranker][student] = _judged(draws, others.get(student, {}), ranker)
        counted[student] = _counted(draws, ways, {ranker: judged[ranker][student].calibration for ranker in rankers}, rules)
    return Votes(max(map(len, drawn.values()), default=0), counted, judged)


def _by_student(scores: Iterable[Score]) -> dict[str, Draws]:
    groups: dict[str, dict[str, dict[int, list[Score]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for score in scores:
        groups[score.student][score.problem_id][score.seed].append(score)
    return {student: {problem: _in_order(seeds) for problem, seeds in sorted(own.items())} for student, own in sorted(groups.items())}


def _in_order(seeds: Mapping[int, list[Score]]) -> list[list[Score]]:
    return [sorted(scores, key=lambda score: score.draw) for _, scores in sorted(seeds.items())]


def _judged(draws: Draws, others: Draws, ranker: str) -> Judged:
    """Calibrate on `others`, and look at `draws`."""
    fits, rates = {}, {}
    for seed, known in _ranked(others, ranker).items():
        outcomes = [score.outcome is Outcome.RIGHT for score in known]
        fits[seed], rates[seed] = calibrated([score.ranks[ranker] for score in known], outcomes), fmean(outcomes)
    seen = [score for scores in _ranked(draws, ranker).values() for score in scores]
    right = [score.outcome is Outcome.RIGHT for score in seen]
    groups: dict[tuple[int, str], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score, is_right in zip(seen, right, strict=True):
        groups[score.seed, score.problem_id][is_right].append(score.ranks[ranker])
    seeds = {scores[0].seed for of_problem in draws.values() for scores in of_problem}
    fits = {seed: fits.get(seed, Calibration()) for seed in sorted(seeds)}
    return Judged(
        calibration=fits,
        pair_accuracy=pair_accuracy(groups.values()),
        brier=brier([fits[score.seed].chance(score.ranks[ranker]) for score in seen], right),
        brier_raw=brier([Calibration().chance(score.ranks[ranker]) for score in seen], right),
        brier_of_rate=brier([rates[score.seed] for score in seen], right) if rates.keys() >= seeds else None,
    )


def _ranked(draws: Draws, ranker: str) -> dict[int, list[Score]]:
    """The draws that vote, by seed."""
    found: dict[int, list[Score]] = defaultdict(list)
    for score in (score for seeds in draws.values() for scores in seeds for score in scores if score.outcome.votes):
        if ranker not in score.ranks:
            raise StageError(
                f"{score.student}, draw {score.draw} of problem {score.problem_id}: no rank by {ranker!r}; `dvc repro -f evaluate`"
            )
        found[score.seed].append(score)
    return found


def _counted(draws: Draws, ways: Mapping[str, Voting], calibrations: Calibrations, rules: Rules) -> dict[str, Counted]:
    """Every way beside the plain vote. Arrays have a column of credit, draws and tokens for each number of draws, then for each way."""
    import numpy as np

    curves_PK3 = np.array([np.mean([_curve(scores) for scores in seeds], axis=0) for seeds in draws.values()])
    ways_PW4 = np.array([[_of_seeds(seeds, way, calibrations) for way in ways.values()] for seeds in draws.values()]).reshape(
        len(draws), -1, 4
    )
    plain_P14 = np.concatenate([curves_PK3[:, -1:], np.ones((len(draws), 1, 1))], axis=2)
    own_PW4, names = np.concatenate([plain_P14, ways_PW4], axis=1), [PLAIN, *ways]
    columns_1PM = np.concatenate([curves_PK3, own_PW4[..., :3]], axis=1).reshape(1, len(draws), -1)
    ones, k = np.ones_like(columns_1PM), curves_PK3.shape[1]
    point_1N3 = ratios(columns_1PM, ones).reshape(1, -1, 3)
    resampled_BN3 = resampled_ratios(columns_1PM, ones, resamples=rules.resamples, seed=rules.seed).reshape(rules.resamples, -1, 3)
    envelopes = {column: envelope(point_1N3[0, :k, column].tolist(), point_1N3[0, :k, 0].tolist()) for column in (1, 2)}
    found = {}
    for number, name in enumerate(names, start=k):
        beside = []
        for column, corners in envelopes.items():
            point, resampled = (_gain(means_N3, number, column, corners) for means_N3 in (point_1N3, resampled_BN3))
            beside.append(estimate(float(point[0]), resampled))
        means, agreement = point_1N3[0, number], float(own_PW4[:, number - k, 3].mean())
        accuracy = estimate(float(means[0]), resampled_BN3[:, number, 0])
        found[name] = Counted(accuracy, float(means[1]), float(means[2]), agreement, *beside)
    return found


def _gain(means_BN3: Floats, number: int, column: int, corners: Sequence[int]) -> Floats:
    """Credit of one way minus that of the plain vote at the same cost, by resample."""
    import numpy as np

    rivals = [np.interp(row[number, column], row[corners, column], row[corners, 0]) for row in means_BN3]
    gains: Floats = means_BN3[:, number, 0] - np.array(rivals)
    return gains


def envelope(costs: Sequence[float], credits: Sequence[float]) -> list[int]:
    """Indices of the corners of the upper concave envelope of (cost, credit), costs rising.

    The plain vote can be had at any cost between two numbers of draws by a coin; the best coin is on this line. (Two draws that
    differ share the credit, so an even number of draws is often no better than the odd one below it.)
    """
    corners: list[int] = []
    for index in range(len(costs)):
        while len(corners) > 1 and _slope(costs, credits, corners[-2], corners[-1]) <= _slope(costs, credits, corners[-1], index):
            corners.pop()
        corners.append(index)
    return corners


def _slope(costs: Sequence[float], credits: Sequence[float], first: int, second: int) -> float:
    return (credits[second] - credits[first]) / max(costs[second] - costs[first], 1e-12)


def _curve(scores: Sequence[Score]) -> list[list[float]]:
    """Credit, draws and tokens of the plain vote of the first 1, 2, … draws, means over orders."""
    import numpy as np

    cast, tokens = [vote_of(score) for score in scores], [_tokens(score) for score in scores]
    right = {vote.answer for vote in cast if vote.right}
    found = np.array([_prefixes([cast[i] for i in order], right) for order in orders(len(scores))]).mean(axis=0)
    mean_tokens = fmean(tokens)
    return [[float(own), k, k * mean_tokens] for k, own in enumerate(found, start=1)]


def _prefixes(cast: Sequence[Vote], right: set[str | None]) -> list[float]:
    """Credit of the vote of the first 1, 2, … draws of one order."""
    counts, leaders, most, found = Counter[str](), set[str](), 0, []
    for vote in cast:
        if vote.answer is not None:
            counts[vote.answer] += 1
            if counts[vote.answer] > most:
                leaders, most = {vote.answer}, counts[vote.answer]
            elif counts[vote.answer] == most:
                leaders.add(vote.answer)
        found.append(len(leaders & right) / len(leaders) if leaders else 0.0)
    return found


def _of_seeds(seeds: Sequence[Sequence[Score]], way: Voting, calibrations: Calibrations) -> list[float]:
    """Credit, draws, tokens and agreement of one way on one problem, means over seeds and orders."""
    costs = [cost for scores in seeds for cost in _of_orders(scores, way, calibrations)]  # every seed has as many orders
    return [fmean(values) for values in zip(*costs, strict=True)]


def _of_orders(scores: Sequence[Score], way: Voting, calibrations: Calibrations) -> list[tuple[float, float, float, float]]:
    cast, tokens = [vote_of(score, _weight(score, way, calibrations)) for score in scores], [_tokens(score) for score in scores]
    plain = leaders_of([vote._replace(weight=1.0) for vote in cast])
    found: list[tuple[float, float, float, float]] = []
    for order in orders(len(scores)) if way.stop else [range(len(scores))]:
        ended = stop(way.stop, [cast[i] for i in order])
        spent = list(accumulate(tokens[i] for i in order))[ended.draws - 1]
        found.append((credit(ended.leaders, cast), ended.draws, spent, float(ended.leaders == plain)))
    return found


def _weight(score: Score, way: Voting, calibrations: Calibrations) -> float:
    if not isinstance(way, Asc) or not score.outcome.votes:
        return 1.0
    return WEIGHTS[way.weight](calibrations[way.ranker][score.seed].chance(score.ranks[way.ranker]))


@lru_cache(maxsize=8)
def orders(draws: int) -> tuple[tuple[int, ...], ...]:
    """The orders of so many draws, that of the index first: all of few; of more, the rotations of random ones. In all of them together
    every draw stands equally often at every place.
    """
    if draws <= ALL_ORDERS_UP_TO:
        return tuple(permutations(range(draws)))
    starts = [list(range(draws))]
    starts += [Random(f"votes:{number}").sample(range(draws), draws) for number in range(1, -(-ORDERS // draws))]
    return tuple((*start[turn:], *start[:turn]) for start in starts for turn in range(draws))


def _tokens(score: Score) -> int:
    return score.thinking_tokens + score.answer_tokens
