import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.metrics.answers import Vote, leaders_of
from data.stopping import stop
from data.voting import Esc

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
    assert ended == (3, {"5"})


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
