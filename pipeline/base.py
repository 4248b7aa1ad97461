"""Stage `base`: the weights that students start from, fetched, checked before anything is spent on them, and named by content."""

from __future__ import annotations

import json
from pathlib import Path

from data.checks import settle
from data.hub import local_folder
from data.tables import disk_errors_named
from data.templates import student_findings
from pipeline.support import paths
from pipeline.support.params import ModelSource, load
from pipeline.support.stage import Statistics, run_stage
from students.checkpoints import folder_hash
from students.models import load_tokenizer


def base(source: ModelSource, output: Path) -> None:
    """The base → its identity in `output`. Raises PreflightError where its tokenizer or chat template would spoil every student."""
    folder = local_folder(source.path, source.revision)
    settle(student_findings(load_tokenizer(folder), source.path))
    identity = {"path": source.path, "revision": source.revision, "content": folder_hash(folder)}
    with disk_errors_named(output):
        output.mkdir(parents=True, exist_ok=True)
        (output / "base.json").write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")


def _body(statistics: Statistics) -> None:
    base(load().distill.base, paths.base_model())
    statistics.rows_in = statistics.rows_out = 1


if __name__ == "__main__":
    run_stage("base", _body)
