"""The completion store: every completion that was ever made, found again by what made it.

Append-only JSONL shards in one folder. A completion's key is the hash of (content of weights, adapter, tokenizer and template; engine
kind, version and dtype; prompt token ids; sampling settings; draw). `ok` and `truncated` are final and never made again; `error` and
`timeout` are kept as a record and tried again. All shards are read, one is written. Memory holds key → place; texts are read on demand.

Killing the process loses nothing that was written; a power loss costs at most the last fraction of a second (teachers/shards.py). A torn
last line is cut off by its shard's next owner. A line that is no completion is skipped, counted (`skipped_lines`) and warned about.
Where two shards hold the same key, the shard whose name sorts first counts, so that the answer depends on the files alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, ValidationError

from data.errors import StoreError
from data.records import Record, Status
from data.tables import read_table, write_table
from teachers.engine import Completion, Request, SamplingSettings
from teachers.shards import SUFFIX, ShardWriter, disk_errors, shard_path, whole_lines

_LOG = logging.getLogger(__name__)
WRITERS = "writers"
"""Folder in the store: for every identity what it stands for."""


class StoredCompletion(Record):
    """One line of the store; `identity` names the model and engine that wrote it, told in the store's folder WRITERS."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    identity: str
    draw: NonNegativeInt
    sampling: SamplingSettings | None = None
    """None: written before lines held it."""
    status: Status
    finish_reason: str
    text: str
    token_ids: tuple[NonNegativeInt, ...]
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    detail: str

    @classmethod
    def of(cls, identity: str, completion: Completion) -> Self:
        """The line of a completion that `identity` made."""
        request = completion.request
        return cls(
            key=completion_key(identity, request),
            identity=identity,
            draw=request.draw,
            sampling=request.sampling,
            status=completion.status,
            finish_reason=completion.finish_reason,
            text=completion.text,
            token_ids=completion.token_ids,
            prompt_tokens=len(request.prompt_ids),
            completion_tokens=completion.tokens,
            detail=completion.detail,
        )

    def completion(self, request: Request) -> Completion:
        """The completion as the engine gave it."""
        counted = self.completion_tokens if self.completion_tokens != len(self.token_ids) else None
        return Completion(request, self.status, self.finish_reason, self.text, self.token_ids, self.detail, counted)


def completion_key(identity: str, request: Request) -> str:
    """32 hex digits of everything that decides a completion."""
    text = json.dumps([identity, request.prompt_ids, list(request.sampling), request.draw], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class CompletionStore:
    """Reads all shards of `folder` and writes the one named `shard` (None: reads only). A context manager."""

    def __init__(self, folder: Path, *, shard: str | None = None) -> None:
        self.folder = folder
        self.skipped_lines = 0
        self._places: dict[bytes, tuple[Path, int]] = {}
        self._read_up_to: dict[Path, int] = {}
        self._writer = ShardWriter(shard_path(folder, shard)) if shard is not None else None
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Bring everything to the disk and give the shard back."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def refresh(self) -> None:
        """Read what was added to any shard since the last time."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            with disk_errors(path):
                self._index(path)

    def find(self, key: str) -> StoredCompletion | None:
        """The final completion with this key, or None."""
        place = self._places.get(bytes.fromhex(key))
        return None if place is None else self._read(*place)

    def put(self, stored: StoredCompletion) -> None:
        """Write one completion; StoreError (nothing lost) where the disk refuses. A key that is final stays as it is."""
        if self._writer is None:
            raise TypeError("this CompletionStore was opened without a shard, to read only")
        key = bytes.fromhex(stored.key)
        if key in self._places:
            return
        line = stored.model_dump_json().encode()
        offset = self._writer.append(line)
        if self._read_up_to.get(self._writer.path, 0) == offset:
            self._read_up_to[self._writer.path] = offset + len(line) + 1
        if stored.status.final:
            self._places[key] = (self._writer.path, offset)

    def describe(self, who: Mapping[str, Any], *, identity: str) -> None:
        """Keep in words whom an identity names, in WRITERS/IDENTITY.json."""
        file = self.folder / WRITERS / f"{identity}.json"
        if file.exists():
            return
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps(who, indent=1) + "\n", encoding="utf-8")
            unfinished.replace(file)

    def export_to(self, path: Path) -> int:
        """Write all final completions as one table (`.jsonl` or `.jsonl.zst`), sorted by key; returns how many."""
        return write_table(path, self._all())

    def import_from(self, path: Path) -> int:
        """Add the completions of an exported table that are not here yet; returns how many."""
        before = len(self)
        for stored in read_table(path, StoredCompletion):
            if stored.status.final:
                self.put(stored)
        return len(self) - before

    def _all(self) -> Iterator[StoredCompletion]:
        for key in sorted(self._places):
            yield self._read(*self._places[key])

    def _read(self, path: Path, offset: int) -> StoredCompletion:
        with disk_errors(path), path.open("rb") as lines:
            lines.seek(offset)
            line = lines.readline()
        try:
            return StoredCompletion.model_validate_json(line)
        except ValidationError:
            raise StoreError(f"{path}: the line at byte {offset} changed since it was read; shards must not be edited in use") from None

    def _index(self, path: Path) -> None:
        skipped = 0
        start = self._read_up_to.get(path, 0)
        for offset, line in whole_lines(path, start):
            self._read_up_to[path] = offset + len(line) + 1
            try:
                stored = StoredCompletion.model_validate_json(line)
            except ValidationError:
                skipped += 1
                continue
            if stored.status.final:
                self._place(bytes.fromhex(stored.key), path, offset)
        if skipped:
            self.skipped_lines += skipped
            _LOG.warning("%s: %d line(s) are no completions and are skipped; what they held is made again", path, skipped)

    def _place(self, key: bytes, path: Path, offset: int) -> None:
        """The first line of the first shard counts."""
        known = self._places.get(key)
        if known is None or path.name < known[0].name:
            self._places[key] = (path, offset)
