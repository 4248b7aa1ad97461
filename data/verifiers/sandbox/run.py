"""Run one program against tests in a sandbox, from outside."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from data.errors import StageError
from data.records import Outcome
from data.verifiers.sandbox.crossing import HEADER_BYTES
from data.verifiers.sandbox.jail import REFUSED, Plan
from data.verifiers.sandbox.trial import Limits, Questions

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 3
"""Times the limit of processor time that a run may take on the clock; less than the pool's, which would end the worker too."""
START = "import sys; sys.path.insert(0, sys.argv[1]); from data.verifiers.sandbox.jail import main; del sys.path[0]; main(sys.argv.pop())"
START_SECONDS = 30
PROBES, PROBE_SECONDS = 2, 5
"""So often and so long a probe is tried: together less than a verifier's process has for its start."""


class Job(NamedTuple):
    """`program` are sources that run one after another in one module; the questions are those of its tests."""

    program: list[str]
    questions: Questions


class Report(NamedTuple):
    """What came of it: the outcome, and why."""

    outcome: Outcome
    detail: str


class SandboxError(StageError):
    """The kernel does not allow a layer of the sandbox: which one, and what it said."""


def run(job: Job, *, timeout_seconds: float, sandboxed: bool = True) -> Report:
    """Run the tests against the program. Raises SandboxError where a layer of the sandbox does not hold.

    The limit is of processor time, rounded up to seconds, for the tests and for the program; PATIENCE times as long on the clock.
    """
    plan = Plan(sandboxed, os.getpid(), Limits(math.ceil(timeout_seconds), PATIENCE * timeout_seconds))
    said = _said(plan, _framed(list(job.program)) + _framed(job.questions))
    if isinstance(said, Report):
        return said
    if REFUSED in said:
        raise SandboxError(said[REFUSED])
    return Report(Outcome(said["outcome"]), said["detail"])


def probe() -> str | None:
    """Why this machine allows no sandbox; None where it does.

    Raises StageError where that stays open: the kernel refused nothing, and yet no trial came to its end, as on a busy machine.
    """
    said = ""
    for _ in range(PROBES):
        try:
            report = run(Job(["def f(): pass"], Questions(["def f(): pass"], "f()", "f")), timeout_seconds=PROBE_SECONDS)
        except SandboxError as refusal:
            return str(refusal)
        if report.outcome is Outcome.RIGHT:
            return None
        said = f"{report.outcome.value}: {report.detail}"
    raise StageError(f"whether this machine allows a sandbox for foreign programs is not known: {PROBES} trials failed, the last: {said}")


def _framed(what: object) -> bytes:
    data = json.dumps(what).encode()
    return len(data).to_bytes(HEADER_BYTES, "big") + data


def _said(plan: Plan, jobs: bytes) -> dict[str, str] | Report:
    """The line that the sandbox says, or a report where there is none."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-s", "-P", "-B", "-c", START, str(ROOT), json.dumps(plan)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PYTHONHASHSEED": "0"},  # the same program gets the same verdict
        cwd="/",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(jobs, timeout=plan.limits.clock_seconds + START_SECONDS)
    except subprocess.TimeoutExpired:
        return Report(Outcome.ERROR, "the sandbox does not end")
    finally:
        process.kill()  # the kernel then kills the others: those of the namespace, and those that die with their parents
        process.communicate()
    try:
        line: dict[str, str] = json.loads(said)
    except ValueError:
        return Report(Outcome.ERROR, f"the sandbox failed: {said.decode(errors='replace').strip()[-300:] or 'it said nothing'}")
    return line
