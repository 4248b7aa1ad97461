"""Single amounts: plain numbers, expressions, digits with a base."""

from __future__ import annotations

from fractions import Fraction

from data.verifiers.formula.identity import same_expr
from data.verifiers.formula.scalars import symbol_of
from data.verifiers.formula.units import LETTERS
from data.verifiers.formula.values import Based, Expr, Number, Scalar, Value

ENOUGH_DIGITS = 6


def same_numbers(gold: Number, answer: Number) -> bool:
    """Exactly; a decimal with six digits or more may be the rounding of a number that has more decimals."""
    if gold.quantity.answered_by(answer.quantity):
        return True
    return _rounds(gold, answer) or _rounds(answer, gold)


def _rounds(exact: Number, decimal: Number) -> bool:
    value, shown = exact.quantity.value, decimal.quantity.value
    if decimal.places is None or exact.quantity.percent or decimal.quantity.percent or (value * 10**ENOUGH_DIGITS).denominator == 1:
        return False
    return _is_rounding(value, shown, decimal.places)


def _is_rounding(value: Fraction, shown: Fraction, places: int) -> bool:
    enough = places >= ENOUGH_DIGITS and abs(shown) * 10**places >= 10 ** (ENOUGH_DIGITS - 1)
    return enough and abs(value - shown) * 10**places <= Fraction(1, 2)


def same_digits(gold: Value, answer: Value) -> bool | None:
    """Digits with a base: the same ones, with that base or (the question names it) without; another base is unclear."""
    if isinstance(gold, Based) and isinstance(answer, Based):
        if gold == answer:
            return True
        return None if _amount(gold) == _amount(answer) else False
    based, other = (gold, answer) if isinstance(gold, Based) else (answer, gold)
    assert isinstance(based, Based)
    if isinstance(other, Number) and based.digits.isdigit():
        return other.quantity.value == int(based.digits)
    return False


def _amount(value: Based) -> int | None:
    try:
        return int(value.digits, value.base)
    except ValueError:
        return None


def same_scalars(gold: Value, answer: Value) -> bool | None:
    """An expression or a number against another; a decimal with enough digits may be rounded, and a letter after a number a unit."""
    found = same_expr(expr_of(gold), expr_of(answer))
    if found is False:
        if isinstance(gold, Number) and isinstance(answer, Scalar) and _may_be_measured(expr_of(gold), answer.expr):
            return None
        for exact, decimal in ((gold, answer), (answer, gold)):
            if isinstance(exact, Scalar) and isinstance(decimal, Number) and _approximates(exact.expr, decimal):
                return True
    return found


def _may_be_measured(number: Expr, answer: Expr) -> bool:
    """Whether an answer is this number times letters that may be units as well: of "12 m" nobody can tell."""
    powers = (answer / number).as_powers_dict() if number else {}
    return bool(powers) and all(power.is_Integer and str(base) in LETTERS for base, power in powers.items())


def _approximates(exact: Expr, decimal: Number) -> bool:
    import sympy

    if decimal.places is None or decimal.quantity.percent or exact.free_symbols:
        return False
    value = exact.evalf(30)
    if not value.is_Float:
        return False
    rational = sympy.Rational(value)
    return _is_rounding(Fraction(int(rational.p), int(rational.q)), decimal.quantity.value, decimal.places)


def expr_of(value: Value) -> Expr:
    """A number or an expression as one of SymPy's."""
    return symbol_of(value) if isinstance(value, Number) else value.expr if isinstance(value, Scalar) else None
