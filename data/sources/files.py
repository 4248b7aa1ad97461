"""Problems from local files: JSONL (one object per line), `.csv` with a line of names, or `.parquet`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data.errors import RecordError
from data.records import Problem, Split
from data.sources.rows import Layout, problems_of

Rows = Iterator[tuple[str, Mapping[str, object]]]


def load(path: Path, layout: Layout, *, split: Split) -> list[Problem]:
    """All problems of a file; errors name file, line and field."""
    if not path.is_file():
        raise RecordError(f"{path}: no such file; set prepare.source to where the problems lie")
    problems = list(problems_of(_READERS.get(path.suffix, _json_lines)(path), layout, split))
    if not problems:
        raise RecordError(f"{path}: no problem in this file; one JSON object per line is needed, or rows of a .csv or .parquet")
    return problems


def _json_lines(path: Path) -> Rows:
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


def _comma_separated(path: Path) -> Rows:
    """Places are those of a row's last line: a quoted field may hold line ends."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, strict=True)
        try:
            names = next(rows, [])
            for row in filter(None, rows):
                place = f"{path}:{rows.line_num}"
                if len(row) != len(names):
                    raise RecordError(f"{place}: field (line): {len(row)} fields, but the first line names {len(names)}: {names}")
                yield place, dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise RecordError(f"{path}:{rows.line_num}: field (line): not CSV: {error}; quote fields that hold commas or quotes") from None
        except UnicodeDecodeError as error:
            found = error.object[error.start : error.end]
            raise RecordError(f"{path}: field (file): not UTF-8: found {found!r}; save the file as UTF-8") from None


def _parquet(path: Path) -> Rows:
    """Places are numbers of rows, from 1."""
    import pyarrow
    from pyarrow import parquet

    try:
        batches = parquet.ParquetFile(path).iter_batches()
        rows = (row for batch in batches for row in batch.to_pylist())
        yield from ((f"{path}:{number}", row) for number, row in enumerate(rows, start=1))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise RecordError(f"{path}: field (file): not Parquet: {error}; save the file again, or give JSONL") from None


_READERS: dict[str, Callable[[Path], Rows]] = {".csv": _comma_separated, ".parquet": _parquet}
"""Suffix → its reader; every other file is read as JSONL."""
