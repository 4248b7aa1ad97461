import random
from itertools import permutations

import pytest

from data.metrics.answers import majority
from data.metrics.cells import vote_of
from data.metrics.compare import Rules
from data.metrics.votes import ORDERS, orders, votes
from data.records import Outcome, Score, Split, Status
from data.stopping import Esc
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


def test_esc_is_the_mean_over_orders_of_the_draws():
    answers = ["right", "right", "wrong", "right"]
    found = counted({"esc": ESC}, [score("p", draw, answer) for draw, answer in enumerate(answers)]).counted["long"]["esc"]
    used = []
    for order in orders(4):
        first, second = order[:2], order[2:]
        used.append(2 if len({answers[i] for i in first}) == 1 else 4)
        assert sorted(first + second) == [0, 1, 2, 3]
    assert found.draws == pytest.approx(sum(used) / ORDERS)
    assert len(set(map(tuple, orders(4)))) <= len(list(permutations(range(4)))) and orders(4)[0] == [0, 1, 2, 3]


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
