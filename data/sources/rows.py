"""Rows of any data set as problems; what the file and the hub source share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from data.errors import RecordError
from data.records import ExpressionReference, NumberReference, Problem, Split

RATIONALE_END = "####"
"""GSM8K's answer column holds a rationale; the gold answer stands behind this mark."""


class Layout(NamedTuple):
    """Which columns hold a problem, and how its answer is judged."""

    task: str
    question: str = "question"
    answer: str = "answer"
    verifier: Literal["number", "math"] = "number"


def problems_of(rows: Iterable[tuple[str, Mapping[str, object]]], layout: Layout, split: Split) -> Iterator[Problem]:
    """A problem per (place, row); a missing, empty or non-text field and a repeated row are errors that name the place."""
    seen: dict[str, str] = {}
    for place, row in rows:
        problem = _problem(place, row, layout, split)
        if problem.id in seen:
            raise RecordError(f"{place}: field {layout.question}: the same problem as at {seen[problem.id]}; remove one of the two lines")
        seen[problem.id] = place
        yield problem


def _problem(place: str, row: Mapping[str, object], layout: Layout, split: Split) -> Problem:
    question = _text(place, row, layout.question)
    gold = _text(place, row, layout.answer).rpartition(RATIONALE_END)[2].strip()
    if not gold:
        raise RecordError(f"{place}: field {layout.answer}: nothing stands behind {RATIONALE_END!r}; a gold answer is needed")
    reference = NumberReference(value=gold) if layout.verifier == "number" else ExpressionReference(value=gold)
    return Problem.create(task=layout.task, split=split, question=question, reference=reference)


def _text(place: str, row: Mapping[str, object], column: str) -> str:
    if column not in row:
        raise RecordError(f"{place}: field {column}: missing; the row has {sorted(row)}. Name the column in prepare.source")
    value = row[column]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"{place}: field {column}: {value!r} is no text; give a question and its answer")
    return value.strip()
