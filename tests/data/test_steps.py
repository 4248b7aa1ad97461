from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.records import ExpressionReference, NumberReference
from data.solutions import solutions
from data.steps import checks, steps

GOLDEN = Path(__file__).parents[1] / "golden/steps.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
PIECES = st.sampled_from(
    [
        "a b. ",
        "3.5",
        "\n",
        "\n\n",
        "1. ",
        "$$x.\ny$$",
        "$$",
        "```",
        "Check: 3. ",
        "Wait. ",
        "Let me verify. ",
        "so = 5. ",
        "等。",
        ": ",
        " ",
        "é! ",
    ]
)
TEXT = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=30).map("".join))


@pytest.mark.parametrize("case", CASES, ids=[str(index) for index in range(len(CASES))])
def test_golden_thinkings_are_divided_as_a_reader_would(case: dict[str, Any]) -> None:
    found = steps("".join(case["steps"]))
    assert found == case["steps"], case["why"]
    assert [index for index, is_check in enumerate(checks(found)) if is_check] == case["checks"], case["why"]
    assert solutions(found, NumberReference(value=case["gold"])) == case["solutions"], case["why"]


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
def test_steps_joined_are_the_text_and_none_is_empty(text: str) -> None:
    found = steps(text)
    assert "".join(found) == text
    assert all(found)
    assert len(checks(found)) == len(found)
    assert all(step.strip() for step in found) or not text.strip()


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "a. " * 300_000, "$" * 200_000, "\n" * 200_000, "check " * 100_000, ": " * 200_000, "```" * 50_000]
)
@pytest.mark.timeout(20)
def test_a_megabyte_is_divided_in_time(text: str) -> None:
    checks(steps(text))


def test_expressions_are_compared_as_written() -> None:
    reference = ExpressionReference(value="\\frac{1}{2}")
    assert solutions(["It is 1/2 of it. ", "So $x = \\dfrac{1}{2}$. "], reference) == [1]
