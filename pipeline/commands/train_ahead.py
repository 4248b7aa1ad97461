"""Train what the next `dvc repro` would train, several students at a time: `python -m pipeline.commands.train_ahead --jobs 2`.

DVC runs one stage after the other, and a small model gains little from a second core. The finished models wait in the workspace, where
the stage `distill` finds them as it finds a training that was killed; only equal settings, lessons and weights are taken.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from data.errors import ShortcotError, StageError
from pipeline.distill import job_of
from pipeline.support import paths
from pipeline.support.params import load
from students.launch import train_all

INSTANCE = re.compile(r"distill@(?P<student>[a-z][a-z0-9_]*)-(?P<seed>\d+)")


class Place(NamedTuple):
    """One place in the matrix of `distill`."""

    student: str
    seed: int


def stale(status: Mapping[str, Any]) -> list[Place]:
    """The trainings that `dvc status --json` finds changed, in its order."""
    found = (INSTANCE.fullmatch(name.rpartition(":")[2]) for name in status)
    return [Place(match["student"], int(match["seed"])) for match in found if match]


def _status() -> dict[str, Any]:
    asked = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise StageError(f"dvc status failed: {asked.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


def _main(jobs: int) -> None:
    params = load()
    places = stale(_status())
    train_all([job_of(params, paths.lessons_of(p.student), student=p.student, seed=p.seed) for p in places], at_once=jobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)")
    try:
        _main(parser.parse_args().jobs)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
