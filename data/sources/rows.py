"""Rows of any data set as problems; what the file and the hub source share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from data.errors import RecordError
from data.records import Problem, Split
from data.sources.columns import Columns
from data.sources.golds import read
from data.sources.row import Row


class Layout(NamedTuple):
    """What rows are problems of, and where these stand in them."""

    task: str
    columns: Columns = Columns()
    seed: int = 0
    """Of the order of options."""


def problems_of(rows: Iterable[tuple[str, Mapping[str, object]]], layout: Layout, split: Split) -> Iterator[Problem]:
    """A problem per (place, row); a missing, empty or unfit field and a repeated row are errors that name the place."""
    seen: dict[str, str] = {}
    for place, values in rows:
        question, reference = read(Row(place, values), layout.columns, layout.seed)
        problem = Problem.create(task=layout.task, split=split, question=question, reference=reference)
        if problem.id in seen:
            raise RecordError(
                f"{place}: field {layout.columns.question}: the same problem as at {seen[problem.id]}; remove one of the two lines"
            )
        seen[problem.id] = place
        yield problem
