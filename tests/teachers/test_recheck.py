from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from data.chat import Format, prompt_ids, text_ids
from data.records import NumberReference, Outcome, Problem, Split, Status, Trace
from data.tasks.lab_tokenizer import train_tokenizer
from data.verifiers.judge import judge_texts
from teachers.engine import Completion, SamplingSettings
from teachers.recheck import Rule, Tally, Wanted, empty_probe, probe_of, probes_of, recheck, requests_of
from teachers.sampling import Recipe

PROBLEM = Problem.create(task="t", split=Split.TRAIN, question="How much?", reference=NumberReference(value="5"))
RECIPE = Recipe(SamplingSettings(0.0, 1.0, 20), draws=3)
tokenizer = cache(lambda: train_tokenizer(documents=40))


def trace(thinking: str, writer: str = "brief") -> Trace:
    return Trace.create(
        problem_id=PROBLEM.id,
        parent_ids=("parent",),
        writer=writer,
        settings_id="s",
        draw=0,
        text=f"<think>{thinking}</think>The answer is \\boxed{{5}}.",
        status=Status.OK,
        prompt_tokens=1,
        completion_tokens=1,
        tokenizer="t",
    )


def wanted(*traces: Trace, recipe: Recipe = RECIPE, max_model_length: int = 200) -> Wanted:
    probes = probes_of({PROBLEM.id: PROBLEM}, traces)
    return requests_of(probes, tokenizer(), recipe, max_model_length=max_model_length)


def judged(asked: Wanted, right_after: dict[str, int], status: Status = Status.OK) -> Tally:
    """A tally where so many draws of each thinking end right, and the others wrong."""
    tally = Tally()
    done = []
    for request, probes in asked.items():
        answer = 5 if request.draw < right_after[probes[0].thinking] else 6
        done.append(Completion(request, status, "stop", f" The answer is \\boxed{{{answer}}}.", (1,)))
    for verdict in judge_texts(tally.cases(done, asked), workers=1, timeout_seconds=5):
        tally.add(verdict)
    return tally


def test_the_model_goes_on_right_after_the_thinking() -> None:
    (request, *_) = wanted(trace("3 + 2 = 5."))
    asked = prompt_ids(tokenizer(), PROBLEM.question)
    assert list(request.prompt_ids) == [*asked, *text_ids(tokenizer(), "<think>3 + 2 = 5.</think>")]


def test_a_writer_of_sections_goes_on_in_its_own_format() -> None:
    (request, *_) = wanted(trace("3 + 2 = 5."), recipe=Recipe(RECIPE.sampling, 1, "Think.", Format.SECTIONS))
    assert list(request.prompt_ids) == [
        *prompt_ids(tokenizer(), PROBLEM.question, "Think."),
        *text_ids(tokenizer(), "Working:\n3 + 2 = 5.\n\nShort solution:\n"),
    ]


def test_traces_with_equal_thinking_and_all_empty_starts_are_asked_once() -> None:
    assert len(wanted(trace("a"), trace("a", "other"), trace("b"), trace(""))) == 3 * RECIPE.draws


@pytest.mark.parametrize(
    ("require", "stated", "right", "survives", "reason"),
    [
        ("stated", Outcome.RIGHT, 0, True, "stated"),
        ("stated", Outcome.WRONG, 3, False, "not stated"),
        ("continued", Outcome.WRONG, 2, True, "continued"),
        ("continued", Outcome.RIGHT, 1, False, "continued wrong"),
        ("both", Outcome.RIGHT, 3, True, "both"),
        ("both", Outcome.UNPARSED, 3, False, "not stated"),
        ("both", Outcome.UNPARSED, 0, False, "not stated, continued wrong"),
        ("either", Outcome.WRONG, 3, True, "either"),
        ("either", Outcome.RIGHT, 0, True, "either"),
        ("either", Outcome.TIMEOUT, 1, False, "not stated, continued wrong"),
    ],
)
def test_the_rule_decides_who_survives(require: Any, stated: Outcome, right: int, survives: bool, reason: str) -> None:
    short = trace("3 + 2 = 5.")
    tally = judged(wanted(short), {"3 + 2 = 5.": right, "": 1})
    result = recheck(short, PROBLEM, stated=stated, tally=tally, rule=Rule(require, frozenset()))
    assert (result.survives, result.reason) == (survives, reason)
    assert (result.continued_right, result.continued_draws, result.empty_right, result.empty_draws) == (right, 3, 1, 3)


@pytest.mark.parametrize(("right", "rate", "survives"), [(2, 0.6, True), (2, 0.7, False), (3, 0.9, True), (1, 0.0, True), (0, 0.0, False)])
def test_a_set_share_of_the_continuations_must_be_right(right: int, rate: float, survives: bool) -> None:
    short = trace("3 + 2 = 5.")
    tally = judged(wanted(short), {"3 + 2 = 5.": right, "": 0})
    assert recheck(short, PROBLEM, stated=Outcome.WRONG, tally=tally, rule=Rule("continued", frozenset(), rate)).survives == survives


def test_controls_survive_with_their_numbers_beside_them() -> None:
    short = trace("cut")
    tally = judged(wanted(short), {"cut": 0, "": 0})
    result = recheck(short, PROBLEM, stated=Outcome.WRONG, tally=tally, rule=Rule("both", frozenset({"brief"})))
    assert (result.survives, result.reason, result.continued_right, result.continued_draws) == (True, "control", 0, 3)


def test_truncated_continuations_are_not_right() -> None:
    short = trace("a")
    tally = judged(wanted(short), {"a": 3, "": 3}, Status.TRUNCATED)
    assert (tally.right[probe_of(PROBLEM, short)], tally.draws[probe_of(PROBLEM, short)]) == (0, 3)


def test_a_thinking_without_room_to_go_on_has_no_draws_and_says_so() -> None:
    short = trace("1 2 3 4 5 6 7 8 9 " * 9)
    room = len(prompt_ids(tokenizer(), PROBLEM.question)) + 10 + RECIPE.sampling.max_tokens
    asked = wanted(short, max_model_length=room)
    tally = judged(asked, {"": 3})
    assert {probe for probes in asked.values() for probe in probes} == {empty_probe(PROBLEM)}
    result = recheck(short, PROBLEM, stated=Outcome.WRONG, tally=tally, rule=Rule("continued", frozenset()))
    assert (result.survives, result.reason, result.continued_draws, result.empty_right) == (False, "too long to continue from", 0, 3)
