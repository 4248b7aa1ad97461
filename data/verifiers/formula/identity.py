"""Whether two expressions are the same: exactly for fractions, to 400 digits for numbers, at many points for letters, else by Math-Verify.

Points are exact fractions: large ones, where the highest power decides, small ones, where the lowest does, and 0. Values that are
fractions are compared exactly, others by 40 digits and once by 400. Two expressions that agree at all points are one function on the
reals where both are defined; real powers and logarithms of negative numbers are left out, as their writers do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from fractions import Fraction

from data.verifiers.formula.rational import rational
from data.verifiers.formula.values import Expr

DIGITS = 40
RELATIVE, NOISE = 1e-25, 1e-60
"""How far two values of one thing may differ, and how small one part of a complex value is only rounding; both beside their size."""
SUBTRACTION_DIGITS = 400
MODERATE, SMALL_ENOUGH = 100, 10_000
"""Decimal exponents: up to the first no part of a number is so large or small that 400 digits may hide a difference; up to the second
SymPy may work it out."""
NEEDED_POINTS = 4
CONSTANTS = ("C", "c", "K", "k")


def same_expr(gold: Expr, answer: Expr) -> bool | None:
    """Whether an answer is the gold expression; None where nobody can tell."""
    import sympy

    if gold == answer:
        return True
    if gold.has(sympy.oo, -sympy.oo) or answer.has(sympy.oo, -sympy.oo):
        return False
    if not gold.free_symbols and not answer.free_symbols:
        return _same_number(gold, answer)
    constants = _integration_constants(gold, answer)
    if constants is not None:
        gold, answer = gold - constants[0], answer - constants[1]
        shift = _value(gold - answer, dict.fromkeys((gold - answer).free_symbols, Fraction(7, 5)))
        return False if shift is None else same_function(gold, answer + shift)
    return same_function(gold, answer)


def same_function(gold: Expr, answer: Expr, points: Iterable[Fraction] | None = None) -> bool | None:
    """Whether two expressions agree wherever both are real; with `points`, at these values of their one letter."""
    import sympy

    symbols = sorted(gold.free_symbols | answer.free_symbols, key=str)
    exact, rounded = 0, []
    bars = bool(gold.atoms(sympy.Abs))
    complex_ones = gold.has(sympy.I) or answer.has(sympy.I)
    for point in _points(len(symbols)) if points is None else [(point,) * len(symbols) for point in points]:
        at = dict(zip(symbols, point, strict=True))
        own, other = _value(gold, at), _value(answer, at)
        if own is None or other is None:
            continue
        if not complex_ones and not (own.is_real and other.is_real):
            if bars and own.is_real:
                return False  # the bars of ln|x| are meant
            continue
        if not _near(own, other):
            return False
        if own.is_Rational and other.is_Rational:
            exact += 1
        else:
            rounded.append(at)
    if exact + len(rounded) < NEEDED_POINTS:
        return _by_math_verify(gold, answer)
    if exact >= NEEDED_POINTS or gold.has(sympy.Float) or answer.has(sympy.Float):
        return True  # a constant that was found by its 40 digits differs in the next
    return next((found for at in rounded if (found := _vanishes(gold - answer, at)) is not None), None)


def ratio(gold: Expr, answer: Expr) -> Expr | None:
    """The constant factor between two expressions, None where there is none."""
    symbols = gold.free_symbols
    if symbols != answer.free_symbols:
        return None
    for point in _points(len(symbols)):
        at = dict(zip(sorted(symbols, key=str), point, strict=True))
        own, other = _value(gold, at), _value(answer, at)
        if own is None or other is None or own == 0 or other == 0:
            continue
        factor = other / own
        return factor if same_function(gold * factor, answer) else None
    return None


def _same_number(gold: Expr, answer: Expr) -> bool | None:
    own, other = _value(gold, {}), _value(answer, {})
    if own is None or other is None:
        return _by_math_verify(gold, answer)
    if own.is_Rational and other.is_Rational:
        return bool(own == other)
    return _vanishes(gold - answer, {}) if _near(own, other) else False


def _vanishes(difference: Expr, at: dict[Expr, Fraction]) -> bool | None:
    """Whether a difference is 0 at a point, told from one that is only small beside the two that were subtracted.

    None where a part of it is so large or so small that its digits do not tell.
    """
    if difference == 0:
        return True
    found = _evaluated(difference, at, digits=10)
    if found is None:
        return None
    if any(part.is_comparable and part != 0 for part in found.as_real_imag()):
        return False
    exponent = _widest_exponent(difference, at)
    if exponent <= MODERATE:
        return True
    return True if exponent <= SMALL_ENOUGH and difference.doit() == 0 else None


def _widest_exponent(expr: Expr, at: dict[Expr, Fraction]) -> float:
    """The decimal exponent of the part of an expression that is farthest from 1; a part that may be 0 counts by its own parts."""
    import sympy

    widest = 0.0
    for part in sympy.preorder_traversal(expr):
        value = _evaluated(part, at, digits=5) if isinstance(part, sympy.Expr) else None
        sizes = [] if value is None else [abs(own) for own in value.as_real_imag() if own.is_comparable and own != 0]
        if sizes:
            widest = max(widest, float(abs(sympy.log(max(sizes), 10).evalf(5))))
    return widest


def _points(letters: int) -> Iterator[tuple[Fraction, ...]]:
    """Positive points, then ones of both signs, large and small, then counting numbers and 0."""
    source = random.Random(0)
    for count, signs, sizes in ((4, (1,), (75, 199)), (3, (1,), (5, 60)), (3, (1, -1), (75, 199)), (3, (1, -1), (5, 60))):
        for _ in range(count):
            yield tuple(Fraction(source.choice(signs) * source.randint(*sizes), source.choice((61, 67, 71))) for _ in range(letters))
    for start in range(NEEDED_POINTS):
        yield tuple(Fraction((start + 2 * letter) % 6 + 1) for letter in range(letters))
    yield (Fraction(0),) * letters


def _value(expr: Expr, at: dict[Expr, Fraction]) -> Expr | None:
    """The value at a point, exact where it is a fraction; None where it has none."""
    import sympy

    try:
        exact = rational(expr, at)
    except ZeroDivisionError:
        return None
    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    found = _evaluated(expr, at, digits=DIGITS)
    return None if found is None else _without_noise(found)


def _evaluated(expr: Expr, at: dict[Expr, Fraction], *, digits: int) -> Expr | None:
    """So many digits of the value at a point; None where it has none."""
    import sympy

    own = {symbol: sympy.Rational(value.numerator, value.denominator) for symbol, value in at.items()}
    try:
        found = expr.evalf(digits, subs=own, maxn=SUBTRACTION_DIGITS)
    except (ValueError, TypeError, ZeroDivisionError, ArithmeticError, NotImplementedError, AttributeError):
        return None
    if not found.is_number or found.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        return None
    return found if all(part.is_Number for part in found.as_real_imag()) else None


def _without_noise(value: Expr) -> Expr:
    """A value without an imaginary part (or a real one) that is only rounding or has no digit that is known."""
    import sympy

    parts = value.as_real_imag()
    least = NOISE * max(abs(part) for part in parts)
    real, imaginary = (part if part.is_comparable and abs(part) > least else sympy.Integer(0) for part in parts)
    return real + imaginary * sympy.I


def _near(own: Expr, other: Expr) -> bool:
    if own.is_Rational and other.is_Rational:
        return bool(own == other)
    return bool(abs(own - other) <= RELATIVE * max(abs(own), abs(other)))


def _integration_constants(gold: Expr, answer: Expr) -> tuple[Expr, Expr] | None:
    """The added constants of two antiderivatives: of the gold expression C, of the answer C or a letter that the gold one lacks."""
    own = [symbol for symbol in gold.free_symbols if symbol.name == "C" and _is_added(gold, symbol)]
    if not own:
        return None
    taken = {symbol.name for symbol in gold.free_symbols} - {"C"}
    others = [s for s in answer.free_symbols if s.name in CONSTANTS and s.name not in taken and _is_added(answer, s)]
    return (own[0], others[0]) if len(others) == 1 else None


def _is_added(expr: Expr, symbol: Expr) -> bool:
    return symbol not in (expr - symbol).expand().free_symbols


def _by_math_verify(gold: Expr, answer: Expr) -> bool | None:
    """Math-Verify's word for what has no values; its "no" may only mean that it could not simplify."""
    from math_verify import verify

    alike = gold.free_symbols == answer.free_symbols
    return True if alike and verify(gold, answer, timeout_seconds=None, raise_on_error=True) else None
