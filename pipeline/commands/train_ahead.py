"""Train what the next `dvc repro` would train, several students at a time: `python -m pipeline.commands.train_ahead --jobs 2`.

DVC runs one stage after the other, and a small model gains little from a second core. The finished models wait in the workspace, where
the stage `distill` finds them as it finds a training that was killed; only equal settings, lessons and weights are taken.
The table of stages then shows the time of taking them over, not that of training.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from data.errors import ParamsError, ShortcotError, StageError
from pipeline.distill import job_of
from pipeline.support import paths
from pipeline.support.params import load
from students.launch import train

INSTANCE = re.compile(r"distill@(?P<student>[a-z][a-z0-9_]*)-(?P<seed>\d+)")


class Place(NamedTuple):
    """One place in the matrix of `distill`."""

    student: str
    seed: int


def stale(status: Mapping[str, Any]) -> list[Place]:
    """The trainings that `dvc status --json` finds changed, in its order."""
    found = (INSTANCE.fullmatch(name.rpartition(":")[2]) for name in status)
    return [Place(match["student"], int(match["seed"])) for match in found if match]


def train_ahead(places: Sequence[Place], *, jobs: int) -> None:
    """Train these, `jobs` at a time, each in a process of its own with its share of the cores.

    Raises StageError that names every training that failed; the others are kept.
    """
    if jobs < 1:
        raise ParamsError(f"--jobs {jobs}: allowed is 1 or more")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with ThreadPoolExecutor(jobs) as pool:
        codes = list(pool.map(lambda place: subprocess.run(_command(place), env=environment, check=False).returncode, places))
    failed = [f"{place.student}, seed {place.seed}" for place, code in zip(places, codes, strict=True) if code]
    if failed:
        raise StageError(f"{len(failed)} of {len(places)} trainings failed ({'; '.join(failed)}); what went wrong stands above")


def _command(place: Place) -> list[str]:
    return [sys.executable, "-m", "pipeline.commands.train_ahead", "--student", place.student, "--seed", str(place.seed)]


def _train_one(place: Place) -> None:
    params = load()
    train(job_of(params, paths.lessons_of(place.student), student=place.student, seed=place.seed))
    print(f"trained {place.student}, seed {place.seed}", flush=True)


def _status() -> dict[str, Any]:
    asked = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise StageError(f"dvc status failed: {asked.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(asked.stdout)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)")
    parser.add_argument("--student", help="train this one alone, in this process")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        if asked.student:
            _train_one(Place(asked.student, asked.seed))
        else:
            train_ahead(stale(_status()), jobs=asked.jobs)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
