"""The lab's problems and texts: exact, disjoint, and in the promised proportions."""

import re
from itertools import islice
from random import Random

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from data.chat import split
from data.tasks.lab import MAX_STEPS, MAX_VALUE, SPLIT_BUCKETS, Given, LabProblem, Link, Op, generate, split_of
from data.tasks.lab_text import Habits, arithmetic, attempt, conclusion, draw, final_statement, given, recall

FORMULA = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")


def first(count: int, split_name: str = "train", **options: int) -> list[LabProblem]:
    return list(islice(generate(split_name, seed=options.pop("seed", 0), **options), count))


def chain(problem: LabProblem) -> tuple[Given, tuple[Link, ...]]:
    return problem.given, problem.links


def test_the_splits_share_no_chain_for_any_seed():
    chains = {name: {chain(p) for seed in (0, 1) for p in first(300, name, seed=seed)} for name in SPLIT_BUCKETS}
    names = sorted(chains)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not chains[one] & chains[other]


def test_the_split_of_a_chain_does_not_depend_on_how_it_is_told():
    for problem in first(100, "test"):
        assert split_of(problem.given, problem.links) == "test"


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_problems_and_another_one_others(seed: int):
    assert first(20, seed=seed) == first(20, seed=seed)
    assert first(20, seed=seed) != first(20, seed=seed + 1)


def test_every_number_of_a_chain_is_in_range_and_the_question_states_every_fact():
    for problem in first(300):
        assert 1 <= problem.steps <= MAX_STEPS
        assert all(1 <= value <= MAX_VALUE for value in problem.values)
        assert str(problem.given.value) in problem.question
        assert all(link.source in problem.question for link in problem.links)


@for_all(st.integers(0, 10_000))
def test_a_draw_without_slips_computes_the_answer(seed: int):
    rng = Random(seed)
    problem = first(1, seed=seed)[0]
    thinking, short, answer = draw(problem, rng, Habits(slip=0))
    assert answer == problem.answer
    assert f"So {problem.links[-1].name} has {answer}." in thinking
    for text in (thinking, short):
        for left, op, amount, result in FORMULA.findall(text):
            assert Op(op).apply(int(left), int(amount)) == int(result)


@for_all(st.integers(0, 10_000))
def test_only_slips_that_no_check_caught_reach_the_answer(seed: int):
    problem = first(1, seed=seed, min_steps=1, max_steps=1)[0]
    _, _, recovered = draw(problem, Random(seed), Habits(slip=1, caught=1))
    _, _, carried = draw(problem, Random(seed), Habits(slip=1, caught=0))
    assert recovered == problem.answer != carried


def test_slips_occur_at_the_documented_rate():
    habits, rng = Habits(), Random(0)
    wrong = sum(draw(p, rng, habits)[2] != p.answer for p in first(4000, min_steps=1, max_steps=1))
    expected = habits.slip * (1 - habits.caught)
    assert wrong / 4000 == pytest.approx(expected, abs=0.015)


def test_the_thinking_is_at_least_three_times_the_short_solution():
    rng = Random(0)
    draws = [draw(p, rng, Habits()) for p in first(300)]
    assert sum(len(t.split()) for t, _, _ in draws) >= 2.9 * sum(len(s.split()) for _, s, _ in draws)


def test_an_attempt_is_in_the_think_format_and_ends_with_the_final_statement():
    for seed in range(50):
        _, text = attempt(Random(seed), max_steps=4, habits=Habits())
        thinking, answer, closed = split(text)
        assert closed and thinking and re.search(r"The answer is \\boxed\{\d+\}\.\Z", answer)


@pytest.mark.parametrize("skill", [recall, arithmetic, given])
def test_skills_hold_no_chain(skill):
    for seed in range(50):
        question, answer = skill(Random(seed))
        assert question.endswith(("?", ".")) and answer.endswith(".") and "<think>" not in answer
        results = {f[3] for f in FORMULA.findall(answer)}
        lefts = [f[0] for f in FORMULA.findall(answer)]
        assert skill is arithmetic or not (results & set(lefts))


def test_the_final_statement_boxes_the_number():
    assert final_statement(-3) == "The answer is \\boxed{-3}."


@for_all(st.integers(0, 10_000))
def test_a_slip_after_a_slip_is_still_a_near_miss(seed: int):
    problem = first(1, seed=seed, min_steps=4)[0]
    _, short, answer = draw(problem, Random(seed), Habits(slip=1, caught=0))
    assert short.endswith(f"= {answer}.")


def test_a_conclusion_follows_from_the_thinking_that_is_given():
    for seed in range(30):
        _, beginning, statement = conclusion(Random(seed))
        thinking, answer, closed = split(beginning)
        assert closed and not answer
        assert statement == final_statement(int(FORMULA.findall(thinking)[-1][3]))
