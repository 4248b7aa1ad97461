"""Train what the next `dvc repro` would train, several students at a time: `python -m pipeline.commands.train_ahead --jobs 2`.

DVC runs one stage after the other, and a small model gains little from a second core. The finished models wait in the workspace, where
the stage `distill` finds them as it finds a training that was killed; only equal settings, lessons and weights are taken. Students that
start from one of these are left to `dvc repro`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from data.errors import ShortcotError, StageError
from pipeline.code import check_current
from pipeline.distill import job_of
from pipeline.support import paths
from pipeline.support.params import Params, load
from pipeline.support.student_settings import ancestors
from students.job import Job, Trained
from students.launch import train_all

PREFIX = "distill@"


def stale(status: Mapping[str, Any], params: Params) -> list[str]:
    """The students that `dvc status --json` finds changed, in its order, without those that descend from one of them."""
    names = [name.rpartition(":")[2] for name in status]
    changed = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    return [student for student in changed if not any(parent in changed for parent in ancestors(params.students, student))]


def waiting(params: Params, students: Sequence[str]) -> list[Job]:
    """The trainings of these students that are not in their places yet."""
    jobs = {
        (student, seed): job_of(params, paths.lessons_of(student), student=student, seed=seed)
        for student in students
        for seed in params.seeds
    }
    there = {place: Trained.read(paths.model_of(*place)) for place in jobs}
    return [job for place, job in jobs.items() if (found := there[place]) is None or found.training_id != job.work.name]


def _status() -> dict[str, Any]:
    asked = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise StageError(f"dvc status failed: {asked.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


def _main(jobs: int) -> None:
    params = load()
    check_current(params)
    train_all(waiting(params, stale(_status(), params)), at_once=jobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)")
    try:
        _main(parser.parse_args().jobs)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
