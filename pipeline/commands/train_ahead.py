"""Train what the next `dvc repro` would train, several students at a time: `python -m pipeline.commands.train_ahead --jobs 2`.

DVC runs one stage after the other, and a small model gains little from a second core. The finished models wait in the workspace, where
the stage `distill` finds them as it finds a training that was killed; only equal settings, lessons and weights are taken. Students that
start from one of these come after it: `dvc repro` puts the first ones in their places, and the next are trained.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data.errors import ShortcotError, StageError
from pipeline.code import check_current
from pipeline.distill import job_of
from pipeline.support import paths
from pipeline.support.params import Params, load
from pipeline.support.student_settings import ancestors
from students.job import Job, Trained
from students.launch import train_all

PREFIX = "distill@"


class Stale(NamedTuple):
    """The students that `dvc status --json` finds changed, in its order."""

    first: list[str]
    """Those that can be trained now."""
    later: list[str]
    """Those that descend from one of them."""


def stale(status: Mapping[str, Any], params: Params) -> Stale:
    """Sort out the changed students of a status."""
    names = [name.rpartition(":")[2] for name in status]
    changed = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
    later = [student for student in changed if any(parent in changed for parent in ancestors(params.students, student))]
    return Stale([student for student in changed if student not in later], later)


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


def _publish(students: Sequence[str]) -> None:
    """Let DVC put finished models in their places, where others start from them."""
    if subprocess.run(["dvc", "repro", *(f"{PREFIX}{student}" for student in students)], check=False).returncode:
        raise StageError(f"dvc repro of {', '.join(students)} failed; what went wrong stands above")


def _main(jobs: int) -> None:
    params = load()
    check_current(params)
    found = stale(_status(), params)
    while found.first:
        train_all(waiting(params, found.first), at_once=jobs)
        if not found.later:
            return
        _publish(found.first)
        before, found = found, stale(_status(), params)
        if set(before.first) & {*found.first, *found.later}:
            raise StageError(f"{before.first} are still changed after dvc repro; run it by itself to see why")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)")
    try:
        _main(parser.parse_args().jobs)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
