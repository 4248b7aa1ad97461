"""Starts a training: in this process, or in several under `accelerate launch`; the trainer is the same.

`python -m students.launch JOB` trains one job; `train_all` starts several of them at a time.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from data import errors
from data.checks import settle
from data.errors import ParamsError, ShortcotError, StageError
from students import training, worker
from students.builds import free_builds
from students.capabilities import capability_findings
from students.checkpoints import last_complete, remove_incomplete, step_of
from students.job import Job, Spent, Trained
from students.models import devices

CONFIGS = Path("configs/accelerate")
FAILURES = f"{worker.FAILURE}-*.txt"


class Finished(NamedTuple):
    """A finished training and what it cost: now, or before where the model was there already."""

    trained: Trained
    spent: Spent
    now: bool
    """Whether this call trained it."""


def train(job: Job) -> Finished:
    """Train a student as its strategy says and return what was done; the model lies in `job.model`.

    A training that was killed goes on from its last complete checkpoint; one that had finished is not repeated.
    Raises ParamsError, PreflightError or StageError as the trainer does, and StageError where another process trains here.
    """
    settle(capability_findings(job.training, devices(), job.objective, places=job.places))
    job.work.mkdir(parents=True, exist_ok=True)
    with _alone(job.work) as lock:
        if (before := Trained.read(job.model)) is not None:
            return Finished(before, Spent.read(job.work), now=False)
        remove_incomplete(job.work)
        checkpoint, started = last_complete(job.work), time.monotonic()
        trained = _started(job, lock)
        left = trained.steps - (step_of(checkpoint) if checkpoint else 0)
        spent = Spent(tokens=round(trained.trained_tokens * left / trained.steps), seconds=time.monotonic() - started)
        spent.write(job.work)
        return Finished(trained, spent, now=True)


def train_all(jobs: Sequence[Job], *, at_once: int) -> None:
    """Train these, `at_once` at a time, each in a process of its own with its share of the cores.

    A small model gains little from a second core. Raises ParamsError for fewer than one at a time, and StageError that names every
    training that failed; the others are kept.
    """
    if at_once < 1:
        raise ParamsError(f"{at_once} trainings at a time: allowed is 1 or more")
    threads = max(1, (os.cpu_count() or 1) // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        codes = list(pool.map(lambda job: _in_its_own_process(job, threads), jobs))
    failed = [_name(job) for job, code in zip(jobs, codes, strict=True) if code]
    if failed:
        raise StageError(f"{len(failed)} of {len(jobs)} trainings failed ({'; '.join(failed)}); what went wrong stands above")


def _in_its_own_process(job: Job, threads: int) -> int:
    line = [sys.executable, "-m", "students.launch", str(job.write())]
    return subprocess.run(line, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=False).returncode


def _name(job: Job) -> str:
    return f"{job.lessons.stem}, seed {job.seed}"


def _started(job: Job, lock: int) -> Trained:
    if job.training.launch.strategy != "single":
        return _in_processes(job, lock)
    return training.train(job)


def _in_processes(job: Job, lock: int) -> Trained:
    for old in job.work.glob(FAILURES):
        old.unlink()
    if job.training.launch.strategy != "ddp":
        free_builds()
    ended = subprocess.run(command(job, job.write()), env=environment(job), pass_fds=[lock], check=False)
    if ended.returncode != 0:
        raise _failure(job, ended.returncode)
    trained = Trained.read(job.model)
    if trained is None:
        raise StageError(f"{job.model}: the training processes ended without an error and without a model")
    return trained


def command(job: Job, description: Path) -> list[str]:
    """The command line that starts the worker processes."""
    launch = job.training.launch
    threads = max(1, (os.cpu_count() or 1) // launch.processes)
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(CONFIGS / f"{launch.strategy}.yaml")),
        *("--num_processes", str(launch.processes)),
        *("--num_cpu_threads_per_process", str(threads)),
        *("--main_process_port", "0"),
        *("-m", worker.__name__, str(description)),
    ]


def environment(job: Job) -> dict[str, str]:
    """The environment of the workers; without a GPU, DeepSpeed is told to use the CPU."""
    if devices().gpus or job.training.launch.strategy == "ddp":
        return dict(os.environ)
    return {**os.environ, "DS_ACCELERATOR": "cpu"}


def _failure(job: Job, code: int) -> ShortcotError:
    """The first worker's own error, or what is known of it."""
    for path in sorted(job.work.glob(FAILURES)):
        kind, _, message = path.read_text(encoding="utf-8").partition("\n")
        own = getattr(errors, kind, None)
        return own(message.strip()) if own is not None else StageError(f"a training process failed with {kind}: {message.strip()}")
    return StageError(
        f"the training processes ended with exit code {code} and left no message; -9 or 137 mean killed, often for want of memory. "
        "Run `dvc repro` again to go on from the last checkpoint, with a smaller micro_batch_rows if memory was short."
    )


@contextmanager
def _alone(work: Path) -> Iterator[int]:
    """Hold the folder of a training; workers inherit the hold, so that orphans of a killed launcher keep it."""
    lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError:
        raise StageError(f"{work}: another process is training this student; wait for it, or end it and run again") from None
    finally:
        os.close(lock)


if __name__ == "__main__":
    try:
        train(Job.read(Path(sys.argv[1])))
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
