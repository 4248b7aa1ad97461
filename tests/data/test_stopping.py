import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stop_settings import AdaptiveConsistency, Enough, Esc
from data.stopping import AGREED, CERTAIN, ENOUGH, MOST, Vote, certainty, decide, leaders_of, least, stop

ANSWERS = st.lists(st.sampled_from(["4", "5", None]), min_size=1, max_size=24)


def cast(answers, weights=None):
    return [Vote(answer, answer == "4", weight) for answer, weight in zip(answers, weights or [1.0] * len(answers), strict=True)]


def reference(answers, window):
    """The algorithm as published: sample a window; return at the first that is unanimous; else the vote over everything."""
    seen = []
    while len(answers) - len(seen) >= window:
        own = answers[len(seen) : len(seen) + window]
        seen += own
        if len(set(own)) == 1 and own[0] is not None:
            return len(seen), {own[0]}
    return len(answers), leaders_of(cast(answers))


@given(ANSWERS, st.integers(2, 6))
def test_esc_is_the_published_algorithm(answers, window):
    ended = stop(Esc(window=window), cast(answers))
    assert (ended.draws, ended.leaders) == reference(answers, window)


@given(ANSWERS, st.integers(2, 6), st.integers(0, 24))
def test_what_comes_after_the_stop_changes_nothing(answers, window, seed):
    ended = stop(Esc(window=window), cast(answers))
    after = answers[ended.draws :]
    random.Random(seed).shuffle(after)
    if ended.draws < len(answers):
        assert stop(Esc(window=window), cast(answers[: ended.draws] + after)) == ended


def test_without_a_rule_all_draws_vote():
    ended = stop(None, cast(["4", "5", "5"]))
    assert ended == (3, {"5"}, MOST)


@pytest.mark.parametrize(("weights", "draws"), [([1, 1, 1, 0.1], 4), ([1, 1, 1, 0.4], 8)])
def test_a_draw_that_hardly_counts_does_not_forbid_stopping(weights, draws):
    votes = cast(["4", "4", "4", "5"] * 2, weights * 2)
    assert stop(Esc(window=4, agreement=0.9), votes).draws == draws
    assert stop(Esc(window=4), votes).draws == 8, "unanimity is of answers, whatever they weigh"


def test_a_draw_without_an_answer_forbids_its_window_to_stop():
    assert stop(Esc(window=2, agreement=0.6), cast(["4", None, "5", "5", "4"])).draws == 4


def test_windows_are_bounded():
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        Esc(window=1)
    with pytest.raises(ValueError, match=r"greater than 0\.5"):
        Esc(agreement=0.5)


RULES = st.one_of(
    st.none(),
    st.builds(Esc, window=st.integers(2, 6), agreement=st.sampled_from([0.6, 1.0])),
    st.builds(AdaptiveConsistency, threshold=st.sampled_from([0.6, 0.8, 0.95])),
    st.builds(Enough, right=st.integers(1, 4), wrong=st.integers(0, 4)),
)


@given(RULES, ANSWERS)
def test_a_rule_that_is_asked_draw_by_draw_stops_where_it_stops_asked_as_it_wants(rule, answers):
    """What it asks for is needed for certain: whatever is known in between, it never stops before."""
    votes = cast(answers)
    ended, begun = stop(rule, votes), 0
    for known in range(ended.draws + 1):
        decision = decide(rule, votes[:known], most=len(votes))
        assert (decision.more == 0) == (known == ended.draws)
        assert begun <= known + decision.more <= ended.draws
        begun = known + decision.more
    assert decision.reason == ended.reason


@given(RULES, ANSWERS)
def test_every_problem_gets_the_least_draws(rule, answers):
    assert 0 < least(rule, most=len(answers)) <= stop(rule, cast(answers)).draws


@pytest.mark.parametrize(("answers", "draws", "reason"), [
    (["5", "4", "4"], 2, ENOUGH), (["4", "4", None, "4", "5", "4"], 5, ENOUGH), (["4", "4", "4"], 3, MOST), ([None, "5", None], 3, MOST),
])  # fmt: skip
def test_enough_stops_at_the_draw_that_brings_the_last_of_what_is_asked_for(answers, draws, reason):
    assert stop(Enough(right=1, wrong=1), cast(answers))[::2] == (draws, reason)


def test_enough_asks_for_something():
    with pytest.raises(ValueError, match="enough of nothing"):
        Enough(right=0)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30))
def test_the_certainty_is_the_beta_criterion(first, second):
    from scipy.stats import beta

    assert certainty(first, second) == pytest.approx(beta.sf(0.5, first + 1, second + 1), abs=1e-9)


@given(ANSWERS, st.sampled_from([0.6, 0.9, 0.95, 0.99]))
def test_adaptive_consistency_is_the_published_algorithm(answers, threshold):
    """One draw after the other, until the criterion holds of the two most frequent answers."""
    votes, draws = cast(answers), len(answers)
    for known in range(1, len(answers) + 1):
        counts = sorted([answers[:known].count(answer) for answer in ("4", "5")], reverse=True)
        if certainty(*counts) >= threshold:
            draws = known
            break
    ended = stop(AdaptiveConsistency(threshold=threshold), votes)
    assert (ended.draws, ended.leaders) == (draws, leaders_of(votes[:draws]))
    assert ended.reason == (CERTAIN if certainty(*counts) >= threshold else MOST)


def test_an_agreeing_window_is_the_reason():
    assert stop(Esc(window=2), cast(["4", "4", "5"])) == (2, {"4"}, AGREED)
