"""Starts a training: in this process, or in several under `accelerate launch`; the trainer is the same."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from data import errors
from data.errors import StageError
from students import sft, worker
from students.checkpoints import last_complete, remove_incomplete, step_of
from students.job import Job, Trained
from students.models import check_capabilities, devices

CONFIGS = Path("configs/accelerate")
FAILURES = f"{worker.FAILURE}-*.txt"


class Finished(NamedTuple):
    """A finished training, and how much of it was done by this call."""

    trained: Trained
    new_tokens: int
    """Tokens trained now: less than all after a resume, none where the model was there already."""


def train(job: Job) -> Finished:
    """Train a student as its strategy says and return what was done; the model lies in `job.model`.

    A training that was killed goes on from its last complete checkpoint; one that had finished is not repeated.
    Raises ParamsError, PreflightError or StageError as the trainer does, and StageError where another process trains here.
    """
    check_capabilities(job.training, devices())
    job.work.mkdir(parents=True, exist_ok=True)
    with _alone(job.work) as lock:
        if (before := Trained.read(job.model)) is not None:
            return Finished(before, 0)
        remove_incomplete(job.work)
        checkpoint = last_complete(job.work)
        trained = _started(job, lock)
        left = trained.steps - (step_of(checkpoint) if checkpoint else 0)
        return Finished(trained, round(trained.trained_tokens * left / trained.steps))


def _started(job: Job, lock: int) -> Trained:
    if job.training.launch.strategy != "single":
        return _in_processes(job, lock)
    return sft.train(job)


def _in_processes(job: Job, lock: int) -> Trained:
    for old in job.work.glob(FAILURES):
        old.unlink()
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


def _failure(job: Job, code: int) -> errors.ShortcotError:
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
