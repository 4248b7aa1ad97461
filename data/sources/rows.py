"""Rows of any data set as problems; what the file and the hub source share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from data.errors import RecordError
from data.records import CONTENT_ID, Problem, Split
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
        problem = Problem.create(task=layout.task, split=split, question=question, reference=reference, language=language)
        own = {"id": _own_id(row, columns.id)} if columns.id else {}
        yield problem.model_copy(update={"place": place, **own})


def check_ids(problems: Iterable[Problem], column: str) -> None:
    """Raises RecordError where two problems have one id, which stands in this column."""
    first: dict[str, Problem] = {}
    for problem in problems:
        other = first.setdefault(problem.id, problem)
        if other is not problem:
            raise RecordError(
                f"{problem.place}: field {column}: {problem.id!r} is the id of {other.place}, too; over all parts each problem needs one "
                "of its own. Change one, or leave `id` out of prepare.source: then ids are made from the content"
            )


def _own_id(row: Row, column: str) -> str:
    own = row.text(column)
    if CONTENT_ID.fullmatch(own):
        raise row.error(
            column,
            f"{own!r} looks like an id that is made from the content (16 hex digits), and it is not; put something before it, or leave "
            "`id` out of prepare.source",
        )
    return own
