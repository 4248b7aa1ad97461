"""Whether two lists, pairs, sets or matrices hold the same values; how values are compared is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from data.verifiers.formula.values import Group, Scalar, Table, Value

Same: TypeAlias = Callable[[Value, Value], bool | None]
"""Whether the second value states the first; None: it cannot be told."""
UNORDERED = ("{}", "", "or")


def all_same(found: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is, else True."""
    results = list(found)
    return False if False in results else None if None in results else True


def same_table(gold: Value, answer: Value, *, same: Same) -> bool | None:
    """Matrices entry by entry; a single row or column also answers the tuple of its entries, and is answered by it."""
    own, other = _entries(gold, ("()",)), _entries(answer, ("()", "[]"))
    if own is None or other is None or len(own) != len(other):
        return False
    shapes = {value.matrix.shape for value in (gold, answer) if isinstance(value, Table)}
    one_line = len(shapes) == 1 and 1 in next(iter(shapes))
    if len(shapes) > 1 or not (one_line or (isinstance(gold, Table) and isinstance(answer, Table))):
        return False
    return all_same(same(mine, theirs) for mine, theirs in zip(own, other, strict=True))


def _entries(value: Value, brackets: Sequence[str]) -> Sequence[Value] | None:
    if isinstance(value, Table):
        return [Scalar(entry) for entry in value.matrix]
    return value.items if isinstance(value, Group) and value.brackets in brackets else None


def same_group(gold: Value, answer: Value, *, same: Same) -> bool | None:
    """Of two values, one of which is a group: the same ones, in the same order unless both are sets or lists without brackets."""
    if not (isinstance(gold, Group) and isinstance(answer, Group)):
        return _alone(gold, answer, same=same)
    if gold.brackets in UNORDERED and answer.brackets in UNORDERED:
        return _same_list(gold, answer, same=same)
    ordered = gold.brackets == answer.brackets or {gold.brackets, answer.brackets} == {"()", ""}
    if not ordered or len(gold.items) != len(answer.items):
        return False
    return all_same(same(own, other) for own, other in zip(gold.items, answer.items, strict=True))


def _alone(gold: Value, answer: Value, *, same: Same) -> bool | None:
    """A list of one is that one; "2 or 3" is no answer to 2, and no wrong one either."""
    group = gold if isinstance(gold, Group) else answer
    assert isinstance(group, Group)
    if len(group.items) == 1 and group.brackets == "{}":
        return same(gold, group.items[0]) if group is answer else same(group.items[0], answer)
    if group is answer and group.brackets == "or" and any(same(gold, item) for item in group.items):
        return None
    return False


def _same_list(gold: Group, answer: Group, *, same: Same) -> bool | None:
    """Order does not count; repetition counts only where both repeat."""
    own, other = _distinct(gold.items, same), _distinct(answer.items, same)
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


def _distinct(items: Iterable[Value], same: Same) -> list[Value]:
    kept: list[Value] = []
    for item in items:
        if not any(same(item, other) for other in kept):
            kept.append(item)
    return kept
