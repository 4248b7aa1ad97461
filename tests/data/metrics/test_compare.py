import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import StageError
from data.metrics.bootstrap import Estimate
from data.metrics.cells import cells, measures_of_draws
from data.metrics.choose import choose
from data.metrics.compare import Keeps, Rules, compare, keeps_accuracy
from data.records import Outcome, Score, Split, Status

RULES = Rules(resamples=200)
ROW = st.tuples(st.sampled_from(["right", "wrong", "truncated", "unparsed"]), st.integers(0, 90), st.integers(1, 40))


def _score(student: str, problem: int, outcome: str, *, tokens: tuple[int, int] = (10, 5), place: tuple[int, int] = (0, 0)) -> Score:
    seed, draw = place
    return Score(
        student=student,
        seed=seed,
        problem_id=f"p{problem:04}",
        split=Split.TEST,
        mode="greedy",
        draw=draw,
        outcome=Outcome(outcome),
        extracted={"right": "4", "wrong": "5"}.get(outcome),
        status=Status.TRUNCATED if outcome == "truncated" else Status.OK,
        thinking_tokens=tokens[0],
        answer_tokens=tokens[1],
        text="",
    )


def _many(student: str, count: int, right: Callable[[int], bool], *, thinking: int = 10, seed: int = 0) -> list[Score]:
    return [_score(student, i, "right" if right(i) else "wrong", tokens=(thinking, 5), place=(seed, 0)) for i in range(count)]


def test_measures_by_hand() -> None:
    scores = [
        _score("long", 0, "right", tokens=(30, 10)),
        _score("long", 1, "wrong", tokens=(50, 10)),
        _score("long", 2, "truncated", tokens=(100, 0)),
        _score("long", 3, "right", tokens=(30, 10)),
    ]
    value = {name: found.value for name, found in compare(scores, RULES).summary["long"].items()}
    assert value == pytest.approx(
        {
            "accuracy": 0.5,
            "accuracy_finished": 2 / 3,
            "unfinished": 0.25,
            "tokens": 60.0,
            "thinking_tokens": 52.5,
            "answer_tokens": 7.5,
            "tokens_per_right": 120.0,
        }
    )


def test_measures_of_draws_by_hand() -> None:
    outcomes = {0: "right right wrong wrong", 1: "wrong wrong right unparsed"}
    scores = [_score("long", p, outcome, place=(0, d)) for p, row in outcomes.items() for d, outcome in enumerate(row.split())]
    found = compare(scores, RULES, measures=measures_of_draws(4)).summary["long"]
    assert found["pass_at_1"].value == pytest.approx((0.5 + 0.25) / 2)
    assert found["pass_at_2"].value == pytest.approx((1 - 1 / 6 + 0.5) / 2)
    assert found["pass_at_4"].value == 1.0
    assert found["maj_at_4"].value == pytest.approx((0.5 + 0) / 2)
    assert list(measures_of_draws(6)) == ["pass_at_1", "maj_at_1", "pass_at_2", "maj_at_2", "pass_at_4", "maj_at_4"]


def test_seeds_are_averaged_inside_the_problem() -> None:
    one = _many("long", 60, lambda i: i % 3 == 0)
    twice = one + _many("long", 60, lambda i: i % 3 == 0, seed=1)
    assert compare(one, RULES) == compare(twice, RULES)


@given(st.lists(ROW, min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_identical_students_differ_by_exactly_nothing(rows: list[tuple[str, int, int]]) -> None:
    scores = [_score(s, i, o, tokens=(t, a)) for s in ("long", "copy") for i, (o, t, a) in enumerate(rows)]
    pair = compare(scores, RULES, baselines=["long"]).paired["long"]["copy"]
    assert pair.difference == Estimate(0, 0, 0) and pair.token_ratio == Estimate(1, 1, 1)
    assert pair.p == pair.p_holm == 1.0


@given(st.lists(st.tuples(ROW, ROW, ROW, ROW), min_size=1, max_size=12), st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_of_rows_does_not_matter(rows: list[tuple[tuple[str, int, int], ...]], rng: random.Random) -> None:
    places = [(student, seed) for student in ("long", "post_think") for seed in (0, 1)]
    scores = [
        _score(student, i, o, tokens=(t, a), place=(seed, 0))
        for i, group in enumerate(rows)
        for (student, seed), (o, t, a) in zip(places, group, strict=True)
    ]
    shuffled = list(scores)
    rng.shuffle(shuffled)
    assert compare(shuffled, RULES, baselines=["long"]) == compare(scores, RULES, baselines=["long"])


def test_paired_intervals_are_narrower_than_unpaired_ones_on_shared_problems() -> None:
    scores = _many("long", 400, lambda i: i % 2 == 0, thinking=95) + _many("short", 400, lambda i: i % 2 == 0 and i % 40 != 0, thinking=35)
    found = compare(scores, RULES, baselines=["long"])
    pair, own = found.paired["long"]["short"], found.summary["short"]["accuracy"]
    assert pair.difference.value == pytest.approx(-0.025) and pair.token_ratio.value == pytest.approx(0.4)
    assert pair.difference.low is not None and pair.difference.high is not None and own.low is not None and own.high is not None
    assert pair.difference.high - pair.difference.low < (own.high - own.low) / 2
    assert pair.p < 0.05 and pair.p_holm == pair.p and pair.aes == pytest.approx(0.6 - 5 * 0.05)


def test_p_values_are_corrected_for_the_number_of_students() -> None:
    scores = _many("long", 100, lambda i: True) + [row for s in "abc" for row in _many(s, 100, lambda i: i % 12 != 0)]
    pairs = compare(scores, RULES, baselines=["long"]).paired["long"]
    assert all(pair.p_holm == pytest.approx(min(1.0, 3 * pair.p)) for pair in pairs.values())


@pytest.mark.parametrize(
    "low, problems, expected",
    [
        (-0.029, 1000, Keeps.YES),
        (-0.03, 1000, Keeps.NO),
        (-0.001, 999, Keeps.TOO_FEW),
        (-0.2, 999, Keeps.TOO_FEW),
        (None, 5000, Keeps.TOO_FEW),
    ],
)
def test_keeps_accuracy_needs_the_bound_and_the_problems(low: float | None, problems: int, expected: Keeps) -> None:
    assert keeps_accuracy(Estimate(0.0, low, 0.1), problems=problems, margin=0.03) is expected


def test_a_student_never_right_has_no_price_of_a_right_answer() -> None:
    found = compare(_many("base", 20, lambda i: False), RULES).summary["base"]
    assert found["tokens_per_right"] == Estimate(None, None, None)
    assert found["accuracy"] == Estimate(0.0, 0.0, 0.0)


def test_students_over_different_problems_are_refused() -> None:
    with pytest.raises(StageError, match=r"'short', seed 0: 9 of 10 problems"):
        cells(_many("long", 10, bool) + _many("short", 9, bool))
    with pytest.raises(StageError, match=r"\[1, 2\] answers per problem"):
        cells([*_many("long", 10, bool), _score("long", 0, "right", place=(0, 1))])
    with pytest.raises(StageError, match="no scores"):
        cells([])


def _choice(candidates: list[str], **accuracy_and_tokens: tuple[int, int]):
    scores = [
        row for s, (right, tokens) in accuracy_and_tokens.items() for row in _many(s, 100, lambda i, r=right: i < r, thinking=tokens - 5)
    ]
    return choose(compare(scores, RULES), scores, baseline="long", candidates=candidates, margin=0.03)


def test_the_best_student_has_the_fewest_tokens_within_the_margin() -> None:
    students = {"long": (80, 100), "near": (77, 40), "short": (76, 20), "good": (90, 60), "control": (80, 10)}
    found = _choice(["near", "short", "good"], **students)
    assert (found.student, found.seed, found.within_margin) == ("near", 0, True)
    assert [row.student for row in found.candidates if row.within_margin] == ["good", "near"]


def test_without_a_student_within_the_margin_the_most_accurate_one_is_chosen_and_marked() -> None:
    found = _choice(["a", "b", "c"], long=(80, 100), a=(50, 10), b=(60, 30), c=(60, 20))
    assert (found.student, found.within_margin) == ("c", False)
    assert _choice([], long=(80, 100)).student is None


def test_the_seed_of_the_best_student_is_its_most_accurate_on_validation() -> None:
    scores = _many("long", 50, lambda i: True)
    for seed, right in ((0, 40), (1, 45), (2, 45)):
        scores += _many("short", 50, lambda i, right=right: i < right, thinking=20 + seed, seed=seed)
    assert choose(compare(scores, RULES), scores, baseline="long", candidates=["short"], margin=0.5).seed == 1
