r"""Whether an answer's value is the gold value. True, False, or None: it cannot be told, which is never judged right or wrong.

Kinds matter: a set is no pair, a pair is no closed interval, an equation is no number. What people write in several ways is one value:
`x > 3` and `(3,\infty)`, `\pm 2` and `-2, 2`, no solution and the empty set, a column vector and its coordinates, `60^\circ` and `\pi/3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data.verifiers.formula import sets
from data.verifiers.formula.amounts import expr_of, same_digits, same_numbers, same_scalars
from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.identity import ratio, same_expr, same_function
from data.verifiers.formula.units import DEGREES, RADIANS, alike, named
from data.verifiers.formula.values import (
    Based,
    Congruence,
    Equation,
    Expr,
    Group,
    Labelled,
    Measure,
    Named,
    Number,
    Pieces,
    Region,
    Scalar,
    System,
    Table,
    Value,
    Words,
)  # fmt: skip

INITIALS = ("x y", "x y z", "a b", "a b c", "m n", "p q", "u v", "r s", "h k")
UNORDERED = ("{}", "", "or")


def same(gold: Value, answer: Value) -> bool | None:
    """Whether `answer` states `gold`."""
    if isinstance(gold, Labelled) or isinstance(answer, Labelled):
        return _labelled(gold, answer)
    if isinstance(gold, Words) or isinstance(answer, Words):
        return _words(gold, answer)
    if isinstance(gold, Number) and isinstance(answer, Number):
        return same_numbers(gold, answer)
    if isinstance(gold, Measure) or isinstance(answer, Measure):
        return _measured(gold, answer)
    if isinstance(gold, Based) or isinstance(answer, Based):
        return same_digits(gold, answer)
    if isinstance(gold, Congruence) or isinstance(answer, Congruence):
        return bool(gold == answer)
    if isinstance(gold, Pieces) or isinstance(answer, Pieces):
        return _same_pieces(gold, answer)
    if isinstance(gold, System) or isinstance(answer, System):
        return _same_system(gold, answer)
    if isinstance(gold, Equation | Named) or isinstance(answer, Equation | Named):
        return _related(gold, answer)
    if isinstance(gold, Region) or isinstance(answer, Region):
        return _same_region(gold, answer)
    if isinstance(gold, Table) or isinstance(answer, Table):
        return _same_table(gold, answer)
    if isinstance(gold, Group) or isinstance(answer, Group):
        return _same_group(gold, answer)
    return same_scalars(gold, answer)


def _labelled(gold: Value, answer: Value) -> bool | None:
    """An option's letter answers a letter; else its content counts."""
    if isinstance(gold, Labelled) and isinstance(answer, Labelled):
        return same(gold.value, answer.value)
    if isinstance(gold, Labelled):
        return same(Words(gold.letter.casefold()), answer) if _is_letter(answer) else same(gold.value, answer)
    assert isinstance(answer, Labelled)
    return same(gold, Words(answer.letter.casefold())) if _is_letter(gold) else same(gold, answer.value)


def _is_letter(value: Value) -> bool:
    return isinstance(value, Words) and len(value.text) == 1


def _words(gold: Value, answer: Value) -> bool | None:
    if isinstance(gold, Words) and isinstance(answer, Words):
        return gold.text == answer.text
    words, other = (gold, answer) if isinstance(gold, Words) else (answer, gold)
    assert isinstance(words, Words)
    if isinstance(other, Scalar) and other.letters is not None:
        return words.text == other.letters.casefold()
    try:
        return sets.same_points(sets.as_points(words), sets.as_points(other))
    except UnreadableError:
        return False


def _measured(gold: Value, answer: Value) -> bool | None:
    """A unit that one side lacks is not compared, but degrees are turned into radians; of two different units nobody can tell."""
    units = [value.unit for value in (gold, answer) if isinstance(value, Measure)]
    bare = [value.value if isinstance(value, Measure) else value for value in (gold, answer)]
    if any(isinstance(value, Number) and value.quantity.percent for value in bare):
        return False
    in_degrees = [isinstance(value, Measure) and named(value.unit) == DEGREES for value in (gold, answer)]
    if {named(unit) for unit in units} == {DEGREES, RADIANS}:
        return _same_angle(bare, in_degrees)
    if len(units) > 1:
        return same(*bare) if alike(*units) else None
    found = same(*bare)
    return _same_angle(bare, in_degrees) if not found and any(in_degrees) else found


def _same_angle(values: list[Value], in_degrees: list[bool]) -> bool | None:
    """The same angle, or expression that may be one, in radians."""
    import sympy

    if not all(isinstance(value, Number | Scalar) for value in values):
        return False
    return same_expr(*(expr_of(value) * (sympy.pi / 180 if turn else 1) for value, turn in zip(values, in_degrees, strict=True)))


def _same_pieces(gold: Value, answer: Value) -> bool | None:
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
    return _all(found)


def _pieces(value: Value) -> tuple[tuple[Expr, Expr], ...] | None:
    """The pieces of an expression by cases; any other expression is one piece on all reals."""
    import sympy

    if isinstance(value, Pieces):
        return value.pieces
    return ((value.expr, sympy.S.Reals),) if isinstance(value, Scalar) else None


def _same_system(gold: Value, answer: Value) -> bool | None:
    """Values by name; a pair answers a system whose letters are usual ones, in their order."""
    if isinstance(gold, System) and isinstance(answer, System):
        if [named.name for named in gold.values] != [named.name for named in answer.values]:
            return False
        return _all(same(own.value, other.value) for own, other in zip(gold.values, answer.values, strict=True))
    system, other = (gold, answer) if isinstance(gold, System) else (answer, gold)
    assert isinstance(system, System)
    if isinstance(other, Group) and other.brackets in ("()", "") and len(other.items) == len(system.values):
        if " ".join(named.name for named in system.values) not in INITIALS:
            return None
        values = [named.value for named in system.values]
        pairs = zip(values, other.items, strict=True) if system is gold else zip(other.items, values, strict=True)
        return _all(same(own, given) for own, given in pairs)
    return False


def _related(gold: Value, answer: Value) -> bool | None:
    """Equations are the same up to a factor; what is solved for a name is its value."""
    if isinstance(gold, Named) and isinstance(answer, Named) and _one_name(gold.name) == _one_name(answer.name):
        return same(gold.value, answer.value)
    own, other = _as_equation(gold), _as_equation(answer)
    if own is not None and other is not None:
        if isinstance(gold, Named) and isinstance(answer, Named) and not (own.difference.free_symbols & other.difference.free_symbols):
            return False
        return _same_equation(own, other)
    if isinstance(gold, Named) and isinstance(answer, Named):
        return False
    if isinstance(gold, Named):
        return None if isinstance(answer, Equation) else _unless_named(gold, answer)
    if isinstance(answer, Named):
        return None if isinstance(gold, Equation) else _unless_named(answer, gold, swapped=True)
    if isinstance(gold, Equation):
        return None if gold.asked is not None and same(gold.asked, answer) else False
    assert isinstance(answer, Equation)
    return True if answer.asked is not None and same(gold, answer.asked) else None


def _unless_named(named: Named, other: Value, *, swapped: bool = False) -> bool | None:
    if isinstance(other, Region) and other.name not in (None, named.name):
        return False
    return same(other, named.value) if swapped else same(named.value, other)


def _one_name(name: str) -> str:
    """`f(x)` and `y` are both what a function's graph is called."""
    return "y" if name.endswith("(x)") and len(name) == len("f(x)") else name


def _as_equation(value: Value) -> Equation | None:
    """`y = 2x + 1` as a relation of its letters; None for `x = 5`."""
    import sympy

    if isinstance(value, Equation):
        return value
    if isinstance(value, Named) and isinstance(value.value, Scalar) and value.value.expr.free_symbols:
        return Equation("=", sympy.Symbol(_one_name(value.name), real=True) - value.value.expr)
    return None


def _same_equation(gold: Equation, answer: Equation) -> bool | None:
    if gold.sign != answer.sign:
        return False
    factor = ratio(gold.difference, answer.difference)
    if factor is None:
        return False
    return True if gold.sign in ("=", "!=") else bool(factor.is_real and factor > 0)


def _same_region(gold: Value, answer: Value) -> bool | None:
    own, other = (value.name if isinstance(value, Region) else None for value in (gold, answer))
    if own is not None and other is not None and own != other:
        return False
    try:
        return sets.same_points(sets.as_points(gold), sets.as_points(answer))
    except UnreadableError:
        return False


def _same_table(gold: Value, answer: Value) -> bool | None:
    """Matrices entry by entry; a single row or column also answers the tuple of its entries, and is answered by it."""
    own, other = _entries(gold, ("()",)), _entries(answer, ("()", "[]"))
    if own is None or other is None or len(own) != len(other):
        return False
    shapes = {value.matrix.shape for value in (gold, answer) if isinstance(value, Table)}
    one_line = len(shapes) == 1 and 1 in next(iter(shapes))
    if len(shapes) > 1 or not (one_line or (isinstance(gold, Table) and isinstance(answer, Table))):
        return False
    return _all(same(mine, theirs) for mine, theirs in zip(own, other, strict=True))


def _entries(value: Value, brackets: Sequence[str]) -> Sequence[Value] | None:
    if isinstance(value, Table):
        return [Scalar(entry) for entry in value.matrix]
    return value.items if isinstance(value, Group) and value.brackets in brackets else None


def _same_group(gold: Value, answer: Value) -> bool | None:
    if not (isinstance(gold, Group) and isinstance(answer, Group)):
        return _alone(gold, answer)
    if gold.brackets in UNORDERED and answer.brackets in UNORDERED:
        return _same_list(gold, answer)
    ordered = gold.brackets == answer.brackets or {gold.brackets, answer.brackets} == {"()", ""}
    if not ordered or len(gold.items) != len(answer.items):
        return False
    return _all(same(own, other) for own, other in zip(gold.items, answer.items, strict=True))


def _alone(gold: Value, answer: Value) -> bool | None:
    """A list of one is that one; "2 or 3" is no answer to 2, and no wrong one either."""
    group = gold if isinstance(gold, Group) else answer
    assert isinstance(group, Group)
    if len(group.items) == 1 and group.brackets == "{}":
        return same(gold, group.items[0]) if group is answer else same(group.items[0], answer)
    if group is answer and group.brackets == "or" and any(same(gold, item) for item in group.items):
        return None
    return False


def _same_list(gold: Group, answer: Group) -> bool | None:
    """Order does not count; repetition counts only where both repeat."""
    own, other = _distinct(gold.items), _distinct(answer.items)
    if len(own) != len(other):
        return False
    if len(gold.items) > len(own) and len(answer.items) > len(other):
        own, other = list(gold.items), list(answer.items)
        if len(own) != len(other):
            return False
    unclear = False
    left = list(other)
    for item in own:
        found = [same(item, candidate) for candidate in left]
        if True not in found:
            unclear = unclear or None in found
            if None not in found:
                return False
            continue
        left.pop(found.index(True))
    return None if unclear else True


def _distinct(items: Iterable[Value]) -> list[Value]:
    kept: list[Value] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept


def _all(found: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    results = list(found)
    return False if False in results else None if None in results else True
