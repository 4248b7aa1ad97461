"""Expressions that come to a fraction, exactly."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction

from data.verifiers.formula.values import Expr

MAX_BITS = 100_000
"""Of a numerator or a denominator."""
MAX_FACTORIAL = 5000


def rational(expr: Expr, at: Mapping[Expr, Fraction]) -> Fraction | None:
    """The fraction that an expression is where its letters have the values `at`; None for one that is none or too long.

    Raises ZeroDivisionError where it is not defined.
    """
    if expr.is_Rational:
        return Fraction(int(expr.p), int(expr.q))
    if expr.is_Symbol:
        return at.get(expr)
    values = []
    for part in expr.args:
        value = rational(part, at)
        if value is None:
            return None
        values.append(value)
    found = _combined(expr, values)
    return found if found is not None and _bits(found) <= MAX_BITS else None


def _combined(expr: Expr, values: list[Fraction]) -> Fraction | None:
    import sympy

    if expr.is_Add:
        return _accumulated(values, operator.add)
    if expr.is_Mul:
        return _accumulated(values, operator.mul)
    if expr.is_Pow:
        base, exponent = values
        return base**exponent.numerator if exponent.denominator == 1 and _bits(base) * abs(exponent) <= MAX_BITS else None
    if isinstance(expr, sympy.Abs):
        return abs(values[0])
    if isinstance(expr, sympy.factorial | sympy.binomial) and all(own.denominator == 1 and 0 <= own <= MAX_FACTORIAL for own in values):
        counts = [value.numerator for value in values]
        return Fraction(math.comb(*counts) if len(counts) > 1 else math.factorial(*counts))
    return None


def _accumulated(values: list[Fraction], operation: Callable[[Fraction, Fraction], Fraction]) -> Fraction | None:
    found = values[0]
    for value in values[1:]:
        found = operation(found, value)
        if _bits(found) > MAX_BITS:
            return None
    return found


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
