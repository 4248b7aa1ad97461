r"""Sets of reals: intervals, unions, what an inequality allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.values import Expr, Group, Named, Number, Region, Scalar, Value, Words
from data.verifiers.formula.words import ALL_REALS, NO_SOLUTION

Joined: TypeAlias = Callable[[Sequence[Expr]], Expr]
NAMED_SET = re.compile(r"\\mathbb\s*\{?\s*([RZNQ])\s*\}?")
TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
STEPS = (Fraction(1, 7), Fraction(3, 5), Fraction(7, 4), Fraction(31, 9), Fraction(67, 6))
INTERVALS = ("()", "[]", "[)", "(]")


def named_set(text: str) -> Expr | None:
    """The set of numbers that `text` names, or None."""
    import sympy

    if text.strip() == "\\emptyset":
        return sympy.S.EmptySet
    found = NAMED_SET.fullmatch(text.strip())
    names = {"R": sympy.S.Reals, "Z": sympy.S.Integers, "N": sympy.S.Naturals, "Q": sympy.S.Rationals}
    return names[found[1]] if found else None


def integers() -> tuple[Expr, ...]:
    """The sets that a parameter of a family of solutions may run through."""
    import sympy

    return sympy.S.Integers, sympy.S.Naturals


def as_points(value: Value) -> Expr:
    """The set of reals that a value is; raises UnreadableError for one that is none."""
    import sympy

    if isinstance(value, Named):
        return as_points(value.value)
    if isinstance(value, Region):
        return value.points
    if isinstance(value, Words) and value.text in (NO_SOLUTION, ALL_REALS):
        return sympy.S.EmptySet if value.text == NO_SOLUTION else sympy.S.Reals
    if isinstance(value, Group) and value.brackets in INTERVALS and len(value.items) == 2:
        start, end = (point(item) for item in value.items)
        if (start - end).is_positive or start == end:
            raise UnreadableError("a pair that is no interval")
        return sympy.Interval(start, end, left_open=value.brackets[0] == "(", right_open=value.brackets[1] == ")")
    if isinstance(value, Group) and value.brackets in ("{}", "", "or"):
        return sympy.FiniteSet(*(point(item) for item in value.items))
    raise UnreadableError("no set of reals")


def point(value: Value) -> Expr:
    """A number or an expression that may be real."""
    from data.verifiers.formula.scalars import symbol_of

    if isinstance(value, Number):
        return symbol_of(value)
    if not isinstance(value, Scalar) or value.expr.is_extended_real is False:
        raise UnreadableError("no real number")
    return value.expr


def solved(left: Expr, sign: str, right: Expr) -> Expr:
    """Where this relation of one real unknown holds."""
    import sympy

    if right.is_Symbol and not left.free_symbols:
        left, sign, right = right, TURNED[sign], left
    if left.is_Symbol and not right.free_symbols and right.is_extended_real:
        return _ray(sign, right)
    kinds = {"<": sympy.StrictLessThan, ">": sympy.StrictGreaterThan, "<=": sympy.LessThan, ">=": sympy.GreaterThan, "!=": sympy.Unequality}
    try:
        found = kinds[sign](left, right).as_set()
    except (NotImplementedError, ValueError, TypeError) as error:
        raise UnreadableError("an inequality that cannot be solved") from error
    return sympy.S.Reals if found is sympy.S.UniversalSet else found


def _ray(sign: str, bound: Expr) -> Expr:
    """Where an unknown is less than a bound, and so on."""
    import sympy

    if sign == "!=":
        return sympy.Complement(sympy.S.Reals, sympy.FiniteSet(bound))
    if sign.startswith("<"):
        return sympy.Interval(-sympy.oo, bound, left_open=True, right_open=sign == "<")
    return sympy.Interval(bound, sympy.oo, left_open=sign == ">", right_open=True)


def union(points: Sequence[Expr]) -> Expr:
    """All of them."""
    import sympy

    return sympy.Union(*points)


def intersection(points: Sequence[Expr]) -> Expr:
    """What they share."""
    import sympy

    return sympy.Intersection(*points)


def nontrivial(points: Sequence[Expr]) -> Expr:
    """Of union and intersection the one that says something; where both do, a comma alone does not tell which is meant."""
    import sympy

    telling = [own for own in dict.fromkeys((union(points), intersection(points))) if own not in (sympy.S.EmptySet, sympy.S.Reals)]
    if len(telling) != 1:
        raise UnreadableError("a list of inequalities that may mean 'and' or 'or'")
    return telling[0]


def rest(points: Sequence[Expr]) -> Expr:
    """The reals outside of them."""
    import sympy

    return sympy.Complement(sympy.S.Reals, union(points))


def combined(operands: Sequence[tuple[str, Expr]]) -> Expr:
    r"""Sets joined by `\cup`, `\cap` and `\setminus`, from left to right; no sets are the empty one."""
    import sympy

    kinds = {"\\cup": sympy.Union, "\\cap": sympy.Intersection, "\\setminus": sympy.Complement}
    if not operands:
        return sympy.S.EmptySet
    found = operands[0][1]
    for sign, points in operands[1:]:
        found = kinds[sign](found, points)
    return found


def samples(points: Expr) -> list[Fraction]:
    """Some fractions inside of an interval or a union of intervals."""
    import sympy

    if isinstance(points, sympy.Union):
        return [own for part in points.args for own in samples(part)]
    if not isinstance(points, sympy.Interval):
        return []
    if points.start.is_infinite and points.end.is_infinite:
        return [sign * step for step in STEPS for sign in (1, -1)]
    if points.start.is_infinite or points.end.is_infinite:
        sign, bound = (-1, points.end) if points.start.is_infinite else (1, points.start)
        return [Fraction(float(bound)) + sign * step for step in STEPS]
    start, end = Fraction(float(points.start)), Fraction(float(points.end))
    return [start + (end - start) * Fraction(part, 11) for part in (1, 3, 5, 8, 10)]


def same_points(gold: Expr, answer: Expr) -> bool | None:
    """Whether two sets of reals are equal; None where that cannot be decided."""
    if gold == answer:
        return True
    try:
        empty = gold.symmetric_difference(answer).is_empty
        if empty is not None:
            return bool(empty)
        inside = [gold.is_subset(answer), answer.is_subset(gold)]
    except (NotImplementedError, TypeError, ValueError):
        return None
    return False if False in inside else None if None in inside else True
