"""A pool of verifier processes that kills what hangs.

Each worker is a fresh interpreter (nothing of the caller is inherited, torch least of all) with one item at a time: an item that
takes too long costs that worker and yields `timeout`, a worker that dies yields `error`, and both are replaced. Time is the
worker's own computing, so that a busy machine changes no verdict; on the clock an item gets at most PATIENCE times as long.
Judgements are yielded as they finish.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple, Self

from data.errors import StageError
from data.records import Outcome
from data.verifiers.contract import Judgement, Limits
from data.verifiers.worker import READY

_LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_MEMORY_BYTES = 2 * 2**30
START_SECONDS = 120.0
PATIENCE = 4
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Task(NamedTuple):
    """One text to judge; `reference` is the JSON of a data.records.Reference."""

    key: str
    reference: str
    text: str


class PoolSettings(NamedTuple):
    """`module` holds the verifier's `judge`. The time limit is per item; memory is address space per worker."""

    module: str
    workers: int
    timeout_seconds: float
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    allow_unsandboxed: bool = False

    @property
    def limits(self) -> Limits:
        """What the verifier itself is told."""
        return Limits(self.timeout_seconds, self.allow_unsandboxed)


class Pool:
    """Judges tasks as they are put in. A context manager: leaving it ends all workers, which start with the first tasks."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._waiting: deque[Task] = deque()
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._selector.close()

    def __len__(self) -> int:
        """Tasks that were put in and are not judged."""
        return len(self._waiting) + sum(worker.task is not None for worker in self._workers)

    def put(self, task: Task) -> None:
        """Take in a task."""
        self._waiting.append(task)
        self._hand_out()

    def ready(self, *, wait: bool) -> Iterator[tuple[str, Judgement]]:
        """Yield (key, judgement) of the tasks that are done by now; with `wait`, of at least one where there is any."""
        while self:
            judged = list(self._judged(wait=wait))
            yield from judged
            if judged or not wait:
                return

    def _judged(self, *, wait: bool) -> Iterator[tuple[str, Judgement]]:
        for worker in self._finished(wait=wait):
            task = worker.task
            judgement = worker.judgement()
            if worker.dead:
                self._bury(worker)
            if judgement is not None and task is not None:
                yield task.key, judgement
        self._hand_out()

    def _hand_out(self) -> None:
        """Give waiting tasks to free workers, and to new ones while there may be more."""
        while self._waiting:
            free = next((worker for worker in self._workers if worker.task is None), None)
            if free is None:
                if len(self._workers) >= self._settings.workers:
                    return
                free = _Worker(self._settings)
                self._workers.append(free)
                self._selector.register(free.answers, selectors.EVENT_READ, free)
            free.give(self._waiting.popleft())

    def _finished(self, *, wait: bool) -> list[_Worker]:
        """The workers that have something to say or are out of time; waits for one where asked to."""
        if heard := [worker for worker in self._workers if worker.has_line]:
            return heard
        nearest = min(worker.deadline for worker in self._workers if worker.task)
        ready = {key.data for key, _ in self._selector.select(max(0.0, nearest - time.monotonic()) if wait else 0)}
        now = time.monotonic()
        return [worker for worker in self._workers if worker in ready or (worker.task and worker.deadline <= now)]

    def _bury(self, worker: _Worker) -> None:
        self._selector.unregister(worker.answers)
        self._workers.remove(worker)
        worker.end()


def run(tasks: Iterable[Task], settings: PoolSettings) -> Iterator[tuple[str, Judgement]]:
    """Yield (key, judgement) for every task, in the order in which they finish. Closing the iterator ends all workers."""
    with Pool(settings) as pool:
        for task in tasks:
            pool.put(task)
            while len(pool) > settings.workers:
                yield from pool.ready(wait=True)
        while pool:
            yield from pool.ready(wait=True)


@dataclass(eq=False)
class _Worker:
    """One process, its pipes, and the task that it works on."""

    settings: PoolSettings
    task: Task | None = None
    deadline: float = 0.0
    last_deadline: float = 0.0
    computed: float = 0.0
    started: bool = False
    dead: bool = False
    process: subprocess.Popen[bytes] = field(init=False)
    log: IO[bytes] = field(init=False)
    buffer: bytes = b""

    def __post_init__(self) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end(), with the process
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        limits = json.dumps(self.settings.limits)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "data.verifiers.worker", self.settings.module, str(self.settings.memory_bytes), limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # so that it is killed with all that it started
        )
        os.set_blocking(self.answers, False)

    @property
    def answers(self) -> int:
        """File descriptor of what the worker says."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    @property
    def has_line(self) -> bool:
        """Whether a line was read and not yet looked at: the selector does not tell of those."""
        return b"\n" in self.buffer

    def give(self, task: Task) -> None:
        """Hand over a task; one that has not started yet gets it when it has, since until then it reads nothing."""
        self.task = task
        if self.started:
            self._begin(task)
        else:
            self.deadline = time.monotonic() + START_SECONDS

    def judgement(self) -> Judgement | None:
        """What there is to say of the task now: a judgement, or None if the worker only started. Sets `dead`."""
        if (line := self._line()) is None:
            return self._overdue()
        if not line:
            return self._died()
        said = json.loads(line)
        if isinstance(said, dict):
            self.started = True
            if self.task is not None:
                self._begin(self.task)
            if said[READY] is not None:
                _remark(said[READY])
            return None
        outcome, extracted, detail, healthy, seconds = said
        self.task, self.dead = None, not healthy
        if healthy and seconds > self.settings.timeout_seconds:
            return self._timeout()  # it was done before anybody looked: the verdict must not depend on when that is
        return Judgement(Outcome(outcome), extracted, detail)

    def _begin(self, task: Task) -> None:
        """Send the task: its time begins."""
        line = json.dumps({"reference": task.reference, "text": task.text, "seconds": PATIENCE * self.settings.timeout_seconds})
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: its closed stdout says so next
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        now = time.monotonic()
        self.computed = self._computed_seconds()
        self.deadline = now + self.settings.timeout_seconds
        self.last_deadline = now + PATIENCE * self.settings.timeout_seconds

    def _computed_seconds(self) -> float:
        """Processor time of the worker until now (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def _line(self) -> bytes | None:
        """The next line, b"" at the end of the stream, None while there is no whole line."""
        if not self.has_line:
            try:
                chunk = os.read(self.answers, 65536)
            except BlockingIOError:
                return None
            if not chunk:
                return b""
            self.buffer += chunk
        line, newline, rest = self.buffer.partition(b"\n")
        if not newline:
            return None
        self.buffer = rest
        return line

    def _overdue(self) -> Judgement | None:
        if time.monotonic() < self.deadline:
            return None
        if not self.started:
            raise self._no_start(f"did not start within {START_SECONDS:.0f} s")
        left = self.settings.timeout_seconds - (self._computed_seconds() - self.computed)
        if left > 0 and time.monotonic() < self.last_deadline:
            self.deadline = min(time.monotonic() + left, self.last_deadline)
            return None
        self.dead = True
        return self._timeout()

    def _timeout(self) -> Judgement:
        return Judgement(Outcome.TIMEOUT, None, f"no judgement within {self.settings.timeout_seconds:g} s")

    def _died(self) -> Judgement | None:
        code = self.process.wait()
        self.dead = True
        if not self.started:
            raise self._no_start(f"ended with code {code} before it was ready")
        return Judgement(Outcome.ERROR, None, f"the verifier process died: {_cause(code)}") if self.task else None

    def _no_start(self, what: str) -> StageError:
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip()[-500:]
        return StageError(
            f"verifier process of {self.settings.module} {what}: {said or 'it said nothing'}; `make doctor` checks the packages"
        )

    def end(self) -> None:
        """Kill the process with all that it started, and free its pipes."""
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):  # unsent bytes of a task for a dead worker
                if pipe is not None:
                    pipe.close()


@cache
def _remark(text: str) -> None:
    """Tell the user what a verifier's process says of itself: once, however many of them say it."""
    _LOG.warning("%s", text)


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
