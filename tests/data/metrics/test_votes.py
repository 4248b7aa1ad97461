import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import StageError
from data.metrics.answers import majority
from data.metrics.cells import vote_of
from data.metrics.compare import Rules
from data.metrics.votes import ORDERS, envelope, orders, votes
from data.records import Outcome, Score, Split, Status
from data.stop_settings import Esc
from data.voting import Asc, Majority

RULES = Rules(resamples=200)
ESC = Majority(kind="majority", stop=Esc(window=2))
TOKENS = 10


def score(problem, draw, answer, logit=None, **more):
    outcome = {"right": Outcome.RIGHT, None: Outcome.UNPARSED}.get(answer, Outcome.WRONG)
    ranks = {} if logit is None or answer is None else {"judge": logit}
    names = {"student": "long", "seed": 0, "split": Split.TEST, "mode": "draw", **more}
    fields = {**names, "problem_id": problem, "draw": draw, "ranks": ranks}
    return Score(**fields, outcome=outcome, extracted=answer, status=Status.OK, thinking_tokens=TOKENS - 2, answer_tokens=2, text="")


def table(chance, knows, *, split=Split.TEST, seed=0):
    """Draws that are right by `chance`, and a judge whose logits are `knows` apart for right and wrong ones."""
    rng = random.Random(f"{seed} {split}")
    rows = []
    for number in range(200):
        hard = rng.random() < 0.3
        for draw in range(8):
            right = rng.random() < (0.3 if hard else chance)
            logit = (knows if right else -knows) / 2 + rng.gauss(0, 1)
            rows.append(score(f"p{number}", draw, "right" if right else rng.choice(["wrong", "wrong", "other"]), logit, split=split))
    return rows


def counted(ways, test, validation=()):
    return votes(test, validation or test, ways, RULES)


def test_the_plain_vote_of_all_draws_is_beside_itself():
    test = table(0.8, 0.0)
    found = counted({}, test).counted["long"]["majority"]
    groups = {}
    for row in test:
        groups.setdefault(row.problem_id, []).append(vote_of(row))
    assert found.accuracy.value == pytest.approx(sum(map(majority, groups.values())) / len(groups))
    assert (found.draws, found.tokens, found.agreement) == (8, 80, 1)
    assert found.at_equal_draws == found.at_equal_tokens == (0, 0, 0)


def test_esc_saves_draws_and_hardly_changes_answers():
    found = counted({"esc": ESC}, table(0.9, 0.0)).counted["long"]["esc"]
    assert found.draws < 6 and found.tokens == pytest.approx(TOKENS * found.draws)
    assert found.agreement > 0.85
    assert found.at_equal_draws == pytest.approx(found.at_equal_tokens), "all draws have as many tokens here"


def test_esc_of_four_draws_is_the_mean_over_all_their_orders():
    rows = [score("p", draw, answer) for draw, answer in enumerate(["right", "right", "wrong", "right"])]
    found = counted({"esc": ESC}, rows).counted["long"]["esc"]
    # The wrong draw is among the first two in half of the orders; the next two agree then, and on the right answer.
    assert found.draws == pytest.approx((2 + 4) / 2)
    assert found.accuracy.value == pytest.approx(1.0)


@pytest.mark.parametrize("draws", [1, 2, 4, 5, 8, 16, 40])
def test_every_draw_stands_equally_often_at_every_place(draws):
    found = orders(draws)
    assert found[0] == tuple(range(draws)) and len(found) >= min(ORDERS, math.factorial(draws))
    places = [Counter(order[place] for order in found) for place in range(draws)]
    assert all(set(place.values()) == {len(found) // draws} for place in places)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_no_point_lies_above_the_envelope_and_its_slopes_fall(credits):
    costs = list(range(1, len(credits) + 1))
    corners = envelope(costs, credits)
    assert (corners[0], corners[-1]) == (0, len(credits) - 1)
    line = np.interp(costs, [costs[i] for i in corners], [credits[i] for i in corners])
    assert all(point <= own + 1e-9 for point, own in zip(credits, line, strict=True))
    slopes = np.diff([credits[i] for i in corners]) / np.diff([costs[i] for i in corners])
    assert all(np.diff(slopes) < 1e-9)


def test_the_rival_is_the_best_mixture_of_plain_votes_of_the_same_cost():
    """Two problems, four draws: one is right in three of four draws, the other in all; a rule that stops after two draws that agree."""
    tokens = [10, 20, 30, 40]
    answers = {"p": ["right", "right", "wrong", "right"], "q": ["right"] * 4}
    rows = [
        score(problem, draw, answer).model_copy(update={"thinking_tokens": tokens[draw], "answer_tokens": 0})
        for problem, own in answers.items()
        for draw, answer in enumerate(own)
    ]
    found = counted({"esc": ESC}, rows).counted["long"]["esc"]
    assert (found.accuracy.value, found.draws) == (1.0, pytest.approx((3 + 2) / 2))
    # Plain votes of 1, 2, 3, 4 draws of p are right in 3/4, 3/4, 1 and 1 of the orders: 2.5 draws mix 1 and 3 in the ratio 1 : 3.
    assert found.at_equal_draws.value == pytest.approx(1 - ((1 - 0.75) * 0.75 + 0.75 * 1.0 + 1) / 2)
    # A draw has 25 tokens in the mean. On p, esc takes 100 where the wrong draw (of 30) is among the first two, else 2/3 of 70.
    spent = (100 + 70 * 2 / 3) / 2, 50
    assert found.tokens == pytest.approx(sum(spent) / 2)
    share = (found.tokens - 25) / 50
    assert found.at_equal_tokens.value == pytest.approx(1 - ((1 - share) * 0.75 + share * 1.0 + 1) / 2)


def test_a_student_without_a_readable_draw_spoils_nothing():
    good, mute = table(0.7, 1.0), [score(f"p{n}", draw, None, student="mute") for n in range(5) for draw in range(2)]
    ways = {"asc": Asc(kind="asc", ranker="judge"), "esc": ESC}
    found = counted(ways, good + mute)
    assert found.counted["mute"]["asc"].accuracy.value == 0 and found.counted["long"] == counted(ways, good).counted["long"]
    judged = found.judged["judge"]["mute"]
    assert (judged.brier, judged.brier_of_rate, judged.pair_accuracy) == (None, None, None) and not judged.calibration[0].fitted


def test_a_draw_that_votes_without_a_rank_is_an_error():
    rows = [score("p", 0, "right", 1.0), score("p", 1, "wrong")]
    with pytest.raises(StageError, match=r"long, draw 1 of problem p: no rank by 'judge'"):
        counted({"asc": Asc(kind="asc", ranker="judge")}, rows)


def test_a_ranker_that_knows_helps_and_one_that_guesses_does_not_hurt():
    ways = {weight: Asc(kind="asc", ranker="judge", weight=weight) for weight in ("1", "1+s", "s")}
    for knows, least, most in ((4.0, 0.05, 1.0), (0.0, -0.02, 0.02)):
        found = counted(ways, table(0.6, knows), table(0.6, knows, split=Split.VALIDATION, seed=1))
        by_weight = found.counted["long"]
        assert by_weight["1"] == by_weight["majority"]
        assert least <= by_weight["s"].at_equal_draws.value <= most
        assert (by_weight["s"].draws, by_weight["s"].tokens) == (8, 80)
        judged = found.judged["judge"]["long"]
        assert (judged.pair_accuracy > 0.95) if knows else (0.45 < judged.pair_accuracy < 0.55)
        assert judged.brier <= judged.brier_raw + 0.01 and judged.brier <= judged.brier_of_rate + 0.005


def test_weighted_esc_stops_sooner_where_the_odd_one_out_hardly_counts():
    plain = Majority(kind="majority", stop=Esc(window=4))
    weighted = Asc(kind="asc", ranker="judge", weight="s", stop=Esc(window=4, agreement=0.8))
    found = counted({"esc": plain, "asc_esc": weighted}, table(0.7, 5.0)).counted["long"]
    assert found["asc_esc"].draws < found["esc"].draws
    assert found["asc_esc"].accuracy.value > found["esc"].accuracy.value


def test_draws_without_an_answer_do_not_vote_and_have_no_rank():
    rows = [score("p", 0, None), score("p", 1, "right", 0.0), score("q", 0, None), score("q", 1, None)]
    found = counted({"asc": Asc(kind="asc", ranker="judge")}, rows).counted["long"]["asc"]
    assert found.accuracy.value == 0.5 and found.agreement == 1


def test_seeds_are_calibrated_by_themselves_and_averaged_in_the_problem():
    rows = [
        score(f"p{p}", d, "right" if d < 2 else "wrong", sign * (1.0 if d < 2 else -1.0), seed=seed)
        for seed, sign in ((0, 1), (1, -1))
        for p in range(20)
        for d in range(4)
    ]
    found = counted({"asc": Asc(kind="asc", ranker="judge", weight="s")}, rows)
    calibrations = found.judged["judge"]["long"].calibration
    assert calibrations[0].slope > 1 and calibrations[1].slope == 0
    assert found.counted["long"]["asc"].accuracy.value == pytest.approx((1.0 + 0.5) / 2), "a tie where the ranker is not believed"
