"""Whether two sets of reals, or two expressions by cases, are the same."""

from __future__ import annotations

from data.verifiers.formula import sets
from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.identity import same_expr, same_function
from data.verifiers.formula.same_lists import all_same
from data.verifiers.formula.values import Expr, Pieces, Region, Scalar, Value


def same_pieces(gold: Value, answer: Value) -> bool | None:
    """The same expression wherever pieces of both hold, and the same domain; a boundary may belong to either piece if the values agree."""
    import sympy

    own_pieces, others = _pieces(gold), _pieces(answer)
    if own_pieces is None or others is None:
        return None
    domain = sets.same_points(sets.union([own for _, own in own_pieces]), sets.union([own for _, own in others]))
    found = [domain]
    for formula, where in own_pieces:
        for other, there in others:
            common = sets.intersection([where, there])
            if isinstance(common, sympy.FiniteSet):
                letters = formula.free_symbols | other.free_symbols
                found.extend(same_expr(formula.subs(dict.fromkeys(letters, at)), other.subs(dict.fromkeys(letters, at))) for at in common)
            elif common is not sympy.S.EmptySet:
                found.append(same_function(formula, other, sets.samples(common)))
    return all_same(found)


def _pieces(value: Value) -> tuple[tuple[Expr, Expr], ...] | None:
    """The pieces of an expression by cases; any other expression is one piece on all reals."""
    import sympy

    if isinstance(value, Pieces):
        return value.pieces
    return ((value.expr, sympy.S.Reals),) if isinstance(value, Scalar) else None


def same_region(gold: Value, answer: Value) -> bool | None:
    """The same points, of the same unknown where both name it."""
    own, other = (value.name if isinstance(value, Region) else None for value in (gold, answer))
    if own is not None and other is not None and own != other:
        return False
    try:
        return sets.same_points(sets.as_points(gold), sets.as_points(answer))
    except UnreadableError:
        return False
