"""Several values that stand beside each other as one value."""

from __future__ import annotations

from data.verifiers.formula import sets
from data.verifiers.formula.brackets import UnreadableError
from data.verifiers.formula.values import Group, Named, Region, System, Value

LISTS = ("", "or")


def collected(values: tuple[Value, ...], brackets: str, joined: sets.Joined) -> Value:
    """Several values as one: a region of one unknown, a system, values of one unknown, or a list."""
    regions = [value for value in values if isinstance(value, Region) and value.name is not None]
    if len(regions) == len(values) and len({region.name for region in regions}) == 1:
        return Region(joined([region.points for region in regions]), regions[0].name)
    kept = tuple(value for value in values if not _qualifies(value))
    kept = _flat(kept)
    if not kept:
        raise UnreadableError("a list of letters' domains")
    if len(kept) == 1:
        return kept[0]
    names = [value.name for value in kept if isinstance(value, Named)]
    if len(names) == len(kept) and len(set(names)) == len(names):
        return System(tuple(sorted((value for value in kept if isinstance(value, Named)), key=lambda named: named.name)))
    if names and len(set(names)) == 1 and isinstance(kept[0], Named):
        inner = tuple(value.value if isinstance(value, Named) else value for value in kept)
        return Named(names[0], Group(brackets, _flat(inner)))
    if names:
        raise UnreadableError("some values of a list are named")
    return Group(brackets, kept)


def _flat(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """The same with the items of lists in their place."""
    return tuple(item for value in values for item in (value.items if isinstance(value, Group) and value.brackets in LISTS else (value,)))


def _qualifies(value: Value) -> bool:
    r"""Whether this only says what a letter stands for: `k \in \mathbb{Z}`."""
    return isinstance(value, Named) and isinstance(value.value, Region) and value.value.points in sets.integers()
