from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RecordError
from data.records import ExactReference, ExpressionReference, NumberReference, Outcome
from data.verifiers.audit import Answer, Judged, Share, confusions, disagreements, golden

GOLD = NumberReference(value="18")


def case(text: str, expected: Outcome | None) -> Judged:
    return Judged(reference=GOLD, text=text, expected=expected)


def test_both_kinds_of_errors_are_counted_and_listed() -> None:
    missed, let_through = case("She makes 18.", Outcome.RIGHT), case("The answer is 18.", Outcome.WRONG)
    fine = [case("The answer is 17.", Outcome.WRONG), case("The answer is 18 dollars.", Outcome.RIGHT), case("18", None)]
    found = confusions([missed, let_through, *fine], workers=1, timeout_seconds=5)
    assert set(found) == {"number"}
    own = found["number"]
    assert (own.missed, own.let_through) == (Share(1, 2), Share(1, 2))
    assert [(error.case, error.found) for error in own.errors] == [(missed, Outcome.UNPARSED), (let_through, Outcome.RIGHT)]
    assert sum(own.counts.values()) == 4


def test_no_error_in_300_cases_is_less_than_one_in_a_hundred_or_so() -> None:
    assert Share(0, 300).interval == (0.0, pytest.approx(0.0122, abs=1e-4))
    assert Share(0, 0).interval == (0.0, 1.0)


def test_what_number_and_math_judge_differently_is_listed_once_and_right_ones_first() -> None:
    answers = [
        Answer(GOLD, "The answer is eighteen thousandths."),
        Answer(GOLD, "The answer is \\boxed{9 + 9}."),  # a sum is right for Math-Verify and no number
        Answer(ExpressionReference(value="18"), "The answer is \\boxed{9 + 9}."),
        Answer(GOLD, "The answer is \\boxed{18}."),
        Answer(ExactReference(value="18"), "The answer is \\boxed{9 + 9}."),
        Answer(ExpressionReference(value="x"), "The answer is \\boxed{9 + 9}."),
    ]
    found = disagreements(answers, workers=1, timeout_seconds=20)
    assert found[0].text == "The answer is \\boxed{9 + 9}." and found[0].said == {"math": "right", "number": "unparsed"}
    assert len({judged.text for judged in found}) == len(found)
    assert all(judged.expected is None for judged in found)


def test_a_bad_golden_case_is_named(tmp_path: Path) -> None:
    path = tmp_path / "number.jsonl"
    path.write_text('{"gold": "1", "text": "1", "expected": "maybe", "why": "?"}\n', encoding="utf-8")
    with pytest.raises(RecordError, match=r"number\.jsonl:1: not a golden case"):
        list(golden(path))
