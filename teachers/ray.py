"""The engine `ray`: workers on a Ray cluster, each with an engine of its own, behind one contract and one store.

The driver (the process of the stage, the store's only writer) gives every worker a little more than its engine holds at a time, and gets
completions back as they end. What was with a worker that died goes to the others, and a new worker takes its place; no completion is
handed over twice, since one counts only when the driver has it. A worker that would write under another identity (another library,
number format or weights on its machine) is refused.

Every machine needs the same locks, this folder and the models at the same places, such as a shared file system.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError

from data.errors import EngineError, ParamsError
from data.records import Section
from teachers.engine import Completion, Engine, EngineSpec, ModelRef, Request, Requests, closable
from teachers.engines import start
from teachers.identity import Writer, writer_of

_LOG = logging.getLogger(__name__)
AHEAD = 4
"""A worker holds one request more for every so many that its engine takes at a time, so that an engine with room never waits."""
GATHER_SECONDS = 0.05
"""How long a worker collects completions before it hands them over."""
CLOSE_SECONDS = 20.0
"""How long a worker may take to free its engine; then it is killed."""
DEATHS = 3
"""How many deaths an engine outlives, for every worker that it was started with."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's own 15 starves engines beside whatever else computes on the machine
}
"""Of a cluster that is started here, unless the environment says otherwise."""


class RayArguments(Section):
    """`engine.arguments` of the engine `ray`."""

    engine: Literal["vllm", "hf", "scripted"] = "vllm"
    """What each worker runs."""
    workers: int = Field(1, ge=1)
    address: str | None = None
    """`auto` or `host:port` of a cluster that runs; null: one of its own, on this machine."""
    gpus: float = Field(0.0, ge=0)
    """Of each worker; with tensor_parallel_size n they are n."""
    cpus: float = Field(1.0, gt=0)
    """Of each worker."""
    start_seconds: float = Field(900.0, gt=0)
    """How long no worker may be ready: room in the cluster, and the start of an engine."""
    arguments: dict[str, Any] = {}
    """Of the workers' engine."""


class Ready(NamedTuple):
    """What a worker says once its engine can generate."""

    place: str
    """Host and process."""
    writer: Writer
    """As whose its completions would be stored."""


class Worker:
    """The far side: an engine in a process of the cluster. Its calls come one after the other."""

    def __init__(self, spec: EngineSpec, folder: Path) -> None:
        os.chdir(folder)
        self._spec = spec
        self._engine: Engine | None = None
        self._waiting: deque[Request] = deque()
        self._running: Generator[Completion] | None = None

    def ready(self, model: ModelRef) -> Ready:
        """Generate with these weights from now on."""
        if self._engine is None:
            self._engine = start(replace(self._spec, model=model)).__enter__()
        else:
            self._engine.use(model)
        place = f"{os.uname().nodename}, process {os.getpid()}"
        return Ready(place, writer_of(self._spec, model))

    def take(self) -> Request | None:
        """For the engine: the next request."""
        return self._waiting.popleft() if self._waiting else None

    def exchange(self, requests: list[Request]) -> list[Completion]:
        """Take requests, and give back what has ended: one completion at least, where any request is open."""
        self._waiting.extend(requests)
        until, ended = time.monotonic() + GATHER_SECONDS, list[Completion]()
        while (completion := self._next()) is not None:
            ended.append(completion)
            if time.monotonic() >= until:
                break
        return ended

    def _next(self) -> Completion | None:
        assert self._engine is not None
        if self._running is None:
            self._running = closable(self._engine.generate(self))
        completion = next(self._running, None)
        if completion is None:
            self._running = None  # everything ended; later requests need a new loop
            return self._next() if self._waiting else None
        return completion

    def drop(self) -> None:
        """Forget what is open."""
        self._waiting.clear()
        if self._running is not None:
            self._running.close()
            self._running = None

    def close(self) -> None:
        """Free the engine's processes and memory."""
        self.drop()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.__exit__(None, None, None)


@dataclass
class _Remote:
    """The driver's side of a worker: its one unfinished call, and the requests that it holds."""

    number: int
    actor: Any
    model: ModelRef
    call: Any = None
    is_ready: bool = False
    place: str = "not started"
    flying: Counter[Request] = field(default_factory=Counter)


class RayEngine:
    """See the module's docstring."""

    def __init__(self, spec: EngineSpec) -> None:
        try:
            self._arguments = RayArguments.model_validate(dict(spec.arguments))
        except ValidationError as error:
            raise ParamsError(f"arguments of the engine ray: {error}") from None
        self._spec, self._model = spec.worker, spec.model
        self._room = spec.batch + max(1, spec.batch // AHEAD)
        self._workers: list[_Remote] = []
        self._numbers = count(1)
        self._lost: deque[Request] = deque()
        self._deaths_left, self._was_ready = DEATHS * self._arguments.workers, False
        self._is_own = _connect(self._arguments)
        try:
            for _ in range(self._arguments.workers):
                self._add()
            self._await_one()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def use(self, model: ModelRef) -> None:
        """Generate with these weights from now on, on every worker that is to get a request."""
        self._model = model
        for worker in self._workers:
            if worker.call is None:
                self._prepare(worker)
        self._await_one()

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions as workers hand them over."""
        try:
            while True:
                self._await_one()
                self._hand_out(requests)
                if not self._lost and not any(worker.flying for worker in self._workers):
                    return
                yield from self._settle()
        finally:
            self._drop()

    def _hand_out(self, requests: Requests) -> None:
        """Fill the workers that wait, the emptiest first, and let them go on."""
        free = [worker for worker in self._workers if worker.is_ready and worker.call is None]
        given: dict[int, list[Request]] = {worker.number: [] for worker in free}
        while free and (least := min(free, key=lambda worker: worker.flying.total())).flying.total() < self._room:
            request = self._lost.popleft() if self._lost else requests.take()
            if request is None:
                break
            least.flying[request] += 1
            given[least.number].append(request)
        for worker in free:
            if worker.flying:
                worker.call = worker.actor.exchange.remote(given[worker.number])

    def _settle(self, timeout: float | None = None) -> Iterator[Completion]:
        """Wait for a call to end; yields what it brings. A worker whose call fails is replaced."""
        import ray

        ended, _ = ray.wait([worker.call for worker in self._workers if worker.call is not None], timeout=timeout)
        for worker in [worker for worker in self._workers if worker.call in ended]:
            try:
                found, worker.call = ray.get(worker.call), None
            except Exception as error:  # noqa: BLE001 - the worker's boundary: Ray wraps whatever happened there, its death too
                self._replace(worker, error)
                continue
            if isinstance(found, Ready):
                self._welcome(worker, found)
                continue
            for completion in found:
                worker.flying[completion.request] -= 1
                worker.flying += Counter()  # without those that came to nothing
                yield completion

    def _await_one(self) -> None:
        """Wait until a worker is ready for the model. Raises EngineError where none is in time."""
        until = time.monotonic() + self._arguments.start_seconds
        while not any(worker.is_ready for worker in self._workers):
            if not self._workers:
                raise EngineError(f"all workers of the Ray cluster died, {DEATHS} for each that was asked for; the log says how")
            list(self._settle(timeout=max(until - time.monotonic(), 0.0)))  # brings no completion: who is not ready has no requests
            if time.monotonic() >= until:
                raise EngineError(f"no worker was ready within {self._arguments.start_seconds:g} s. {_resources(self._arguments)}")

    def _add(self) -> None:
        import ray

        remote = ray.remote(num_cpus=self._arguments.cpus, num_gpus=self._arguments.gpus, max_restarts=0)(Worker)
        worker = _Remote(next(self._numbers), remote.remote(self._spec, Path.cwd()), self._model)
        self._workers.append(worker)
        self._prepare(worker)

    def _prepare(self, worker: _Remote) -> None:
        worker.model, worker.is_ready = self._model, False
        worker.call = worker.actor.ready.remote(self._model)

    def _welcome(self, worker: _Remote, ready: Ready) -> None:
        """Let a worker take part, once it has the model of now. Raises EngineError where it would not write as this machine says."""
        worker.place = ready.place
        if worker.model != self._model:
            self._prepare(worker)
            return
        own = writer_of(self._spec, self._model)
        if differing := [name for name, mine, its in zip(Writer._fields, own, ready.writer, strict=True) if mine != its]:
            named = "; ".join(f"{name}: {getattr(ready.writer, name)}, here {getattr(own, name)}" for name in differing)
            raise EngineError(
                f"worker {worker.number} ({ready.place}) would write as another than this machine says ({named}); install the same locks "
                "everywhere, put the same model at the same place, and name engine.dtype instead of auto"
            )
        worker.is_ready = self._was_ready = True

    def _replace(self, worker: _Remote, error: Exception) -> None:
        """Take a dead worker out; others get its requests, and a new one comes in its place, unless that happened too often."""
        import ray

        cause = getattr(error, "cause", None) or error
        if isinstance(cause, ParamsError) or (isinstance(cause, EngineError) and not self._was_ready):
            raise type(cause)(f"worker {worker.number} of the Ray cluster: {cause}") from None
        ray.kill(worker.actor)
        self._workers.remove(worker)
        self._lost.extend(worker.flying.elements())
        _LOG.warning(
            "worker %d of the Ray cluster (%s) died, its %d requests go to others: %s",
            *(worker.number, worker.place, worker.flying.total(), _first_line(cause)),
        )
        if self._deaths_left:
            self._deaths_left -= 1
            self._add()

    def _drop(self) -> None:
        """Nothing is open any more, whether or not it ended."""
        import ray

        self._lost.clear()
        open_ones = [worker for worker in self._workers if worker.is_ready and worker.flying]
        for worker in open_ones:
            worker.flying.clear()
            worker.call = None
        if ray.is_initialized():
            for worker in open_ones:
                worker.actor.drop.remote()

    def _close(self) -> None:
        import ray

        if not ray.is_initialized():
            return
        workers, self._workers = self._workers, []
        try:
            closing = [worker.actor.close.remote() for worker in workers if worker.is_ready]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
            for worker in workers:
                ray.kill(worker.actor)
        finally:
            if self._is_own:
                ray.shutdown()


def _connect(arguments: RayArguments) -> bool:
    """Join the cluster, or start one on this machine; whether that was done here, so that it must be ended here."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return False
    own = {"num_cpus": max(1, round(arguments.workers * arguments.cpus + 0.5)), "include_dashboard": False}
    try:
        ray.init(arguments.address or "local", logging_level=logging.ERROR, **({} if arguments.address else own))
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster at {arguments.address!r}: {error}. `ray start --head` starts one, `ray start --address=HOST:6379` joins it"
        ) from error
    _LOG.info("%s", _resources(arguments))
    return True


def _resources(arguments: RayArguments) -> str:
    import ray

    there = ray.cluster_resources()
    return (
        f"{arguments.workers} workers with {arguments.cpus:g} CPUs and {arguments.gpus:g} GPUs each; the cluster has "
        f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs in all"
    )


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
