"""What the final statements of an answer come to: one value, or nothing that can be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from data.records import Outcome
from data.verifiers.contract import Judgement
from data.verifiers.statements import Statement


def settle(
    finals: Sequence[tuple[Statement, Any]],
    what: str,
    *,
    same: Callable[[Any, Any], bool],
    judge: Callable[[Statement, Any], Judgement],
) -> Judgement:
    """Judge the last value that was read from the final statements; None: one could not be read as `what` ("one number").

    Unparsed where there is no statement, where the last firm one cannot be read, and where two that can are not the `same`.
    """
    if not finals:
        return _unparsed("no explicit statement of an answer")
    final, value = finals[-1]
    stated = [(statement, value) for statement, value in finals if value is not None]
    if (value is None and final.firm) or not stated:
        return _unparsed(f"the last statement is not {what}: {final.text[:80]!r}")
    statement, last = stated[-1]
    if not all(same(last, other) or same(other, last) for _, other in stated[:-1]):
        return _unparsed("contradicting final statements: " + ", ".join(own.text[:40] for own, _ in stated)[:200])
    return judge(statement, last)


def _unparsed(why: str) -> Judgement:
    return Judgement(Outcome.UNPARSED, None, why)
