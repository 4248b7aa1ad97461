from __future__ import annotations

import time
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from string import ascii_uppercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.records import (
    ChoiceReference,
    ExactReference,
    ExpressionReference,
    LabelReference,
    NumberReference,
    Outcome,
    Reference,
    Status,
)
from data.statement import final_statement
from data.verifiers import choice, exact, expression, number, number_words
from data.verifiers.audit import confusions, golden
from data.verifiers.contract import MAX_ANSWER_CHARACTERS
from data.verifiers.judge import VERIFIERS, TextCase, judge_texts
from data.verifiers.quantity import read_quantity
from data.verifiers.stated import Thinking, last_stated, stated, stated_all

GOLDEN = Path(__file__).parents[1] / "golden"
PIECES = (
    "\\boxed{", "}", "{", "\\frac", "\\text{", "The answer is ", "answer: ", "####", " or ", " = ", "\n", ". ", "-",
    "1,200", "50%", "1/2", "½", "<think>", "</think>", "\\", "$", "**", "1e9", "9" * 50, " wait, ", "million", "≈", "٣", "<answer>",
    "</answer>", "十", "half", "it should be ",
    '"safe": ', '{"safe": true,',
)  # fmt: skip
INLINE = [kind for kind, verifier in VERIFIERS.items() if verifier.INLINE]
REFERENCES: dict[str, Reference] = {
    "number": NumberReference(value="18"),
    "choice": ChoiceReference(options=("17", "18", "19 apples"), value="B"),
    "label": LabelReference(labels={"unsafe": ("not safe",), "safe": ()}, value="unsafe"),
    "exact": ExactReference(value="Marie Curie"),
}
HOSTILE_TEXT = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))


@pytest.mark.parametrize(("kind", "every"), [*((kind, 1) for kind in INLINE), ("math", 6), pytest.param("math", 1, marks=pytest.mark.slow)])
def test_golden(kind: str, every: int) -> None:
    """Of expressions, whose parser is slow, a sixth."""
    found = confusions(list(golden(GOLDEN / f"{kind}.jsonl"))[::every], workers=2, timeout_seconds=30)
    assert list(found) == [kind]
    assert [(error.case.why, error.case.text[-80:], error.found, error.detail) for error in found[kind].errors] == []


def test_each_golden_file_covers_every_outcome_that_a_text_can_have() -> None:
    for kind in (*INLINE, "math"):
        outcomes = {Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED} | ({Outcome.ERROR} if kind in ("number", "math") else set())
        assert {case.expected for case in golden(GOLDEN / f"{kind}.jsonl")} == outcomes


def test_the_version_names_the_installed_math_verify() -> None:
    assert f"math-verify-{version('math-verify')}" in expression.VERSION


@pytest.mark.parametrize("kind", INLINE)
@settings(deadline=None)
@given(HOSTILE_TEXT)
def test_any_text_is_read_without_a_crash(kind: str, text: str) -> None:
    judgement = VERIFIERS[kind].judge(REFERENCES[kind], text)
    assert judgement.outcome in (Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED)
    assert (judgement.extracted is None) == (judgement.outcome is Outcome.UNPARSED)


def spelled(value: Fraction) -> st.SearchStrategy[str]:
    """A plain number in LaTeX."""
    ways = [f"\\frac{{{value.numerator}}}{{{value.denominator}}}", f"{float(value):.6f}".rstrip("0")]
    return st.sampled_from([str(value.numerator), f"{value.numerator:,}".replace(",", "{,}")] if value.denominator == 1 else ways)


VALUES = st.builds(Fraction, st.integers(-5000, 5000), st.sampled_from((1, 2, 4, 5, 8, 20, 25)))


@settings(deadline=None, max_examples=150)
@given(VALUES, st.one_of(st.just(Fraction(0)), st.sampled_from((1, -1, 10)).map(lambda n: Fraction(n, 10)), VALUES), st.data())
def test_plain_numbers_get_the_verdict_of_math_verify(value: Fraction, off: Fraction, data: st.DataObject) -> None:
    from math_verify import parse, verify

    gold, text = data.draw(spelled(value)), f"The answer is \\boxed{{{data.draw(spelled(value + off))}}}."
    theirs = verify(parse(f"${gold}$", parsing_timeout=None), parse(text, parsing_timeout=None), timeout_seconds=None)
    ours = number.judge(NumberReference(value=gold), text), expression.judge(ExpressionReference(value=gold), text)
    assert [judgement.outcome is Outcome.RIGHT for judgement in ours] == [theirs, theirs] == [off == 0] * 2


@given(st.integers(0, 9999))
def test_chinese_numerals_are_read_as_they_are_counted(value: int) -> None:
    counted = number_words.counted(value)
    assert number_words.with_digits(counted) == str(value) and number_words.with_digits(f"{counted}个") == f"{value}个"
    assert number.judge(NumberReference(value=str(value)), f"答案是{counted}。").outcome is Outcome.RIGHT


@pytest.mark.parametrize("kind", INLINE)
def test_the_gold_answer_is_right_and_its_own_statement(kind: str) -> None:
    verifier, reference = VERIFIERS[kind], REFERENCES[kind]
    gold = verifier.gold_text(reference)
    assert verifier.judge(reference, gold).outcome is Outcome.RIGHT
    assert final_statement(f"We think about it.\n{gold}" if kind != "exact" else gold, reference) == gold


@settings(deadline=None)
@given(
    st.lists(
        st.text(min_size=1, max_size=12).filter(lambda text: text.strip()), min_size=2, max_size=6, unique_by=lambda t: " ".join(t.split())
    ),
    st.data(),
)
def test_only_the_gold_letter_is_right_whatever_the_options_say(options: list[str], data: st.DataObject) -> None:
    gold, said = (data.draw(st.sampled_from(ascii_uppercase[: len(options)])) for _ in range(2))
    reference = ChoiceReference(options=tuple(options), value=gold)
    judgement = choice.judge(reference, f"The answer is \\boxed{{{said}}}.")
    assert judgement.outcome in ((Outcome.RIGHT if said == gold else Outcome.WRONG), Outcome.UNPARSED)
    if not any(len(option.strip(" .()[]*_$`\"'")) <= 1 for option in options):
        assert judgement.extracted == said


@settings(deadline=None)
@given(st.text(alphabet="abcÄßя山09 -+/()'é", min_size=1, max_size=30).filter(lambda text: text.strip(" ()'")))
def test_a_text_answers_itself_and_no_longer_one(value: str) -> None:
    reference = ExactReference(value=value)
    assert exact.judge(reference, exact.gold_text(reference)).outcome is Outcome.RIGHT
    assert exact.judge(reference, f"The answer is {value}x").outcome is not Outcome.RIGHT


@settings(deadline=None)
@given(HOSTILE_TEXT)
def test_stated_reads_any_thinking_without_a_crash(text: str) -> None:
    assert stated(NumberReference(value="18"), text) in (Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED)
    last_stated(ExpressionReference(value="x"), text)


@pytest.mark.parametrize(
    "piece", [*PIECES, "the answer is 1 ", "\\boxed{1}", "answer to ", "1 ", " ", "if ", "= ", "(", "\\frac{1}{", "1,", "so the "]
)
def test_long_hostile_texts_take_linear_time(piece: str) -> None:
    text = piece * (2 * MAX_ANSWER_CHARACTERS // len(piece))
    started = time.process_time()
    for kind in INLINE:
        VERIFIERS[kind].judge(REFERENCES[kind], text)
    stated(NumberReference(value="18"), text)
    last_stated(ExpressionReference(value="x"), text)
    assert time.process_time() - started < 4


@settings(deadline=None)
@given(st.fractions(min_value=-(10**9), max_value=10**9))
def test_a_spelled_quantity_reads_as_itself(value: object) -> None:
    quantity = read_quantity(str(value))
    assert quantity is not None
    assert read_quantity(str(quantity)) == quantity
    assert quantity.value == value


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_only_the_same_integer_is_right(gold: int, said: int) -> None:
    judgement = number.judge(NumberReference(value=str(gold)), f"The answer is \\boxed{{{said:,}}}.")
    assert (judgement.outcome is Outcome.RIGHT) == (gold == said)
    assert judgement.extracted == str(said)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 99), st.text(alphabet="abc .,=0123456789", max_size=80))
def test_what_stands_before_further_working_does_not_matter(said: int, before: str) -> None:
    text = f"{before}\nNow we work on.\nThe answer is \\boxed{{{said}}}."
    assert number.judge(NumberReference(value=str(said)), text).outcome is Outcome.RIGHT


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("<think>The answer is \\boxed{18}.</think>The answer is \\boxed{17}.", Status.OK, Outcome.WRONG),
        ("<think>It is 17.</think>The answer is \\boxed{18}.", Status.OK, Outcome.RIGHT),
        ("<think>The answer is \\boxed{18}.</think>", Status.OK, Outcome.UNPARSED),
        ("<think>The answer is \\boxed{18}.", Status.OK, Outcome.TRUNCATED),
        ("<think>a</think>The answer is \\boxed{18}.", Status.TRUNCATED, Outcome.TRUNCATED),
        ("The answer is \\boxed{18}.", Status.ERROR, Outcome.ERROR),
        ("The answer is \\boxed{18}.", Status.TIMEOUT, Outcome.TIMEOUT),
        ("The answer is \\boxed{18}.", Status.OK, Outcome.RIGHT),
    ],
)
def test_the_text_after_the_thinking_and_the_status_decide(text: str, status: Status, expected: Outcome) -> None:
    (verdict,) = judge_texts([TextCase("t", NumberReference(value="18"), text, status)], workers=1, timeout_seconds=30)
    assert verdict.outcome is expected
    assert (verdict.trace_id, verdict.verifier, verdict.version) == ("t", "number", VERIFIERS["number"].VERSION)


def test_mixed_kinds_all_get_their_verdict() -> None:
    references = (NumberReference(value="18"), ExpressionReference(value="x+1"))
    texts = ("<think>\\boxed{17}</think>\\boxed{18}", "<think>\\boxed{x}</think>\\boxed{1+x}")
    cases = [TextCase(f"{index}", references[index % 2], texts[index % 2], Status.OK) for index in range(20)]
    unfinished = TextCase("unfinished", references[1], "<think>\\boxed{1+x}", Status.OK)
    verdicts = {v.trace_id: v for v in judge_texts([unfinished, *cases], workers=1, timeout_seconds=30)}
    assert verdicts.pop("unfinished").outcome is Outcome.TRUNCATED
    assert {key: v.verifier for key, v in verdicts.items()} == {f"{i}": ("number", "math")[i % 2] for i in range(20)}
    assert {v.outcome for v in verdicts.values()} == {Outcome.RIGHT}


@pytest.mark.parametrize(
    ("gold", "thinking", "expected"),
    [
        ("8", "All steps: Ana 5, Ben 8. So Ben has 8.", Outcome.RIGHT),
        ("8", "All steps: Ana 5, Ben 8. So Ben has 9.", Outcome.WRONG),
        ("13", "Cid = Ben + 3, Ben = Ana * 2, Ana = 5. 5 * 2 = 10. 10 + 3 = 13.", Outcome.RIGHT),
        ("9", "In total he scored 4 + 5 = 9 points in the 40 minutes.", Outcome.RIGHT),
        ("18", "So it is \\boxed{18}", Outcome.RIGHT),
        ("0.5", "So it is \\boxed{\\frac{1}{2}}.", Outcome.RIGHT),
        ("1200", "She has 1,200 apples.", Outcome.RIGHT),
        ("-5", "It is now -5 degrees.", Outcome.RIGHT),
        ("5", "We compute 10-5", Outcome.RIGHT),
        ("18", "First we look for Ana.", Outcome.UNPARSED),
        ("18", "", Outcome.UNPARSED),
    ],
)
def test_the_last_result_of_a_thinking(gold: str, thinking: str, expected: Outcome) -> None:
    assert stated(NumberReference(value=gold), thinking) is expected


def test_the_last_expression_of_a_thinking() -> None:
    cases = {
        "so $f(x) = (x+1)^2$, as we see.": Outcome.RIGHT,
        "x = 3. Hence it is \\boxed{x^2+2x+1}.": Outcome.RIGHT,
        "It is \\boxed{x^2+2x+1}. No: f = x^2 - 1": Outcome.WRONG,
        "We look at the square.": Outcome.UNPARSED,
    }
    gold = ExpressionReference(value="(x+1)^2")
    found = dict(stated_all((Thinking(text, gold, text) for text in cases), workers=1, timeout_seconds=30))
    assert found == cases
