"""The engine `ray`: workers on a Ray cluster, each with an engine of its own, behind one contract and one store.

The driver (the process of the stage, the store's only writer) gives every worker a little more than its engine holds at a time, and gets
completions back as they end. What was with a worker that died goes to the others, and a new worker takes its place; no completion is
handed over twice, since one counts only when the driver has it. A request with which workers died again and again ends as an error. A
worker that would write as another than this machine says (another library, number format or weights) is refused before it starts.

Every machine needs the same locks, this folder and the models at the same places, such as a shared file system.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator

from data.errors import EngineError, ParamsError
from data.records import Section, Status
from teachers.engine import Completion, EngineSpec, ModelRef, Request, Requests
from teachers.identity import writer_of
from teachers.ray_worker import Worker

_LOG = logging.getLogger(__name__)
AHEAD = 4
"""A worker holds one request more for every so many that its engine takes at a time, so that an engine with room never waits."""
CLOSE_SECONDS = 20.0
"""How long a worker may take to free its engine; then it is killed."""
DEATHS = 3
"""With how many deaths of workers a request ends as an error. So many for every worker, without a completion between, end the engine."""
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
    gpus: float | None = Field(None, ge=0)
    """Of each worker; null: as many as its engine spreads over, where the cluster has any."""
    cpus: float = Field(1.0, gt=0)
    """Of each worker. An engine that computes on them does so with so many threads, unless OMP_NUM_THREADS says otherwise."""
    start_seconds: float = Field(900.0, gt=0)
    """How long no worker may be ready: room in the cluster, and the start of an engine."""
    arguments: dict[str, Any] = {}
    """Of the workers' engine."""

    @field_validator("gpus")
    @classmethod
    def _whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("more than one GPU must be a whole number of them")
        return gpus


@dataclass(eq=False)
class _Remote:
    """The driver's side of a worker: its one unfinished call, and the requests that it holds."""

    number: int
    actor: Any
    model: ModelRef
    call: Any = None
    is_ready: bool = False
    place: str = "not started"
    flying: Counter[Request] = field(default_factory=Counter)
    held: int = 0
    """How many requests are flying."""

    def give(self, request: Request) -> None:
        self.flying[request] += 1
        self.held += 1

    def answered(self, request: Request) -> None:
        self.flying[request] -= 1
        self.held -= 1
        if not self.flying[request]:
            del self.flying[request]

    def forget(self) -> list[Request]:
        """What it held, which it holds no more."""
        held = list(self.flying.elements())
        self.flying.clear()
        self.held = 0
        return held


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
        self._failed: deque[Completion] = deque()
        self._died_with: Counter[Request] = Counter()
        self._deaths_in_a_row = 0
        self._is_own = _connect(self._arguments)
        try:
            self._gpus = _gpus_of(self._arguments)
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
        while len(self._workers) < self._arguments.workers:  # a model before this one cost them
            self._add()
        self._await_one()

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions as workers hand them over."""
        try:
            while True:
                self._await_one()
                self._hand_out(requests)
                while self._failed:
                    yield self._failed.popleft()
                if not self._lost and not any(worker.held for worker in self._workers):
                    return
                for worker, returned in self._ended():
                    yield from self._received(worker, returned)
        finally:
            self._drop()

    def _hand_out(self, requests: Requests) -> None:
        """Fill the workers that wait, the emptiest first, and let them go on."""
        free = [worker for worker in self._workers if worker.is_ready and worker.call is None]
        given: dict[int, list[Request]] = {worker.number: [] for worker in free}
        while free and (least := min(free, key=lambda worker: worker.held)).held < self._room:
            request = self._lost.popleft() if self._lost else requests.take()
            if request is None:
                break
            least.give(request)
            given[least.number].append(request)
        for worker in free:
            if worker.held:
                worker.call = worker.actor.exchange.remote(given[worker.number])

    def _ended(self, timeout: float | None = None) -> Iterator[tuple[_Remote, Any]]:
        """Wait for a call to end; yields its worker and what it returned. A worker whose call failed is replaced."""
        import ray

        ended, _ = ray.wait([worker.call for worker in self._workers if worker.call is not None], timeout=timeout)
        for worker in [worker for worker in self._workers if worker.call in ended]:
            call, worker.call = worker.call, None
            try:
                returned = ray.get(call)
            except Exception as error:  # noqa: BLE001 - the worker's boundary: Ray wraps whatever happened there, its death too
                self._replace(worker, error)
            else:
                yield worker, returned

    def _received(self, worker: _Remote, returned: Any) -> list[Completion]:
        """Take note of what a call returned: a place once a worker is ready, else completions."""
        if isinstance(returned, str):
            worker.place, worker.is_ready = returned, worker.model == self._model
            if not worker.is_ready:
                self._prepare(worker)
            return []
        completions: list[Completion] = returned
        for completion in completions:
            worker.answered(completion.request)
            self._deaths_in_a_row = 0
        return completions

    def _await_one(self) -> None:
        """Wait until a worker is ready for the model. Raises EngineError where none is in time."""
        until = time.monotonic() + self._arguments.start_seconds
        while not any(worker.is_ready for worker in self._workers):
            if time.monotonic() >= until:
                raise EngineError(f"no worker was ready within {self._arguments.start_seconds:g} s. {_resources(self._arguments)}")
            for worker, returned in self._ended(timeout=max(until - time.monotonic(), 0.0)):
                self._received(worker, returned)  # no completion: who is not ready has no requests

    def _add(self) -> None:
        import ray

        remote = ray.remote(num_cpus=self._arguments.cpus, num_gpus=self._gpus, max_restarts=0)(Worker)
        worker = _Remote(next(self._numbers), remote.remote(self._spec), self._model)
        self._workers.append(worker)
        self._prepare(worker)

    def _prepare(self, worker: _Remote) -> None:
        worker.model, worker.is_ready = self._model, False
        worker.call = worker.actor.ready.remote(self._model, Path.cwd(), writer_of(self._spec, self._model))

    def _replace(self, worker: _Remote, error: Exception) -> None:
        """Take a dead worker out; others get its requests, and a new one comes in its place.

        Raises what an engine raised that does not start or take the model: that would happen again.
        """
        import ray

        self._workers.remove(worker)
        ray.kill(worker.actor)
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, ParamsError):
            raise ParamsError(f"worker {worker.number} of the Ray cluster: {cause}") from None
        if isinstance(error, ray.exceptions.RayTaskError) and not worker.is_ready:
            raise EngineError(f"worker {worker.number} of the Ray cluster: {cause}") from None
        reason = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > DEATHS * self._arguments.workers:
            raise EngineError(f"{self._deaths_in_a_row} workers of the Ray cluster died without a completion between. The last: {reason}")
        held = worker.forget()
        _LOG.warning(
            "worker %d of the Ray cluster (%s) died, its %d requests go to others: %s", worker.number, worker.place, len(held), reason
        )
        for request in held:
            self._died_with[request] += 1
            if self._died_with[request] < DEATHS:
                self._lost.append(request)
            else:
                detail = f"{DEATHS} workers of the Ray cluster died with it. The last: {reason}"
                self._failed.append(Completion(request, Status.ERROR, "died", "", (), detail))
        self._add()

    def _drop(self) -> None:
        """Nothing is open any more, whether or not it ended."""
        import ray

        self._lost.clear()
        self._failed.clear()
        self._died_with.clear()
        for worker in self._workers:
            if worker.forget():
                worker.call = None
                if ray.is_initialized():
                    worker.actor.drop.remote()

    def _close(self) -> None:
        import ray

        workers, self._workers = self._workers, []
        if not ray.is_initialized():
            return
        try:
            closing_calls = [worker.actor.close.remote() for worker in workers if worker.is_ready]
            if closing_calls:
                ray.wait(closing_calls, num_returns=len(closing_calls), timeout=CLOSE_SECONDS)
            for worker in workers:
                ray.kill(worker.actor)
        finally:
            if self._is_own:
                ray.shutdown()


def _connect(arguments: RayArguments) -> bool:
    """Join the cluster, or start one on this machine; whether that was done here, so that it must be ended here.

    A process that is connected stays so: its cluster is used, whatever `address` says.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return False
    own = {"num_cpus": math.ceil(arguments.workers * arguments.cpus), "include_dashboard": False}
    try:
        ray.init(arguments.address or "local", logging_level=logging.ERROR, **({} if arguments.address else own))
    except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise EngineError(
            f"no Ray cluster at {arguments.address!r}: {error}. `ray start --head` starts one, `ray start --address=HOST:6379` joins it"
        ) from error
    _LOG.info("%s", _resources(arguments))
    return True


def _gpus_of(arguments: RayArguments) -> float:
    """GPUs of each worker."""
    import ray

    if arguments.gpus is not None:
        return arguments.gpus
    if arguments.engine == "scripted" or not ray.cluster_resources().get("GPU"):
        return 0
    return math.prod(int(arguments.arguments.get(f"{kind}_parallel_size", 1)) for kind in ("tensor", "pipeline"))


def _resources(arguments: RayArguments) -> str:
    import ray

    there = ray.cluster_resources()
    gpus = "as many GPUs as its engine needs" if arguments.gpus is None else f"{arguments.gpus:g} GPUs"
    return (
        f"{arguments.workers} workers were asked for, each with {arguments.cpus:g} CPUs and {gpus}; the cluster has "
        f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs in all"
    )
