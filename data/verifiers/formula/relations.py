r"""Relations: equations, inequalities and chains of them, memberships, points by their names, expressions by cases.

How one side is read is handed in, since a side may be anything that a formula may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

from data.verifiers.formula import sets
from data.verifiers.formula.brackets import LISTED, Piece, UnreadableError, enclosed, split
from data.verifiers.formula.scalars import symbol_of
from data.verifiers.formula.values import Equation, Expr, Group, Measure, Named, Number, Pieces, Region, Scalar, System, Value

Read: TypeAlias = Callable[[str], Value]
"""The value of a text; raises UnreadableError."""
CASES = re.compile(r"(?:(?P<name>[^=]{1,20})=\s*)?\\begin\{cases\}(?P<rows>.*)\\end\{cases\}", re.DOTALL)
CONDITION = re.compile(r"^(?:\\text\{\s*(?:if|for|when|,)*\s*\}|\b(?:if|for|when)\b)\s*")
OTHERWISE = re.compile(r"(?:\\text\{\s*)?(?:otherwise|else)(?:\s*\})?")
NAME = re.compile(r"\\?[A-Za-z]+(?:_(?:\{[^{}]*\}|\w))*(?:\s*\([A-Za-z, \\]{1,12}\))?")
SIGNS = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="}


def relation(pieces: list[Piece], read: Read) -> Value:
    """An equation, a membership, an inequality or a chain of them; of an approximation the exact side."""
    rounded = next((at for at, piece in enumerate(pieces) if piece.separator in ("\\approx", "≈")), None)
    if rounded is not None:
        if rounded > 1 or not NAME.fullmatch(pieces[0].text):
            return relation(pieces[:rounded], read) if rounded > 1 else read(pieces[0].text)
        pieces = [pieces[0], Piece("=", pieces[1].text)]
    signs, sides = {piece.separator for piece in pieces[1:]}, [piece.text for piece in pieces]
    if signs == {"="}:
        return _equation(sides, read)
    if signs == {"\\in"} and len(sides) == 2 and NAME.fullmatch(sides[0]):
        return Named(sides[0], read(sides[1]))
    if not signs <= set(SIGNS):
        raise UnreadableError("relations of different kinds in one chain")
    return _inequality([(_expr(left.text, read), SIGNS[right.separator], _expr(right.text, read)) for left, right in pairwise(pieces)])


def _inequality(links: list[tuple[Expr, str, Expr]]) -> Value:
    names = sorted({symbol.name for left, _, right in links for symbol in left.free_symbols | right.free_symbols})
    if len(names) == 1:
        return Region(sets.intersection([sets.solved(*link) for link in links]), names[0])
    flipped = [(right, sign.replace(">", "<"), left) if sign.startswith(">") else (left, sign, right) for left, sign, right in links]
    equations = tuple(Equation(sign, _difference(left, right)) for left, sign, right in flipped)
    return equations[0] if len(equations) == 1 else Group("", equations)


def _equation(sides: list[str], read: Read) -> Value:
    first, last = sides[0], sides[-1]
    if len(sides) == 2 and NAME.fullmatch(last) and not NAME.fullmatch(first):
        first, last = last, first
    if NAME.fullmatch(first):
        return Named(re.sub(r"\s", "", first), read(last))
    pair = enclosed(first)
    if pair is not None and pair[0] == "(" and all(NAME.fullmatch(piece.text) for piece in split(pair[1], LISTED)):
        return _point([piece.text for piece in split(pair[1], LISTED)], read(last))
    left, right = _expr(first, read), _expr(last, read)
    if not left.free_symbols and not right.free_symbols:
        return read(last)
    asked = not right.free_symbols and not re.search(r"\d", first)
    return Equation("=", _difference(left, right), read(last) if asked else None)


def _difference(left: Expr, right: Expr) -> Expr:
    """Of the sides of a relation; one that holds for all letters or for none says nothing of them."""
    import sympy

    found = left - right
    if not found.free_symbols or found.has(sympy.oo, -sympy.oo):
        raise UnreadableError("a relation of no letters")
    return found


def _point(names: list[str], value: Value) -> Value:
    """`(x, y) = (1, 2)`: values by name."""
    if not isinstance(value, Group) or value.brackets != "()" or len(value.items) != len(names):
        raise UnreadableError("a point has as many coordinates as names")
    return System(tuple(sorted((Named(name, item) for name, item in zip(names, value.items, strict=True)), key=lambda named: named.name)))


def by_cases(found: re.Match[str], read: Read) -> Value:
    """The expression by cases that CASES found."""
    pieces: list[tuple[Expr, Expr]] = []
    for row in re.split(r"\\\\(?:\[[^\]]*\])?", found["rows"]):
        if not row.strip():
            continue
        formula, _, condition = row.partition("&")
        condition = CONDITION.sub("", condition.strip().strip(",").strip()).strip().rstrip(".,;")
        if OTHERWISE.fullmatch(condition):
            where = sets.rest([points for _, points in pieces])
        else:
            region = read(condition)
            if not isinstance(region, Region):
                raise UnreadableError("the condition of a case is no region")
            where = region.points
        pieces.append((_expr(formula.strip().rstrip(",").strip(), read), where))
    return Pieces((found["name"] or "").strip(), tuple(pieces))


def _expr(text: str, read: Read) -> Expr:
    """A side of a relation as an expression."""
    value = read(text)
    if isinstance(value, Measure):
        value = value.value
    if isinstance(value, Number):
        return symbol_of(value)
    if not isinstance(value, Scalar):
        raise UnreadableError("a side of a relation is no expression")
    return value.expr
