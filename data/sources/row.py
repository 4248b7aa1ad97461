"""One row of a data set, whose errors name its place and the column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data.errors import RecordError


class Row(NamedTuple):
    """A row's place (file:line, say) and its columns."""

    place: str
    values: Mapping[str, object]

    def value(self, column: str) -> object:
        """What a column holds; that the row lacks it is an error."""
        if column not in self.values:
            raise self.error(column, f"missing; the row has {sorted(self.values)}. Name the column in prepare.source")
        return self.values[column]

    def text(self, column: str) -> str:
        """A column's text without spaces around it; numbers are written out."""
        return self.raw(column).strip()

    def raw(self, column: str) -> str:
        """A column's text as it is; numbers are written out."""
        value = as_text(self.value(column))
        if value is None or not value.strip():
            raise self.error(column, f"{self.value(column)!r} is no text; fill it in, or name another column in prepare.source")
        return value

    def error(self, column: str, says: str) -> RecordError:
        """An error about a column, to raise."""
        return RecordError(f"{self.place}: field {column}: {says}")


def as_text(value: object) -> str | None:
    """A text, or a number written out; None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
