from __future__ import annotations

from random import Random

import pytest

from data.errors import StageError
from data.records import NumberReference, Problem, Split
from data.splits import evaluation_first, give_up, gold_cases, shuffled, take, with_right_gold
from data.verifiers.judge import judge_texts


def problems(count: int, *, split: Split = Split.TRAIN) -> list[Problem]:
    return [
        Problem.create(task="t", split=split, question=f"What is {n} + 1?", reference=NumberReference(value=str(n + 1)))
        for n in range(count)
    ]


def test_a_gold_answer_that_its_verifier_cannot_hold_is_dropped_with_the_reason() -> None:
    good = problems(3)
    bad = Problem.create(task="t", split=Split.TRAIN, question="Which?", reference=NumberReference(value="three or four"))
    mixed = [good[0], bad, *good[1:]]
    verdicts = list(judge_texts(gold_cases(mixed), workers=1, timeout_seconds=5))
    Random(0).shuffle(verdicts)
    kept, (drop,) = with_right_gold(mixed, verdicts)
    assert kept == good
    assert (drop.problem_id, drop.reason) == (bad.id, "gold answer is error")
    assert "three or four" in drop.detail


def test_the_shuffle_depends_on_seed_and_id_alone() -> None:
    made = problems(50)
    order = shuffled(made, 0)
    assert order == shuffled(made[::-1], 0)
    assert order != shuffled(made, 1) and order != made
    dropped = made[7]
    assert shuffled([p for p in made if p != dropped], 0) == [p for p in order if p != dropped]


def test_train_gives_up_its_first_problems_as_validation() -> None:
    made = problems(5)
    validation, rest = give_up(made, 2)
    assert [p.id for p in validation] == [p.id for p in made[:2]] and {p.split for p in validation} == {Split.VALIDATION}
    assert rest == made[2:]


def test_the_evaluations_problem_stands_first() -> None:
    train, test = problems(1), problems(1, split=Split.TEST)
    assert evaluation_first([*train, *test]) == [*test, *train]


def test_too_few_problems_are_an_error_that_says_how_many_remain() -> None:
    assert take(problems(3), Split.TEST, 2) == problems(3)[:2]
    with pytest.raises(StageError, match=r"prepare.test: 4 problems are asked for, 3 remain"):
        take(problems(3), Split.TEST, 4)
