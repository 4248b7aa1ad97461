"""Checkpoints of a training: which ones may be resumed, and the way of a finished model to its place.

A folder of checkpoints is named by what the training depends on, so a checkpoint of other settings, lessons or weights is
never found. A checkpoint counts once its marker is written, which is the last thing that is.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from data.records import content_id
from data.tables import disk_errors_named
from students.job import Job

MARKER = "complete"
PREFIX = "checkpoint-"
NOT_CONTENT = {".md", ".lock"}


def training_id(job: Job, *, code: str = "") -> str:
    """Hash of all that a training depends on: settings, lessons, starting weights with their tokenizer and template, seed, prompt, code."""
    start = None if job.start is None else folder_hash(job.start)
    settings = (job.training.model_dump(exclude={"guard"}), job.objective.model_dump(exclude={"upon"}))  # these decide no weights
    return content_id("training", *settings, file_hash(job.lessons), folder_hash(job.base), start, job.seed, job.instruction, code)


def folder_hash(folder: Path) -> str:
    """Hash of the files of a model folder, by name and content; model cards and hidden files do not count."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in NOT_CONTENT and not _hidden(p, folder))
    return content_id(*([str(p.relative_to(folder)), file_hash(p)] for p in files))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.removeprefix(PREFIX))


def checkpoints_in(work: Path) -> list[Path]:
    """All checkpoint folders, complete or not, by step."""
    found = (p for p in work.glob(f"{PREFIX}*") if p.name.removeprefix(PREFIX).isdigit())
    return sorted(found, key=step_of)


def last_complete(work: Path) -> Path | None:
    """The checkpoint to go on from."""
    complete = [p for p in checkpoints_in(work) if (p / MARKER).is_file()]
    return complete[-1] if complete else None


def mark_complete(checkpoint: Path) -> None:
    """Say that every file of a checkpoint is written."""
    (checkpoint / MARKER).write_text("")


def remove_incomplete(work: Path) -> None:
    """Delete what a killed process left half written."""
    for checkpoint in checkpoints_in(work):
        if not (checkpoint / MARKER).is_file():
            shutil.rmtree(checkpoint)


def publish(source: Path, destination: Path) -> None:
    """Move a finished folder to its place in one step; a killed move leaves no half folder under the final name."""
    part = destination.with_name(f".{destination.name}.part")
    with disk_errors_named(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        for old in (part, destination):
            if old.exists():
                shutil.rmtree(old)
        shutil.move(source, part)
        part.replace(destination)
