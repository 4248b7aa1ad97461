"""Whether two expressions are the same: exactly for numbers, at many points for what has letters in it, else by Math-Verify.

Points are exact fractions and values have 40 digits, so that two expressions which agree at all of them are one function on the reals
where both are defined; real powers and logarithms of negative numbers are left out, as their writers do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from fractions import Fraction

from data.verifiers.formula.values import Expr

DIGITS = 40
RELATIVE, NOISE = 1e-25, 1e-60
"""How far two values of one thing may differ, beside their size and at all."""
SUBTRACTION_DIGITS = 400
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
    agreed = 0
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
        agreed += 1
    return True if agreed >= NEEDED_POINTS else _by_math_verify(gold, answer)


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
    import sympy

    if isinstance(gold, sympy.Rational) and isinstance(answer, sympy.Rational):
        return bool(gold == answer)
    own, other = _value(gold, {}), _value(answer, {})
    if own is None or other is None:
        return _by_math_verify(gold, answer)
    return _near(own, other) and _vanishes(gold - answer)


def _vanishes(difference: Expr) -> bool:
    """Whether a number is 0, told from one that is only small beside the two that were subtracted."""
    found = abs(difference.evalf(10, maxn=SUBTRACTION_DIGITS))
    return bool(found < NOISE) if found.is_number else False


def _points(letters: int) -> Iterator[tuple[Fraction, ...]]:
    """Positive points, then ones of both signs, then counting numbers."""
    source = random.Random(0)
    for kind in range(14):
        signs = (1,) if kind < 5 else (1, -1)
        if kind < 10:
            yield tuple(Fraction(source.choice(signs) * source.randint(20, 199), source.choice((61, 67, 71))) for _ in range(letters))
        else:
            yield tuple(Fraction(source.randint(1, 6)) for _ in range(letters))


def _value(expr: Expr, at: dict[Expr, Fraction]) -> Expr | None:
    """The value at a point, None where it has none."""
    import sympy

    own = {symbol: sympy.Rational(value.numerator, value.denominator) for symbol, value in at.items()}
    try:
        found = expr.evalf(DIGITS, subs=own)
    except (ValueError, TypeError, ZeroDivisionError, ArithmeticError, NotImplementedError, AttributeError):
        return None
    if not found.is_number or found.has(sympy.zoo, sympy.nan, sympy.oo) or not all(part.is_Number for part in found.as_real_imag()):
        return None
    return _without_noise(found)


def _without_noise(value: Expr) -> Expr:
    """A value without an imaginary part (or a real one) that is only rounding."""
    import sympy

    real, imaginary = (part if abs(part) > NOISE else sympy.Integer(0) for part in value.as_real_imag())
    return real + imaginary * sympy.I


def _near(own: Expr, other: Expr) -> bool:
    distance = abs(own - other)
    return bool(distance <= NOISE + RELATIVE * max(abs(own), abs(other)))


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
