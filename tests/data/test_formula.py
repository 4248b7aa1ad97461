r"""Formulas: rewritings of random values are right, changed ones wrong, and no text breaks the reader."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.records import ExpressionReference, Outcome, Status
from data.verifiers import expression
from data.verifiers.formula.notation import plain
from data.verifiers.formula.reading import read
from data.verifiers.formula.sameness import same
from data.verifiers.judge import TextCase, judge_texts

NUMBERS = st.fractions(-50, 50, max_denominator=30)
POLYNOMIALS = st.lists(st.integers(-9, 9), min_size=2, max_size=4).filter(lambda own: own[-1] != 0 and len(set(own)) > 1)
PIECES = (
    "\\frac", "{", "}", "\\boxed{", "(", ")", "[", "]", "\\{", "\\}", "\\left", "\\right)", "x", "12", "3.5", ",", ";", "=", "<", "\\le ",
    "\\pm ", "\\cup ", "\\begin{cases}", "\\end{cases}",
    "\\begin{pmatrix}", "&", "\\\\", "\\text{or}", "\\sqrt", "^", "_", "|", "∞", "√", "½",
    "²", "'", "°", "...", "\\pmod{7}", "\\equiv ", "%", "$", "**", " and ", "\\in ", "\\mathbb{R}", "\\overline{3}", "!",
    "/", "-", "\\infty ", "i", "e", "\\sin ",
)  # fmt: skip


def judged(gold: str, answer: str) -> Outcome:
    return expression.judge(ExpressionReference(value=gold), f"The answer is $\\boxed{{{answer}}}$.").outcome


def fraction(value: Fraction) -> str:
    return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


SPELLINGS: tuple[Callable[[Fraction], str], ...] = (
    fraction,
    str,
    lambda value: f"\\dfrac{{{3 * value.numerator}}}{{{3 * value.denominator}}}",
    lambda value: f"{fraction(value + 1)} - 1",
    lambda value: f"x = {value}",
    lambda value: f"{fraction(value)} \\text{{ cm}}",
)


def polynomial(coefficients: list[int], *, rising: bool) -> str:
    terms = [f"{'+' if own > 0 else '-'}{abs(own)}x^{{{power}}}" for power, own in enumerate(coefficients) if own]
    return " ".join(terms if rising else reversed(terms))


def nested(coefficients: list[int]) -> str:
    """Horner's form."""
    text = str(coefficients[-1])
    for own in reversed(coefficients[:-1]):
        text = f"({text}) x + ({own})"
    return text


@settings(deadline=None, max_examples=6)
@given(NUMBERS, NUMBERS, st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS))
def test_a_rational_is_right_in_every_spelling_and_another_one_in_none(
    value: Fraction, other: Fraction, spell: Callable[[Fraction], str], respell: Callable[[Fraction], str]
) -> None:
    assert judged(spell(value), respell(value)) is Outcome.RIGHT
    assert value == other or judged(spell(value), respell(other)) is Outcome.WRONG


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(POLYNOMIALS, st.data())
def test_a_polynomial_is_right_in_every_form_and_wrong_with_another_coefficient(coefficients: list[int], data: st.DataObject) -> None:
    gold = polynomial(coefficients, rising=False)
    changed = list(coefficients)
    changed[data.draw(st.integers(0, len(changed) - 1))] += data.draw(st.sampled_from((-1, 1)))
    assert judged(gold, polynomial(coefficients, rising=True)) is judged(gold, nested(coefficients)) is Outcome.RIGHT
    assert judged(gold, nested(changed)) is Outcome.WRONG


@settings(deadline=None, max_examples=10)
@given(st.lists(NUMBERS, min_size=2, max_size=4, unique=True), st.randoms(use_true_random=False))
def test_sets_have_no_order_tuples_have_one_and_neither_is_the_other(values: list[Fraction], source: object) -> None:
    shuffled = list(values)
    source.shuffle(shuffled)  # type: ignore[attr-defined]
    own, mixed = ", ".join(map(fraction, values)), "; ".join(map(str, shuffled))
    assert judged(f"\\{{{own}\\}}", f"\\{{{mixed}\\}}") is judged(own, mixed) is Outcome.RIGHT
    assert judged(f"({own})", f"({mixed})") is (Outcome.RIGHT if shuffled == values else Outcome.WRONG)
    assert judged(f"\\{{{own}\\}}", f"({own})") is judged(f"({own})", f"\\{{{own}\\}}") is Outcome.WRONG
    assert judged(f"\\{{{own}\\}}", f"\\{{{own}, 99\\}}") is judged(f"({own})", f"({own}, 99)") is Outcome.WRONG


@settings(deadline=None, max_examples=8)
@given(NUMBERS, st.fractions(Fraction(1, 9), 9, max_denominator=9), st.booleans(), st.booleans())
def test_an_interval_is_right_as_inequalities_and_wrong_with_another_end(
    start: Fraction, length: Fraction, left: bool, right: bool
) -> None:
    end = start + length

    def bounds(lower: bool, upper: bool) -> str:
        return f"{start} {'<' if lower else chr(92) + 'le'} x {'<' if upper else chr(92) + 'le'} {end}"

    gold = f"{'(' if left else '['}{fraction(start)}, {fraction(end)}{')' if right else ']'}"
    assert judged(gold, bounds(left, right)) is Outcome.RIGHT
    assert judged(gold, bounds(not left, right)) is judged(gold, bounds(left, not right)) is Outcome.WRONG


@settings(deadline=None, max_examples=30)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_any_text_is_read_or_refused_and_answers_itself(text: str) -> None:
    value = read(text)
    assert value is None or same(value, value) is not False


def test_no_sign_of_unicode_breaks_the_notation() -> None:
    codes = [code for code in range(0, 0x110000, 61) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), 64):
        assert isinstance(plain(f"2{''.join(map(chr, codes[start : start + 64]))}+x"), str)
    assert {sign for sign in map(chr, range(0x2150, 0x215F)) if read(sign) is None} == set()
    assert plain("x²+½π≤∞").isascii()


@pytest.mark.parametrize(
    "piece",
    ["(", "\\{", "{", "\\frac{", "sqrt(", "x^(", "\\begin{cases}", "\\pm", "1,", "[", "a or ", "\\text{", "0.3\\overline{", "-", "x="],
)
def test_deep_nesting_and_endless_repetition_are_refused(piece: str) -> None:
    assert read(piece * 20) is None or piece in ("-", "1,")
    assert read(piece * 200_000) is None


@pytest.mark.slow
def test_hostile_answers_through_the_pool_cost_their_own_item_only() -> None:
    planes = ["".join(chr((plane << 16) + offset) for offset in range(0x20, 0x60)) for plane in range(17)]
    texts = {
        "9**9**9": {Outcome.TIMEOUT, Outcome.WRONG, Outcome.ERROR, Outcome.UNPARSED},
        "(" * 5000: {Outcome.UNPARSED},
        "{" * 5000: {Outcome.UNPARSED},
        "x" * 10**6: {Outcome.UNPARSED},
        "(x+1)^{99999}": {Outcome.TIMEOUT, Outcome.WRONG, Outcome.UNPARSED},
        "\\sqrt{" * 30 + "2" + "}" * 30: {Outcome.WRONG},
        "1+x": {Outcome.RIGHT},
    } | {plane: {Outcome.UNPARSED, Outcome.WRONG} for plane in planes}
    cases = [TextCase(text, ExpressionReference(value="x+1"), f"\\boxed{{{text}}}", Status.OK) for text in texts]
    verdicts = {verdict.trace_id: verdict for verdict in judge_texts(cases, workers=2, timeout_seconds=3)}
    assert verdicts.keys() == texts.keys()
    assert {text[:20]: v.detail for text, v in verdicts.items() if v.outcome not in texts[text]} == {}
