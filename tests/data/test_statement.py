from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.records import NumberReference, Outcome
from data.statement import final_statement, split_answer
from data.verifiers import number

GOLD = NumberReference(value="5")
CASES = [
    ("Ana = 3. 3 + 2 = 5. The answer is \\boxed{5}.", "Ana = 3. 3 + 2 = 5.", "The answer is \\boxed{5}."),
    ("The answer is \\boxed{9}.", "", "The answer is \\boxed{9}."),
    ("1. Add.\n2. Halve.\nThe answer is \\boxed{9}.", "1. Add.\n2. Halve.", "The answer is \\boxed{9}."),
    ("It costs 1.5 dollars. The answer is \\boxed{1.5} dollars. Bye!", "It costs 1.5 dollars.", "The answer is \\boxed{1.5} dollars."),
    ("So it is $\\boxed{\\frac{1}{2}}$. Good.", "", "So it is $\\boxed{\\frac{1}{2}}$."),
    ("Thus\n\\[\n\\boxed{18}\n\\]", "Thus", "\\[\n\\boxed{18}\n\\]"),
    ("Done.\n\nThe final answer is:\n\\[\n\\boxed{18}\n\\]\nThanks.", "Done.", "The final answer is:\n\\[\n\\boxed{18}\n\\]"),
    ("9 + 9 = 18\n#### 18\n", "9 + 9 = 18", "#### 18"),
    ("So \\boxed{3}. Wait, the answer is 4.", "So \\boxed{3}.", "Wait, the answer is 4."),
    ("We add. **The answer is \\boxed{18}.**", "We add.", "**The answer is \\boxed{18}.**"),
]


@pytest.mark.parametrize(("text", "before", "statement"), CASES)
def test_an_answer_is_split_at_its_last_statement(text: str, before: str, statement: str) -> None:
    assert split_answer(text, GOLD) == (before, statement)


@pytest.mark.parametrize("text", ["", "18 apples", "The answer is clear.", "\\boxed{}", "\\boxed{5", "If the answer is 5 then"])
def test_no_statement_is_never_guessed(text: str) -> None:
    assert final_statement(text, GOLD) is None


SENTENCES = st.sampled_from(
    [
        "Ana = 3.",
        "3 + 2 = 5.",
        "The answer is \\boxed{5}.",
        "The answer is \\boxed{6}.",
        "the answer is 7",
        "Answer: **5**",
        "\\[\n\\boxed{5}\n\\]",
        "\\[ \\boxed{8} \\]",
        "#### 5",
        "Wait, that is wrong.",
        "So we get $\\boxed{5}$",
        "The final answer is:",
        "Good.",
        "It is 1.5 times as much!",
    ]
)
ANSWERS = st.lists(st.tuples(SENTENCES, st.sampled_from([" ", "\n", "\n\n"]))).map(lambda parts: "".join(a + b for a, b in parts))


@settings(max_examples=50, deadline=None)
@given(ANSWERS)
def test_the_statement_alone_is_judged_like_the_whole_text(text: str) -> None:
    statement = final_statement(text, GOLD)
    whole = number.judge(NumberReference(value="5"), text)
    if statement is None:
        assert whole.outcome is Outcome.UNPARSED
    else:
        alone = number.judge(NumberReference(value="5"), statement)
        assert (alone.outcome, alone.extracted) == (whole.outcome, whole.extracted)


@settings(max_examples=50, deadline=None)
@given(ANSWERS)
def test_splitting_again_changes_nothing(text: str) -> None:
    parts = split_answer(text, GOLD)
    if parts is not None:
        assert parts.before in text
        assert parts.statement in text
        assert split_answer(parts.statement, GOLD) == ("", parts.statement)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab \n.{}\\$[]#5answeri:", max_size=80))
def test_any_text_is_split_without_an_error(text: str) -> None:
    parts = split_answer(text, GOLD)
    assert parts is None or parts.statement
