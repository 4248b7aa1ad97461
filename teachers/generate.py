"""Everything that generates goes through here: the completion store is asked first, the engine makes what it lacks."""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Self

from data.errors import EngineError
from data.records import Status
from teachers.engine import Completion, Engine, EngineSpec, Listed, ModelRef, Request, Requests, SamplingSettings, closable
from teachers.engines import start
from teachers.identity import template_hash, writer_of
from teachers.store import CompletionStore, StoredCompletion, completion_key

_LOG = logging.getLogger(__name__)
READ_AHEAD = 4
"""Batches of requests that wait for the engine: enough to sort them by length, and few beside the texts."""
RESTARTS = 3
"""How often a Generator starts an engine again that died; then the death is raised."""


class _Waiting:
    """Requests that are open: those that wait for the engine, like settings together and long prompts first, and those in flight."""

    def __init__(self) -> None:
        self.open: dict[str, Request] = {}
        self._copies: dict[str, list[Request]] = defaultdict(list)
        self._heap: list[tuple[SamplingSettings, int, int, Request]] = []
        self._numbers = count()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap)

    def put(self, key: str, request: Request) -> None:
        self.open[key] = request
        heapq.heappush(self._heap, (request.sampling, -len(request.prompt_ids), next(self._numbers), request))

    def shares(self, key: str, request: Request) -> bool:
        """Whether such a request is open; then this one gets the same completion."""
        is_open = key in self.open
        if is_open:
            self._copies[key].append(request)
        return is_open

    def take(self) -> Request | None:
        """Bring the first into flight."""
        return heapq.heappop(self._heap)[-1] if self._heap else None

    def answered(self, key: str) -> list[Request]:
        """Close a request; the others that share its completion."""
        del self.open[key]
        return self._copies.pop(key, [])

    def put_back(self) -> None:
        """What was in flight waits again."""
        self._heap.clear()
        for key, request in self.open.items():
            self.put(key, request)


class Generator:
    """Completions from the store or the engine; a context manager that owns one shard of the store while it is open.

    The engine is started when the first completion is missing, and once for all models (`engine.use`). Counters, for progress and
    statistics: `found` (answered without the engine), `made` and `made_tokens` (by the engine, now).
    """

    def __init__(self, spec: EngineSpec, store_folder: Path, *, shard: str) -> None:
        self.spec = spec
        self.found = self.made = self.made_tokens = 0
        self._folder, self._shard = store_folder, shard
        self._store: CompletionStore | None = None
        self._engine: Engine | None = None
        self._engine_model: ModelRef | None = None
        self._restarts_left = RESTARTS
        self._making = False

    def __enter__(self) -> Self:
        self._store = CompletionStore(self._folder, shard=self._shard)
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._stop_engine()
        finally:
            if self._store is not None:
                self._store.close()
                self._store = None

    def complete(self, requests: Iterable[Request] | Requests, *, model: ModelRef | None = None) -> Iterator[Completion]:
        """Yield one completion per request: found ones while the requests are read, the others as the engine ends them.

        Requests are read a few batches ahead of the engine. Callers must not rely on the order. Equal requests that are open together
        share one completion. What is made is in the store before it is yielded; errors and timeouts are yielded once and tried again
        by the next call. `model` defaults to the spec's. Raises EngineError (the engine does not start, or died too often) and StoreError.
        """
        source = Listed(requests) if isinstance(requests, Iterable) else requests
        wanted = model or self.spec.model
        writer = self._writer(wanted)
        waiting = _Waiting()
        yield from self._read_ahead(source, waiting, writer)
        if not waiting.open:
            return
        if self._making:
            raise EngineError("two loops over Generator.complete() at once on one engine; end the first loop, or use two Generators")
        self._making = True
        try:
            while waiting.open:
                engine = self._engine_with(wanted)
                try:
                    yield from self._run(engine, source, waiting, writer)
                except EngineError as error:
                    self._after_death(error, len(waiting.open))
                    waiting.put_back()
        finally:
            self._making = False

    def stored(self, requests: Iterable[Request], *, model: ModelRef | None = None) -> Iterator[Completion]:
        """The completions of these requests that are in the store, in the order of the requests."""
        writer = self._writer(model or self.spec.model)
        for request in requests:
            if (found := self._opened.find(completion_key(writer, request))) is not None:
                yield found.completion(request)

    @property
    def _opened(self) -> CompletionStore:
        if self._store is None:
            raise TypeError("use the Generator as a context manager: `with Generator(…) as generator:`")
        return self._store

    def _writer(self, model: ModelRef) -> str:
        self._opened.refresh()
        writer = writer_of(self.spec, model)
        self._opened.describe({**writer._asdict(), "chat_template": template_hash(model.folder)}, identity=writer.identity)
        return writer.identity

    def _read_ahead(self, source: Requests, waiting: _Waiting, writer: str) -> Iterator[Completion]:
        """Fill up what waits for the engine; yields what needs no engine."""
        while len(waiting) < READ_AHEAD * self.spec.batch and (request := source.take()) is not None:
            key = completion_key(writer, request)
            if waiting.shares(key, request):
                continue
            if (known := self._known(key, request)) is not None:
                yield known
            else:
                waiting.put(key, request)

    def _known(self, key: str, request: Request) -> Completion | None:
        """What needs no engine: a stored completion, or the refusal of a request that cannot fit."""
        stored = self._opened.find(key)
        if stored is None:
            return self._refused(request)
        self.found += 1
        return stored.completion(request)

    def _refused(self, request: Request) -> Completion | None:
        length, allowed = len(request.prompt_ids) + request.sampling.max_tokens, self.spec.max_model_length
        if length <= allowed:
            return None
        detail = (
            f"prompt of {len(request.prompt_ids)} tokens and max_tokens {request.sampling.max_tokens} make {length}, "
            f"max_model_length is {allowed}; raise engine.max_model_length or lower sampling.max_tokens"
        )
        return Completion(request, Status.ERROR, "refused", "", (), detail)

    def _run(self, engine: Engine, source: Requests, waiting: _Waiting, writer: str) -> Iterator[Completion]:
        with closing(closable(engine.generate(waiting))) as completions:
            for completion in completions:
                stored = StoredCompletion.of(writer, completion)
                self._opened.put(stored)
                copies = waiting.answered(stored.key)
                self.made += 1
                self.made_tokens += stored.completion_tokens
                self.found += len(copies)
                yield completion
                yield from (completion._replace(request=copy) for copy in copies)
                yield from self._read_ahead(source, waiting, writer)
        if waiting.open:
            raise EngineError(f"engine {self.spec.kind!r} ended with {len(waiting.open)} requests unanswered")

    def _engine_with(self, model: ModelRef) -> Engine:
        if self._engine is None:
            self._engine = start(replace(self.spec, model=model)).__enter__()
            self._engine_model = model
        if self._engine_model != model:
            self._engine_model = None
            self._engine.use(model)
            self._engine_model = model
        return self._engine

    def _after_death(self, error: EngineError, left: int) -> None:
        """Clear the dead engine away; the loop starts another, unless that happened too often."""
        self._stop_engine()
        if self._restarts_left == 0:
            raise EngineError(
                f"engine {self.spec.kind!r} died {RESTARTS + 1} times, {left} requests are left; what was made is stored. Last: {error}"
            ) from error
        self._restarts_left -= 1
        _LOG.warning("engine %r died with %d requests left, it is started again: %s", self.spec.kind, left, error)

    def _stop_engine(self) -> None:
        engine, self._engine, self._engine_model = self._engine, None, None
        if engine is not None:
            engine.__exit__(None, None, None)
