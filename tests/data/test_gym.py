from __future__ import annotations

import ast
import inspect
from importlib.metadata import version

import pytest
import reasoning_gym
from hypothesis import given
from hypothesis import strategies as st
from reasoning_gym.factory import DATASETS

from data.dedup import tokens, without_duplicates
from data.errors import ParamsError, RecordError
from data.records import GymReference, Outcome, Problem, Split
from data.sources import gym as source
from data.splits import gold_cases, with_right_gold
from data.verifiers import gym
from data.verifiers.judge import judge_texts

COUNTS = {Split.TRAIN: 30, Split.VALIDATION: 5, Split.TEST: 10}
SUM = GymReference(dataset="chain_sum", entry=repr({"question": "What is 2 + 3?", "metadata": {}}), value="5")


def made(name: str, counts: dict[Split, int] = COUNTS, *, seed: int = 0, **arguments: object) -> list[Problem]:
    return source.load(name, counts, task="gym", seed=seed, arguments=arguments)


def test_splits_share_no_question_and_more_training_moves_nothing() -> None:
    problems = made("chain_sum")
    assert len({tokens(problem.question) for problem in problems}) == len(problems) == sum(COUNTS.values())
    assert without_duplicates(problems) == (problems, [])
    assert problems == made("chain_sum")
    more = made("chain_sum", {**COUNTS, Split.TRAIN: 40})
    assert [p for p in more if p.split is not Split.TRAIN] == [p for p in problems if p.split is not Split.TRAIN]
    assert not {p.question for p in problems} & {p.question for p in made("chain_sum", seed=1)}, "a neighbouring seed is no shift by one"


def test_few_different_questions_are_split_without_repeats_or_named() -> None:
    arguments = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "allow_negation": False}
    problems = made("chain_sum", {Split.TRAIN: 60, Split.TEST: 30}, **arguments)
    assert without_duplicates(problems)[1] == []
    with pytest.raises(RecordError, match="500 train problems are asked for, but it made"):
        made("chain_sum", {Split.TRAIN: 500, Split.TEST: 30}, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("no_such", {}), ("chain_sum", {"min_terms": 5, "max_terms": 2}), ("chain_sum", {"terms": 2}), ("composite", {})],
)
def test_what_the_library_refuses_is_named(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ParamsError, match=f"reasoning-gym refuses name '{name}'"):
        made(name, **arguments)


def test_a_data_set_without_gold_answers_is_named() -> None:
    with pytest.raises(RecordError, match="graph_color: field answer: None is no text"):
        made("graph_color")


NAMES = ("leg_counting", "countdown", "puzzle24", "knights_knaves", "n_queens", "spell_backward")


@pytest.mark.parametrize("name", NAMES)
def test_gold_answers_are_right_by_the_scorer(name: str) -> None:
    for problem in made(name, {Split.TRAIN: 2}):
        assert isinstance(problem.reference, GymReference)
        assert gym.judge(problem.reference, gym.gold_text(problem.reference)).outcome is Outcome.RIGHT


@pytest.mark.slow
def test_gold_answers_are_right_in_processes_of_their_own() -> None:
    problems = [problem for name in (*NAMES, "rearc") for problem in made(name, {Split.TRAIN: 10})]
    verdicts = judge_texts(gold_cases(problems), workers=1, timeout_seconds=30)
    assert with_right_gold(problems, verdicts) == (problems, [])


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("The answer is \\boxed{5}.", Outcome.RIGHT),
        ("Answer: 5", Outcome.RIGHT),
        ("The answer is 4. No, wait: the answer is 5.", Outcome.RIGHT),
        ("The answer is \\boxed{6}.", Outcome.WRONG),
        ("The answer is \\boxed{5 apples}.", Outcome.WRONG),
        ("The answer is \\boxed{5} or \\boxed{6}.", Outcome.UNPARSED),
        ("5", Outcome.UNPARSED),
        ("", Outcome.UNPARSED),
        ("\\boxed{}", Outcome.UNPARSED),
    ],
)
def test_the_last_statement_is_scored_and_a_part_of_the_score_is_wrong(text: str, outcome: Outcome) -> None:
    judgement = gym.judge(SUM, text)
    assert judgement.outcome is outcome, judgement
    assert (judgement.extracted is None) == (outcome is Outcome.UNPARSED)
    assert "score 0.125" in gym.judge(SUM, "The answer is \\boxed{5 apples}.").detail


def test_a_scorer_may_accept_another_answer_than_the_gold_and_reads_what_the_data_set_was_made_with() -> None:
    reference = GymReference(dataset="puzzle24", entry=repr({"question": "Make 24.", "metadata": {}}), value="4*6*1*1")
    assert gym.judge(reference, "The answer is \\boxed{9 + 9 + 3 + 3}.").outcome is Outcome.RIGHT
    narrow = reference.model_copy(update={"arguments": {"max_value": 6}})
    assert gym.judge(narrow, "The answer is \\boxed{9 + 9 + 3 + 3}.").outcome is Outcome.WRONG


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('true')", "open('x', 'w')", "[print][0]('x')", "(print)('x')", "().mro", "f'{1}'", "exec('1')",
        "[x := 1]", "lambda: 1", "x! + print (1)",
    ],
)  # fmt: skip
def test_a_text_that_could_run_code_reaches_no_scorer_that_evaluates(attack: str) -> None:
    reference = GymReference(dataset="number_sorting", entry=repr({"question": "Sort.", "metadata": {}}), value="['1']")
    assert not gym.is_harmless(reference, attack)
    assert gym.judge(reference, f"\\boxed{{{attack}}}").outcome is Outcome.UNPARSED
    assert gym.is_harmless(SUM, attack)


@given(st.sampled_from(["['1', '2.5']", "3*x**2 + sin(x)/2 - exp(2*x)", "(1 + 2)*3.5", "A B C", "[[0, 1], [1, 0]]", "ABCDD"]))
def test_answers_as_asked_for_are_harmless(answer: str) -> None:
    assert all(gym.is_harmless(GymReference(dataset=name, entry="{}", value="0"), answer) for name in gym.EVALUATED)


def test_every_scorer_that_evaluates_is_known() -> None:
    found = set()
    for name, (dataset, _) in DATASETS.items():
        module = ast.parse(inspect.getsource(inspect.getmodule(dataset)))
        scoring = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and "score" in node.name]
        calls = {ast.unparse(node.func) for own in scoring for node in ast.walk(own) if isinstance(node, ast.Call)}
        found |= {name} if calls & {"eval", "exec", "parse_expr", "sympify", "sp.sympify", "compile"} else set()
    assert found <= gym.EVALUATED


def test_the_version_names_the_installed_library() -> None:
    assert gym.VERSION.endswith(f"reasoning-gym-{version('reasoning-gym')}") and reasoning_gym.create_dataset
