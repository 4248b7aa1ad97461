"""Local files and folders that settings name (weights, prompts, problem files): they are inputs of a stage like its code.

DVC cannot depend on them itself, since the same setting may hold a hub name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.support.paths import workspace


def named_paths(settings: object) -> list[Path]:
    """Files and folders that exist and that a string anywhere in `settings` (JSON types) names, sorted."""
    return sorted({Path(text) for text in _strings(settings) if text.strip("./") and os.path.exists(text)})  # noqa: PTH110 - any text is asked


def content_hash(path: Path) -> str:
    """16 hex digits of a file's content, or of the names and contents of a folder's files (no hidden ones, no model cards)."""
    memory = _Memory()
    if path.is_file():
        return memory.of(path)[:16]
    files = sorted(f for f in path.rglob("*") if f.is_file() and _counts(f.relative_to(path)))
    listing = [[f.relative_to(path).as_posix(), memory.of(f)] for f in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:16]


def _counts(file: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in file.parts)
    return not hidden and file.suffix != ".md"


def _strings(settings: object) -> Iterator[str]:
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, dict | list):
        for value in settings.values() if isinstance(settings, dict) else settings:
            yield from _strings(value)


class _Memory:
    """Hashes of files, remembered by size and time of change, so that gigabytes of weights are read once."""

    def __init__(self) -> None:
        self.file = workspace() / "file-hashes.json"
        self.known: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}

    def of(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        key = str(path.resolve())
        if self.known.get(key, [None])[0] != stamp:
            with path.open("rb") as stream:
                self.known[key] = [stamp, hashlib.file_digest(stream, "sha256").hexdigest()]
            self.file.parent.mkdir(parents=True, exist_ok=True)
            partial = self.file.with_suffix(".part")
            partial.write_text(json.dumps(self.known))
            partial.replace(self.file)
        return str(self.known[key][1])
