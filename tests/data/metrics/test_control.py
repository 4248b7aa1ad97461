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


def taken(answers: list[str | None], window: int) -> int:
    return stop(Esc(window=window), [Vote(answer, answer == "a") for answer in answers]).draws


@pytest.mark.parametrize(("window", "most"), [(2, 8), (5, 40), (4, 10), (5, 8)])
def test_what_the_pilot_shows_is_what_esc_does(window, most):
    rng = Random(0)
    draws = [drawn(chances, most, rng) for chances in PROBLEMS * 50]
    found = predict(draws, window=window, most=most).draws
    assert found == pytest.approx(sum(taken(own, window) for own in draws) / len(draws))


@pytest.mark.parametrize(("window", "most"), [(2, 8), (3, 9), (4, 16), (5, 15)])
def test_beyond_the_pilot_the_draws_are_nearly_those_of_esc_for_chances_spread_evenly(window, most):
    """Laplace's prior, so that the expectation of one further window is right; that of many is near."""
    rng = Random(1)
    chances = [rng.random() for _ in range(4000)]
    draws = [drawn({"a": p, None: 1 - p}, most, rng) for p in chances]
    esc = sum(taken(own, window) for own in draws) / len(draws)
    found = predict([own[:window] for own in draws], window=window, most=most).draws
    assert found == pytest.approx(esc, rel=0.07)
    one_more = predict([own[:window] for own in draws], window=window, most=2 * window).draws
    assert one_more == pytest.approx(sum(taken(own[: 2 * window], window) for own in draws) / len(draws))


@pytest.mark.parametrize(("window", "most"), [(2, 8), (5, 40), (4, 10)])
def test_with_frequencies_that_are_the_chances_the_formula_is_esc(window, most):
    """The pilot is long and no window of it unanimous, so that what is left to predict is the formula alone."""
    rng, pilot = Random(2), ["a", "b"] * 5000
    simulated = [taken(rng.choices(["a", "b"], k=most), window) for _ in range(4000)]
    formula = predict([pilot], window=window, most=len(pilot) + most).draws - len(pilot)
    assert formula == pytest.approx(sum(simulated) / len(simulated), rel=0.03)


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
