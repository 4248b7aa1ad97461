"""What stages did on this machine: the last run of each, for the table at the end, and all runs, for `make plan`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import yaml

from pipeline.support.params import PARAMS
from pipeline.support.paths import stage_statistics

RUNS = "runs.jsonl"
STAGE_VARIABLE = "DVC_STAGE"
"""Set by DVC to the stage that runs, with the student of a training (`distill@long`)."""


class Run(NamedTuple):
    """One run of a stage. `teacher` and `base` name the models of its settings, since a rate belongs to a model."""

    stage: str
    instance: str
    seconds: float
    made_tokens: int
    rows_in: int
    rows_out: int
    dropped: Mapping[str, int]
    teacher: str | None = None
    base: str | None = None

    @classmethod
    def read(cls, line: str) -> Self:
        """The run of a line that `record` wrote."""
        return cls(**json.loads(line))

    @property
    def tokens_per_second(self) -> float:
        """Over the whole run, the start of its engine included."""
        return self.made_tokens / self.seconds if self.seconds else 0.0


def record(run: Run) -> None:
    """Keep a run: as the last one of its instance, and in the list of all."""
    folder = stage_statistics()
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(run._asdict())
    (folder / f"{run.instance}.json").write_text(line + "\n", encoding="utf-8")
    with (folder / RUNS).open("a", encoding="utf-8") as runs:
        runs.write(line + "\n")


def instance_of(stage: str) -> str:
    """The stage's name within the graph, with the student of a training."""
    return os.environ.get(STAGE_VARIABLE, stage).rpartition(":")[2]


def models_in(params: Path = PARAMS) -> dict[str, str | None]:
    """The teacher and the base that a params file names, as far as it can be read: statistics never fail a stage."""
    try:
        values = yaml.safe_load(params.read_text(encoding="utf-8"))
        return {"teacher": values["sample"]["teacher"]["path"], "base": values["distill"]["base"]["path"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {"teacher": None, "base": None}


def last(instance: str) -> Run | None:
    """The last run of a stage; None where it never ran here."""
    path = stage_statistics() / f"{instance}.json"
    return Run.read(path.read_text(encoding="utf-8")) if path.exists() else None


def all_runs() -> list[Run]:
    """Every run on this machine, oldest first."""
    path = stage_statistics() / RUNS
    return [Run.read(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
