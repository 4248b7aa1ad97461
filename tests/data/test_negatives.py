from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from data.negatives import Flaw, Negative, Negatives, choose, negative
from data.pairs import Choices, Pair, PairRule, Side, pairs, right_writers, score_right, score_wrong, token_budget, wrong_writers
from data.records import NumberReference, Outcome, Status, Trace

RULES = TypeAdapter[PairRule](PairRule)
NUMBERS = count()


def trace(text: str, tokens: int = 5, draw: int = 0) -> Trace:
    fields = {"problem_id": "p", "parent_ids": (), "writer": "teacher", "settings_id": "s", "draw": draw, "text": text}
    return Trace.create(**fields, status=Status.OK, prompt_tokens=1, completion_tokens=tokens, tokenizer="t")


def wrong(tokens: int, flaw: Flaw = Flaw.WRONG, text: str | None = None) -> Negative:
    own = text or f"<think>{next(NUMBERS)}</think>"
    return Negative(trace(own, tokens), flaw, own)


def right(tokens: int, text: str | None = None) -> Side:
    own = text or f"<think>{next(NUMBERS)}</think>"
    return Side(trace(own, tokens), own, "right")


def lengths(found: Sequence[Pair]) -> list[tuple[int, int]]:
    return [(pair.chosen.trace.completion_tokens, pair.rejected.trace.completion_tokens) for pair in found]


def choices(of_right: Sequence[Side] = (), of_wrong: Sequence[Negative] = (), *, short: Sequence[Side] = (), rate: float = 0.5) -> Choices:
    lengths = [side.trace.completion_tokens for side in of_right]
    return Choices({"teacher": of_right, "brief": short}, {"teacher": of_wrong}, rate, fmean(lengths) if lengths else None)


GOLD = NumberReference(value="7")
WRONG = {
    "<think>3 + 4 = 8.</think>So. The answer is \\boxed{8}. Bye.": (Outcome.WRONG, Flaw.WRONG),
    "<think>3 + 4 = 7.</think>The answer is \\boxed{8}.": (Outcome.WRONG, Flaw.CONTRADICTORY),
    "<think>3 + 4</think>Eight, say.": (Outcome.UNPARSED, Flaw.UNPARSED),
    "<think>3 + 4 = 8. Wait": (Outcome.TRUNCATED, Flaw.TRUNCATED),
}


@pytest.mark.parametrize("text", WRONG)
def test_every_wrong_trace_has_its_flaw_and_its_text(text: str) -> None:
    outcome, flaw = WRONG[text]
    found = negative(trace(text), outcome, GOLD, thought_right=flaw is Flaw.CONTRADICTORY)
    assert found is not None and found.flaw is flaw
    assert found.text == text.replace("So. ", "").replace(" Bye.", ""), "what has a final statement ends with it"
    assert found.ends == (flaw is not Flaw.TRUNCATED)


@pytest.mark.parametrize("outcome", [Outcome.RIGHT, Outcome.TIMEOUT, Outcome.ERROR])
def test_what_is_right_or_unknown_is_no_negative(outcome: Outcome) -> None:
    assert negative(trace("<think>1</think>\\boxed{1}"), outcome, GOLD) is None


def test_truncated_ones_are_taken_only_when_asked_for() -> None:
    cut = wrong(9, Flaw.TRUNCATED)
    assert choose(Negatives(), [cut]) == []
    assert choose(Negatives(flaws=tuple(Flaw)), [cut]) == [cut]


def test_equal_texts_count_once_and_a_problem_gives_no_more_than_its_share() -> None:
    first, long, short, copy = wrong(5), wrong(9), wrong(2), wrong(5, text="<think>same</think>")
    candidates = [copy, first, copy, long, short]
    assert choose(Negatives(per_problem=9), candidates) == [copy, first, long, short]
    assert choose(Negatives(per_problem=2), candidates) == [copy, first]
    assert choose(Negatives(per_problem=2, choose="longest"), candidates) == [long, copy]
    assert choose(Negatives(per_problem=1, choose="shortest"), candidates) == [short]


def test_the_shortest_right_trace_stands_against_the_longest_wrong_one() -> None:
    of = choices([right(7), right(3), right(5)], [wrong(4), wrong(8), wrong(30, Flaw.TRUNCATED)])
    rule = {"rule": "right_over_wrong"}
    assert lengths(pairs(RULES.validate_python(rule), of)) == [(3, 8)]
    assert lengths(pairs(RULES.validate_python({**rule, "per_problem": 9}), of)) == [(3, 8), (5, 4)]
    assert lengths(pairs(RULES.validate_python({**rule, "flaws": list(Flaw)}), of)) == [(3, 30)]
    assert pairs(RULES.validate_python(rule), choices([right(3)])) == [] == pairs(RULES.validate_python(rule), choices((), [wrong(3)]))


def test_a_short_right_trace_stands_against_one_that_is_long_enough() -> None:
    rule = RULES.validate_python({"rule": "short_over_long", "short": "brief"})
    assert lengths(pairs(rule, choices([right(9), right(12)], short=[right(8)]))) == [(8, 12)]
    assert pairs(rule, choices([right(11)], short=[right(8)])) == []
    same = right(5, "<think>same</think>")
    assert pairs(RULES.validate_python({"rule": "short_over_long", "short": "teacher", "ratio": 1}), choices([same])) == []


def test_for_rankers_neither_side_is_chosen_by_its_length() -> None:
    rule = RULES.validate_python({"rule": "draws", "per_problem": 9})
    of = choices([right(7), right(3), right(5)], [wrong(4), wrong(30, Flaw.TRUNCATED), wrong(20, Flaw.UNPARSED), wrong(8)])
    assert lengths(pairs(rule, of)) == [(7, 4), (3, 8)], "in the order of draws, without those that have no answer"
    assert lengths(pairs(RULES.validate_python({"rule": "draws"}), of)) == [(7, 4)]


def test_scores_and_budget_are_those_of_dast() -> None:
    assert token_budget(15, pass_rate=0.75, most=100) == 0.75 * 15 + 0.25 * 100
    assert token_budget(None, pass_rate=0.0, most=100) == 100
    assert [score_right(excess) for excess in (-0.5, 0.0, 0.8, 2.0)] == pytest.approx([0.75, 0.5, 0.1, 0.1])
    assert [score_wrong(excess) for excess in (-1.0, -0.5, 0.0, 2.0)] == pytest.approx([-1.0, -0.55, -0.1, -0.1])


def test_draws_of_equal_outcome_are_ranked_by_their_budget() -> None:
    rule = RULES.validate_python({"rule": "budget", "max_tokens": 40})
    of = choices([right(10), right(30), right(20)], [wrong(6), wrong(36), wrong(20)], rate=0.5)
    assert lengths(pairs(rule, of)) == [(10, 30), (36, 6)], "right: the shorter; wrong: the longer, up to the budget"
    assert pairs(rule.model_copy(update={"margin": 5.0}), of) == []
    assert lengths(pairs(rule.model_copy(update={"outcomes": ("right",)}), of)) == [(10, 30)]
    assert pairs(rule, choices()) == []


def test_rules_say_whose_traces_they_take() -> None:
    assert right_writers(RULES.validate_python({"rule": "right_over_wrong", "right": "brief"})) == {"brief"}
    assert wrong_writers(RULES.validate_python({"rule": "right_over_wrong", "wrong": "cut"})) == {"cut"}
    draws = RULES.validate_python({"rule": "draws", "right": "brief", "wrong": "cut"})
    assert (right_writers(draws), wrong_writers(draws)) == ({"brief"}, {"cut"})
    short = RULES.validate_python({"rule": "short_over_long", "short": "brief"})
    assert (right_writers(short), wrong_writers(short)) == ({"brief", "teacher"}, set())


SIDES = st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["a", "b", "c", "d"])), max_size=6)


@settings(max_examples=100, deadline=None)
@given(
    of_right=SIDES, of_wrong=SIDES, rate=st.floats(0, 1), rule=st.sampled_from(["right_over_wrong", "short_over_long", "budget", "draws"])
)
def test_no_pair_holds_one_text_twice_and_a_problem_gives_each_side_once(
    of_right: list[tuple[int, str]], of_wrong: list[tuple[int, str]], rate: float, rule: str
) -> None:
    needs = {
        "right_over_wrong": {"per_problem": 3},
        "short_over_long": {"short": "teacher", "per_problem": 3},
        "budget": {"max_tokens": 50},
        "draws": {"per_problem": 3},
    }
    of = choices([right(n, text) for n, text in of_right], [wrong(n, text=f"wrong {text}") for n, text in of_wrong], rate=rate)
    found = pairs(RULES.validate_python({"rule": rule, **needs[rule]}), of)
    assert all(pair.chosen.text != pair.rejected.text for pair in found)
    chosen = [pair.chosen.text for pair in found]
    assert len(chosen) == len(set(chosen))


def test_pairs_are_ranked_by_the_text_that_is_trained() -> None:
    """A long answer behind the thinking is cut from a lesson, so it makes a trace no longer."""
    wordy = trace("<think>1234567890</think>" + "x" * 65, tokens=100)
    brief = trace("<think>" + "y" * 70 + "</think>end", tokens=90)
    sides = [Side(wordy, wordy.text[:25], "right"), Side(brief, brief.text, "right")]
    (found,) = pairs(RULES.validate_python({"rule": "right_over_wrong"}), choices(sides, [wrong(200)]))
    assert found.chosen.trace == wordy
