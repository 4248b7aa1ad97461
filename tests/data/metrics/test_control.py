from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.metrics.control import Prediction, cheapest, predict
from data.stop_settings import Esc
from data.stopping import Vote, stop


def drawn(chances: dict[str | None, float], draws: int, rng: Random) -> list[str | None]:
    return rng.choices(list(chances), weights=list(chances.values()), k=draws)


PROBLEMS: list[dict[str | None, float]] = [{"a": 1.0}, {"a": 0.9, "b": 0.1}, {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.7, None: 0.3}]


@pytest.mark.parametrize(("window", "most"), [(2, 8), (5, 40), (4, 10), (5, 8)])
def test_the_expected_draws_are_those_of_esc_where_the_frequencies_are_true(window, most):
    """Pilots of a thousand draws hold the true frequencies; ESC is run on fresh draws."""
    rng = Random(0)
    pilots = [drawn(chances, 20_000, rng) for chances in PROBLEMS]
    simulated = []
    for chances in PROBLEMS:
        for _ in range(1500):
            answers = drawn(chances, most, rng)
            simulated.append(stop(Esc(window=window), [Vote(answer, answer == "a") for answer in answers]).draws)
    assert predict(pilots, window=window, most=most).draws == pytest.approx(sum(simulated) / len(simulated), rel=0.03)


def test_the_bound_on_changed_answers_holds_and_is_that_of_the_formula():
    from scipy.stats import norm

    found = predict([["a"] * 7 + ["b"] * 2 + ["c"]], window=5, most=40).changed
    by_hand = sum(norm.sf((5 - 5 * p) / (5 * p * (1 - p)) ** 0.5) for p in (0.2, 0.1))
    assert found == pytest.approx(by_hand)
    assert predict([["a"] * 10], window=5, most=40).changed == 0


@given(st.lists(st.lists(st.sampled_from(["a", "b", None]), min_size=5, max_size=5), min_size=1, max_size=8), st.integers(2, 6))
def test_predictions_lie_between_one_window_and_all(pilots, window):
    found = predict(pilots, window=window, most=12)
    assert window - 1e-9 <= found.draws <= 12 + 1e-9 and found.changed >= 0


def test_a_pilot_that_cannot_be_read_never_stops():
    assert predict([[None] * 5], window=5, most=40).draws == 40


def test_without_a_pilot_nothing_is_predicted():
    with pytest.raises(ValueError, match="no pilot"):
        predict([], window=5, most=40)


def test_the_cheapest_point_under_the_risk_is_recommended():
    points = [Prediction(2, 8, 3.0, 0.02), Prediction(4, 8, 5.0, 0.001), Prediction(5, 8, 6.0, 0.0)]
    assert cheapest(points, risk=0.01) == points[1]
    assert cheapest(points, risk=0.0) == points[2]
    assert cheapest(points[:1], risk=0.01) is None
