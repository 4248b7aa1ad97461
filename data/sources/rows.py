"""Rows of any data set as problems; what the file and the hub source share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

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
    """A problem per (place, row); a missing, empty or unfit field is an error that names the place."""
    for place, values in rows:
        row, columns = Row(place, values), layout.columns
        question, reference = read(row, columns, layout.seed)
        language = row.text(columns.language) if columns.language else "en"
        yield Problem.create(task=layout.task, split=split, question=question, reference=reference, language=language)
