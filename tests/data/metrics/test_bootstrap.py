import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.metrics import bootstrap
from data.metrics.bootstrap import Estimate, estimate, holm, ratios, resampled_ratios, sign_flip_p


def _resampled(values_SP: np.ndarray, **settings: int) -> np.ndarray:
    numerators = values_SP[:, :, None].astype(float)
    return resampled_ratios(numerators, np.ones_like(numerators), **settings)[:, :, 0]


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(7)
    covered, runs = 0, 300
    for run in range(runs):
        # Two seeds of one student answer the same problems: strongly correlated inside a problem, so that rows are no clusters.
        chance_P = rng.beta(0.6, 0.4, size=150)
        mean_P = rng.binomial(2, chance_P) / 2
        low, high = estimate(mean_P.mean(), _resampled(mean_P[None], resamples=300, seed=run)[:, 0])[1:]
        assert low is not None and high is not None
        covered += low <= 0.6 <= high
    assert 0.91 <= covered / runs <= 0.985


def test_clustered_intervals_are_wider_than_those_of_rows_taken_as_independent() -> None:
    problems = np.random.default_rng(1).integers(2, size=100)
    clustered = _resampled(problems[None], resamples=1000, seed=0).std()
    as_rows = _resampled(np.repeat(problems, 4)[None], resamples=1000, seed=0).std()
    assert clustered / as_rows == pytest.approx(2.0, rel=0.15)


def test_blocks_of_resamples_are_whole_problems_drawn_with_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 1000)
    weights = np.concatenate(list(bootstrap._weights(64, resamples=100, seed=3)))
    assert weights.shape == (100, 64) and (weights.sum(axis=1) == 64).all()
    assert len({tuple(row) for row in weights}) == 100


def test_all_students_see_the_same_resamples() -> None:
    values = np.random.default_rng(0).random(50)
    resampled = _resampled(np.stack([values, values]), resamples=200, seed=5)
    assert (resampled[:, 0] == resampled[:, 1]).all()


def test_a_ratio_without_denominator_is_not_defined() -> None:
    assert np.isnan(ratios(np.ones((1, 3, 1)), np.zeros((1, 3, 1)))).all()
    assert estimate(float("nan"), np.full(100, np.nan)) == Estimate(None, None, None)
    half = estimate(1.0, np.array([1.0] * 50 + [np.nan] * 50))
    assert half == Estimate(1.0, 1.0, None)


def test_sign_flip_p_is_uniform_without_a_difference_and_small_with_one() -> None:
    rng = np.random.default_rng(11)
    nothing = rng.choice([-1.0, 0.0, 0.0, 1.0], size=(80, 200))
    p = sign_flip_p(nothing, resamples=500, seed=1)
    assert 0.01 <= (p <= 0.05).mean() <= 0.10 and 0.4 <= (p <= 0.5).mean() <= 0.65
    assert sign_flip_p(np.ones((40, 1)), resamples=500, seed=1)[0] == pytest.approx(1 / 501)
    assert sign_flip_p(np.zeros((40, 1)), resamples=500, seed=1)[0] == 1.0


def test_sign_flip_p_agrees_with_the_exact_test() -> None:
    differences = np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0])
    exact = sum(abs(sum(s * (1 if bit >> i & 1 else -1) for i, s in enumerate(differences))) >= 4 for bit in range(2**7)) / 2**7
    assert sign_flip_p(differences[:, None], resamples=20_000, seed=0)[0] == pytest.approx(exact, abs=0.015)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_and_the_bonferroni_value_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for raw, value in zip(p_values, corrected, strict=True):
        assert raw <= value <= min(1.0, raw * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [corrected[i] for i in order] == sorted(corrected)
