"""Problems from local JSONL files, one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from data.errors import RecordError
from data.records import Problem, Split
from data.sources.rows import Layout, problems_of


def load(path: Path, layout: Layout, *, split: Split) -> list[Problem]:
    """All problems of a file; errors name file, line and field."""
    problems = list(problems_of(_rows(path), layout, split))
    if not problems:
        raise RecordError(f"{path}: no problem in this file; one JSON object per line is needed")
    return problems


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not path.is_file():
        raise RecordError(f"{path}: no such file; set prepare.source to where the problems lie")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path}:{number}", _object(f"{path}:{number}", line)


def _object(place: str, line: bytes) -> Mapping[str, object]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError(f"{place}: field (line): not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError(f"{place}: field (line): not JSON: {error}; found {line[:60]!r}, one JSON object per line is needed") from None
    if not isinstance(row, dict):
        raise RecordError(f"{place}: field (line): a JSON object is needed, found {line[:60]!r}")
    return row
