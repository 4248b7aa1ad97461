"""Whether two equations, values with names, or systems of them say the same; how values are compared is handed in."""

from __future__ import annotations

from data.verifiers.formula.identity import ratio
from data.verifiers.formula.same_lists import Same, all_same
from data.verifiers.formula.values import Equation, Group, Named, Region, Scalar, System, Value

INITIALS = ("x y", "x y z", "a b", "a b c", "m n", "p q", "u v", "r s", "h k")
RELATIONS = (System, Equation, Named)


def same_relation(gold: Value, answer: Value, *, same: Same) -> bool | None:
    """Of two values, one of which is among RELATIONS: equations are the same up to a factor; what is solved for a name is its value."""
    if isinstance(gold, System) or isinstance(answer, System):
        return _same_system(gold, answer, same=same)
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
        return None if isinstance(answer, Equation) else _unless_named(gold, answer, same=same)
    if isinstance(answer, Named):
        return None if isinstance(gold, Equation) else _unless_named(answer, gold, same=same, swapped=True)
    if isinstance(gold, Equation):
        return None if gold.asked is not None and same(gold.asked, answer) else False
    assert isinstance(answer, Equation)
    return True if answer.asked is not None and same(gold, answer.asked) else None


def _same_system(gold: Value, answer: Value, *, same: Same) -> bool | None:
    """Values by name; a pair answers a system whose letters are usual ones, in their order."""
    if isinstance(gold, System) and isinstance(answer, System):
        if [named.name for named in gold.values] != [named.name for named in answer.values]:
            return False
        return all_same(same(own.value, other.value) for own, other in zip(gold.values, answer.values, strict=True))
    system, other = (gold, answer) if isinstance(gold, System) else (answer, gold)
    assert isinstance(system, System)
    if isinstance(other, Group) and other.brackets in ("()", "") and len(other.items) == len(system.values):
        if " ".join(named.name for named in system.values) not in INITIALS:
            return None
        values = [named.value for named in system.values]
        pairs = zip(values, other.items, strict=True) if system is gold else zip(other.items, values, strict=True)
        return all_same(same(own, given) for own, given in pairs)
    return False


def _unless_named(named: Named, other: Value, *, same: Same, swapped: bool = False) -> bool | None:
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
    if gold.difference == answer.difference:
        return True  # also where it vanishes everywhere ("x0 = 0"), so that no factor can be found
    factor = ratio(gold.difference, answer.difference)
    if factor is None:
        return False
    return True if gold.sign in ("=", "!=") else bool(factor.is_real and factor > 0)
