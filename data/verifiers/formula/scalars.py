"""One expression by Math-Verify's parser, without its clean-up: that drops letters that look like units (`2ab` would be 2)."""

from __future__ import annotations

import re

from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.units import DEGREES
from data.verifiers.formula.values import Expr, Number

WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3,}")
COMMAND = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}(?:\{[clr|]*\})?|\\[A-Za-z]+|_\{[^{}]*\}")
DEGREE_NUMBER = re.compile(rf"(\d+(?:\.\d+)?)\s*{DEGREES}")
MAX_WORD_LETTERS = 6


def read_scalar(text: str) -> Expr:
    """The expression that `text` is."""
    import sympy

    found = _parsed(text)
    if not isinstance(found, sympy.Expr) or found.has(sympy.zoo, sympy.nan, sympy.MatrixBase, sympy.MatrixExpr):
        raise UnreadableError("no expression")
    return _exact(found)


def read_table(text: str) -> Expr | None:
    """The matrix that `text` is, or None."""
    import sympy

    if "matrix}" not in text and "array}" not in text:
        return None
    found = _parsed(text)
    if isinstance(found, sympy.MatrixExpr):
        found = found.doit()
    return found.applyfunc(_exact) if isinstance(found, sympy.MatrixBase) else None


def symbol_of(number: Number) -> Expr:
    """A plain number as an expression."""
    import sympy

    value = number.quantity.value / (100 if number.quantity.percent else 1)
    return sympy.Rational(value.numerator, value.denominator)


def _parsed(text: str) -> Expr:
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    words = WORD.findall(COMMAND.sub(" ", text))
    if any(len(word) > MAX_WORD_LETTERS for word in words) or len(words) > 1 or "\\text" in text:
        raise UnreadableError("prose is no product of letters")
    shown = DEGREE_NUMBER.sub(r"(\\frac{\1\\pi}{180})", text)
    try:
        return latex2sympy(shown, is_real=True, normalization_config=None, conversion_config=ConversionConfig(lowercase_symbols=False))
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # the parser raises bare exceptions for what it cannot read
        raise UnreadableError("no expression") from error


def _exact(expr: Expr) -> Expr:
    """Decimals as fractions, `i` as the imaginary unit unless an index, functions' values as symbols, sums and integrals done."""
    import sympy
    from sympy.core.function import AppliedUndef

    if expr.has(sympy.zoo, sympy.nan):
        raise UnreadableError("a division by zero")
    expr = expr.xreplace({number: sympy.Rational(str(number)) for number in expr.atoms(sympy.Float)})
    expr = expr.xreplace({value: sympy.Symbol(str(value), real=True) for value in expr.atoms(AppliedUndef)})
    expr = expr.xreplace({symbol: sympy.I for symbol in expr.free_symbols if symbol.name == "i"})
    return expr.doit() if expr.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Derivative, sympy.Limit) else expr
