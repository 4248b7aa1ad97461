import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.metrics.calibration import Calibration, brier, calibrated, pair_accuracy, sigmoid


def drawn(slope, offset, size=4000, seed=0):
    """Logits, and outcomes that follow from them by chance."""
    rng = random.Random(seed)
    logits = [rng.gauss(0, 2) for _ in range(size)]
    return logits, [rng.random() < sigmoid(slope * logit + offset) for logit in logits]


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.3, 1.0), (2.0, -1.0)])
def test_it_finds_the_line_that_the_draws_follow(slope, offset):
    found = calibrated(*drawn(slope, offset))
    assert found.slope == pytest.approx(slope, abs=0.15) and found.offset == pytest.approx(offset, abs=0.15)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=60))
def test_it_is_finite_never_turns_scores_round_and_never_hurts_its_own_draws(draws):
    logits, right = [logit for logit, _ in draws], [is_right for _, is_right in draws]
    found = calibrated(logits, right)
    assert math.isfinite(found.slope) and math.isfinite(found.offset) and found.slope >= 0

    def loss(fit):
        return -sum(math.log(max(1e-300, fit.chance(x) if y else 1 - fit.chance(x))) for x, y in draws)

    assert loss(found) <= loss(Calibration()) + 1e-6


def test_scores_that_are_worse_than_chance_become_the_rate():
    logits, right = drawn(-1.0, 0.0)
    found = calibrated(logits, right)
    assert found.slope == 0 and found.chance(5) == pytest.approx(sum(right) / len(right), abs=1e-3)


def test_scores_that_separate_perfectly_have_a_finite_fit():
    assert 1 < calibrated([-1.0, -0.5, 0.5, 1.0], [False, False, True, True]).slope < 1000


def test_without_both_outcomes_scores_stay_as_they_are():
    assert calibrated([1.0, 2.0], [True, True]) == calibrated([], []) == Calibration(1.0, 0.0, fitted=False)


@given(st.floats(-800, 800))
def test_sigmoid_is_symmetric_and_never_overflows(x):
    assert 0 <= sigmoid(x) <= 1 and sigmoid(x) + sigmoid(-x) == pytest.approx(1)


def test_brier_is_the_mean_squared_error():
    assert brier([1.0, 0.5, 0.0], [True, False, False]) == pytest.approx(0.25 / 3)
    assert brier([], []) is None


def test_pairs_are_of_one_problem_and_problems_weigh_the_same():
    many = {True: [3.0, 1.0], False: [2.0, 1.0]}  # 3 > 2, 3 > 1, 1 < 2, 1 = 1
    assert pair_accuracy([many]) == pytest.approx(2.5 / 4)
    assert pair_accuracy([many, {True: [1.0], False: [0.0]}, {True: [9.0]}]) == pytest.approx((2.5 / 4 + 1) / 2)
    assert pair_accuracy([{True: [1.0]}, {False: [2.0]}]) is None
