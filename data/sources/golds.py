"""Question and gold answer of one row, for every kind of reference."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydantic import ValidationError

from data.records import CodeReference, ExactReference, ExpressionReference, LabelReference, NumberReference, Reference
from data.sources import choices
from data.sources.columns import Columns, plain
from data.sources.row import Row, as_text

RATIONALE_END = "####"
"""GSM8K's answer column holds a rationale; the gold answer stands behind this mark."""


def read(row: Row, columns: Columns, seed: int) -> tuple[str, Reference]:
    """The question as it is asked and the gold answer; a column that is missing or does not fit is a RecordError."""
    question = row.text(columns.question)
    try:
        if columns.verifier == "choice":
            return choices.read(row, columns, question, seed)
        return question, _READERS[columns.verifier](row, columns)
    except ValidationError as error:
        raise row.error(columns.answer, "; ".join(found["msg"] for found in error.errors())) from None


def _number(row: Row, columns: Columns) -> Reference:
    return NumberReference(value=_behind_rationale(row, columns))


def _expression(row: Row, columns: Columns) -> Reference:
    return ExpressionReference(value=_behind_rationale(row, columns))


def _behind_rationale(row: Row, columns: Columns) -> str:
    gold = row.text(columns.answer).rpartition(RATIONALE_END)[2].strip()
    if not gold:
        raise row.error(columns.answer, f"nothing stands behind {RATIONALE_END!r}; a gold answer is needed")
    return gold


def _exact(row: Row, columns: Columns) -> Reference:
    return ExactReference(value=row.text(columns.answer))


def _label(row: Row, columns: Columns) -> Reference:
    labels = columns.labels or {}
    value = row.value(columns.answer)
    said = str(value).lower() if isinstance(value, bool) else row.text(columns.answer)
    for label, others in labels.items():
        if plain(said) in {plain(text) for text in (label, *others)}:
            return LabelReference(labels=labels, value=label)
    raise row.error(columns.answer, f"{said!r} is no label of {sorted(labels)} and no spelling of one; add it in prepare.source.labels")


def _code(row: Row, columns: Columns) -> Reference:
    entry_point = row.text(columns.entry_point) if columns.entry_point else None
    preamble = row.raw(columns.preamble) if columns.preamble else ""
    program = row.raw(columns.answer)
    if preamble and not re.search(rf"^[ \t]*(?:async )?def {re.escape(entry_point or '')}\b", program, re.MULTILINE):
        program = preamble + program
    tests = [_tests(row, columns.tests or "")]
    if columns.call:
        tests.append(columns.call.replace("{entry_point}", entry_point or ""))
    return CodeReference(value=program, tests="\n".join(tests), preamble=preamble, entry_point=entry_point)


def _tests(row: Row, column: str) -> str:
    """A column's tests, under each other where it holds a list."""
    value = row.value(column)
    if not isinstance(value, list | tuple):
        return row.raw(column)
    texts = [as_text(part) for part in value]
    if not texts or not all(texts):
        raise row.error(column, f"{value!r} is no list of tests; each must be a text")
    return "\n".join(text or "" for text in texts)


_READERS: dict[str, Callable[[Row, Columns], Reference]] = {
    "number": _number,
    "math": _expression,
    "label": _label,
    "exact": _exact,
    "code": _code,
}
