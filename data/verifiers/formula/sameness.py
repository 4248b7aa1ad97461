r"""Whether an answer's value is the gold value. True, False, or None: it cannot be told, which is never judged right or wrong.

Kinds matter: a set is no pair, a pair is no closed interval, an equation is no number. What people write in several ways is one value:
`x > 3` and `(3,\infty)`, `\pm 2` and `-2, 2`, no solution and the empty set, a column vector and its coordinates, `60^\circ` and `\pi/3`.
"""

from __future__ import annotations

from data.verifiers.formula import sets
from data.verifiers.formula.amounts import expr_of, same_digits, same_numbers, same_scalars
from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.identity import same_expr
from data.verifiers.formula.same_lists import same_group, same_table
from data.verifiers.formula.same_relations import RELATIONS, same_relation
from data.verifiers.formula.same_sets import same_pieces, same_region
from data.verifiers.formula.units import DEGREES, RADIANS, alike, named
from data.verifiers.formula.values import Based, Congruence, Group, Labelled, Measure, Number, Pieces, Region, Scalar, Table, Value, Words


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
        return same_pieces(gold, answer)
    if isinstance(gold, RELATIONS) or isinstance(answer, RELATIONS):
        return same_relation(gold, answer, same=same)
    if isinstance(gold, Region) or isinstance(answer, Region):
        return same_region(gold, answer)
    if isinstance(gold, Table) or isinstance(answer, Table):
        return same_table(gold, answer, same=same)
    if isinstance(gold, Group) or isinstance(answer, Group):
        return same_group(gold, answer, same=same)
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
