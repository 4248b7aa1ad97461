"""Tables: one record per line of JSON, sorted, without times or paths, so that equal content is an equal file.

`.jsonl` is plain, `.jsonl.zst` compressed. A table is written to a neighbour and renamed: a killed writer leaves the old one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError

from data.errors import RecordError, StageError
from data.records import Record

R = TypeVar("R", bound=Record)


def read_table(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield the records of a table; an error names file, line and field."""
    for place, line in read_lines(path):
        yield parse_record(line, kind, place=place)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place (file:line) and the text of every line."""
    if not path.exists():
        raise RecordError(f"{path}: no such table; run the stage that writes it: `dvc repro`")
    with _open(path, "r") as lines:
        for number, line in enumerate(lines, start=1):
            yield f"{path}:{number}", line


def read_all(path: Path, kind: type[R]) -> list[R]:
    """All records of a table that must not be empty."""
    records = list(read_table(path, kind))
    if not records:
        raise RecordError(f"{path}: the table is empty; at least one {kind.__name__} is needed. Look at the stage that wrote it.")
    return records


def parse_record(line: str, kind: type[R], *, place: str) -> R:
    """One record from one line; `place` (file:line) is named in the error."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        problems = "; ".join(
            f"field {'.'.join(map(str, e['loc'])) or '(line)'}: {e['msg']} (found {str(e['input'])[:80]!r})" for e in error.errors()
        )
        raise RecordError(f"{place}: not a valid {kind.__name__}: {problems}") from None


def write_table(path: Path, records: Iterable[Record]) -> int:
    """Write `records` in the order given and return how many; ids must be unique."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    count = 0
    with disk_errors_named(path):
        with _open(partial, "w", compressed=path.suffix == ".zst") as lines:
            for record in _unique(records, path):
                lines.write(record.model_dump_json() + "\n")
                count += 1
        partial.replace(path)
    return count


@contextmanager
def disk_errors_named(path: Path) -> Iterator[None]:
    """Turn a failed write (no space, no permission) into an error that names the file and the fix."""
    try:
        yield
    except OSError as error:
        raise StageError(
            f"{path}: cannot be written: {error.strerror or error}. Free some space (`make doctor` shows it) and run `dvc repro` again; "
            "completions and checkpoints are kept."
        ) from error


def _unique(records: Iterable[Record], path: Path) -> Iterator[Record]:
    seen: set[str] = set()
    for record in records:
        record_id = getattr(record, "id", None)
        if record_id is not None:
            if record_id in seen:
                raise RecordError(f"{path}: id {record_id!r} occurs twice; ids must be unique")
            seen.add(record_id)
        yield record


@contextmanager
def _open(path: Path, mode: str, *, compressed: bool | None = None) -> Iterator[IO[str]]:
    if path.suffix == ".zst" if compressed is None else compressed:
        import zstandard

        codec = zstandard.ZstdDecompressor() if mode == "r" else zstandard.ZstdCompressor()
        opener = codec.stream_reader if mode == "r" else codec.stream_writer
        with path.open(f"{mode}b") as raw, opener(raw) as binary, io.TextIOWrapper(binary, encoding="utf-8") as text:
            yield text
    else:
        with path.open(mode, encoding="utf-8", newline="\n") as text:
            yield text
