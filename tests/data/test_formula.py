r"""Formulas: rewritings of random values are right, changed ones wrong, and no text breaks the reader."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
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

TERMS = (
    "x",
    "y",
    "2",
    "3.5",
    "0",
    "(",
    ")",
    "+",
    "-",
    "\\frac{1}{2}",
    "\\sqrt{3}",
    "\\pi ",
    ",",
    "=",
    "\\text{ cm}",
    "^2",
    "°",
    "[",
    "]",
    "\\$",
    "%",
)
ATOMS = st.one_of(st.integers(1, 20).map(str), st.sampled_from(("x", "n", "\\pi", "\\sqrt{3}", "e^{x}", "\\sin(x)", "0.25")))
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.builds(
        lambda frame, one, other: frame.format(one, other),
        st.sampled_from(
            (
                "({} + {})",
                "({} - {})",
                "\\left({}\\right) \\cdot {}",
                "\\frac{{{}}}{{7 + ({})^2}}",
                "({} + {})^3",
                "\\sqrt{{({})^2 + ({})^2 + 1}}",
            )
        ),
        inner,
        inner,
    ),
    max_leaves=4,
)
UNITS = (
    ("cm", "centimeters", "Centimetre"), ("cm^2", "square centimeters", "sq. cm", "centimeters squared"),
    ("cm^3", "cubic cm", "cc"), ("m", "meters"),
    ("m/s", "meters per second"), ("m/s^2", "meters per second squared"), ("mph", "miles per hour", "mi/h"), ("hours", "hrs", "h", "hour"),
    ("days", "day"), ("years", "yrs"), ("s", "seconds", "sec"), ("dollars", "USD"), ("cents", "cent"),
    ("kg", "kilograms"), ("rad", "radians"),
    ("apples", "red apples"), ("people", "persons"), ("boxes", "box"),
)  # fmt: skip


def matrix(entries: list[int], rows: int, columns: int) -> str:
    lines = " \\\\ ".join(" & ".join(map(str, entries[row * columns : (row + 1) * columns])) for row in range(rows))
    return f"\\begin{{pmatrix}} {lines} \\end{{pmatrix}}"


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
def test_any_text_is_read_or_refused_and_is_not_another_than_itself(text: str) -> None:
    value = read(text)
    assert value is None or same(value, value) is not False


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(TERMS), min_size=1, max_size=8).map("".join))
@example("x0=0")
def test_what_is_read_answers_itself(text: str) -> None:
    value = read(text)
    assert value is None or same(value, value) is True


@settings(deadline=None, max_examples=6)
@given(
    FORMULAS,
    st.sampled_from(("{}", "y = {}", "({}, 2)", "\\{{{}, 99\\}}", "{} \\text{{ cm}}", "\\begin{{pmatrix}} {} & 1 \\end{{pmatrix}}")),
)
def test_a_formula_is_read_and_answers_itself_and_itself_with_more_brackets(formula: str, frame: str) -> None:
    assert judged(frame.format(formula), frame.format(formula)) is Outcome.RIGHT
    assert judged(frame.format(formula), frame.format(f"\\left({formula} + 1\\right) - 1")) is Outcome.RIGHT


@settings(deadline=None, max_examples=6)
@given(st.integers(1, 30), st.integers(0, 30), st.integers(50, 400), st.integers(50, 400), st.integers(2, 12))
def test_tiny_numbers_are_right_only_if_equal(above: int, other: int, power: int, other_power: int, base: int) -> None:
    gold, answer = Fraction(above, base**power), Fraction(other, base**other_power)
    written = f"\\frac{{{above}}}{{{base}^{{{power}}}}}"
    said = judged(written, f"\\frac{{{other}}}{{{base}^{{{other_power}}}}}")
    assert said is (Outcome.RIGHT if gold == answer else Outcome.WRONG)
    assert judged(f"1 + {written}", "1") is judged(f"e + {written}", "e") is judged(f"\\sqrt2 \\cdot {written}", "0") is Outcome.WRONG
    assert judged(written, f"{above} \\cdot {base}^{{-{power}}}") is Outcome.RIGHT


@settings(deadline=None, max_examples=6)
@given(st.integers(200, 3000), st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 3), st.sampled_from(("", "\\pi ", "\\sqrt{2} ")))
def test_polynomials_of_a_high_degree_are_right_only_if_equal(degree: int, low: int, other: int, place: int, factor: str) -> None:
    gold, answer = (f"{factor}x^{{{degree}}} + ({own}) x^{{{place}}}" for own in (low, other))
    assert judged(gold, answer) is (Outcome.RIGHT if low == other else Outcome.WRONG)
    assert judged(f"{factor}x^{{{degree}}} + x", f"x + {factor}x^{{{degree + 1}}}") is Outcome.WRONG


@settings(deadline=None, max_examples=3)
@given(st.lists(st.integers(-9, 9), min_size=4, max_size=6).filter(lambda own: len(own) % 2 == 0))
def test_a_matrix_is_right_only_in_its_shape(entries: list[int]) -> None:
    shapes = [(rows, len(entries) // rows) for rows in range(1, len(entries) + 1) if len(entries) % rows == 0]
    for shape in shapes:
        for other in shapes:
            assert judged(matrix(entries, *shape), matrix(entries, *other)) is (Outcome.RIGHT if shape == other else Outcome.WRONG)
        flat = f"({', '.join(map(str, entries))})"
        expected = Outcome.RIGHT if 1 in shape else Outcome.WRONG
        assert judged(matrix(entries, *shape), flat) is judged(flat, matrix(entries, *shape)) is expected


@settings(deadline=None)
@given(st.integers(1, 99), st.sampled_from(UNITS), st.sampled_from(UNITS), st.data())
def test_of_a_unit_every_spelling_is_right_and_no_other_unit(
    value: int, unit: tuple[str, ...], other: tuple[str, ...], data: st.DataObject
) -> None:
    gold, answer = (f"{value}\\text{{ {data.draw(st.sampled_from(own))}}}" for own in (unit, other))
    assert judged(gold, answer) is (Outcome.RIGHT if unit == other else Outcome.UNPARSED)
    assert judged(gold, str(value)) is judged(str(value), answer) is Outcome.RIGHT
    assert judged(gold, f"{value + 1}") is Outcome.WRONG


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
