from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.metrics.answers import aes, majority, majority_at_k, pass_at_k
from data.stopping import Vote

VOTES = st.lists(st.sampled_from([Vote("4", True), Vote("5", False), Vote("6", False), Vote(None, False)]), min_size=1, max_size=9)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_draw(case: tuple[int, int, int]) -> None:
    draws, right, k = case
    subsets = list(combinations([i < right for i in range(draws)], k))
    assert pass_at_k(draws, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n - 1))))
def test_pass_at_k_grows_with_k_and_with_right_draws(case: tuple[int, int, int]) -> None:
    draws, right, k = case
    assert pass_at_k(draws, right, k + 1) >= pass_at_k(draws, right, k) - 1e-12
    if right < draws:
        assert pass_at_k(draws, right + 1, k) >= pass_at_k(draws, right, k) - 1e-12


@pytest.mark.parametrize("draws, right, k", [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_impossible_counts_are_refused(draws: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(draws, right, k)


@pytest.mark.parametrize(
    "answers, credit",
    [
        (["4", "4", "5"], 1.0),
        (["4", "5", "5"], 0.0),
        (["4", "5"], 0.5),
        (["4", "5", "6"], 1 / 3),
        (["4", None, None, None], 1.0),
        ([None, None], 0.0),
    ],
)
def test_majority_shares_credit_among_ties_and_unparsed_never_votes(answers: list[str | None], credit: float) -> None:
    assert majority([Vote(answer, answer == "4") for answer in answers]) == pytest.approx(credit)


@given(VOTES, st.randoms())
def test_majority_does_not_depend_on_order(votes: list[Vote], rng) -> None:
    shuffled = list(votes)
    rng.shuffle(shuffled)
    assert majority(shuffled) == majority(votes)


@given(VOTES)
def test_majority_of_one_is_the_share_of_right_draws(votes: list[Vote]) -> None:
    assert majority_at_k(votes, 1) == pytest.approx(sum(vote.right for vote in votes) / len(votes))
    assert majority_at_k(votes, len(votes)) == majority(votes)


def test_majority_at_k_uses_disjoint_windows_in_index_order() -> None:
    votes = [Vote("4", True), Vote("4", True), Vote("5", False), Vote("5", False), Vote("4", True)]
    assert majority_at_k(votes, 2) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="maj@6"):
        majority_at_k(votes, 6)


def test_aes_rewards_gains_and_punishes_losses() -> None:
    assert aes(0.5, 50, baseline_accuracy=0.5, baseline_tokens=100) == pytest.approx(0.5)
    assert aes(0.55, 50, baseline_accuracy=0.5, baseline_tokens=100) == pytest.approx(0.5 + 3 * 0.1)
    assert aes(0.45, 50, baseline_accuracy=0.5, baseline_tokens=100) == pytest.approx(0.5 - 5 * 0.1)
    assert aes(0.45, 150, baseline_accuracy=0.5, baseline_tokens=100) == pytest.approx(-0.5 - 5 * 0.1)
    assert aes(0.5, 50, baseline_accuracy=0.0, baseline_tokens=100) is None


@given(st.floats(0.01, 1), st.floats(1, 1000), st.floats(0.01, 1), st.floats(1, 1000))
def test_aes_never_falls_with_accuracy_nor_rises_with_tokens(accuracy: float, tokens: float, base: float, base_tokens: float) -> None:
    def score(a: float, t: float) -> float:
        value = aes(a, t, baseline_accuracy=base, baseline_tokens=base_tokens)
        assert value is not None
        return value

    assert score(accuracy + 0.01, tokens) > score(accuracy, tokens)
    assert score(accuracy, tokens + 1) < score(accuracy, tokens)
