"""Everything that generates goes through here: the completion store is asked first, the engine makes what it lacks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator as Closable
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Self

from data.errors import EngineError
from data.records import Status
from teachers.engine import Completion, Engine, EngineSpec, ModelRef, Request
from teachers.engines import start
from teachers.identity import identity
from teachers.store import CompletionStore, StoredCompletion, completion_key

_LOG = logging.getLogger(__name__)
RESTARTS = 3
"""How often a Generator starts an engine again that died; then the death is raised."""


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

    def complete(self, requests: Iterable[Request], *, model: ModelRef | None = None) -> Iterator[Completion]:
        """Yield one completion per request: found ones while the requests are read, then the others as the engine ends them.

        Callers must not rely on the order. Equal requests share one completion. What is made is in the store before it is yielded;
        errors and timeouts are yielded once and tried again by the next call. `model` defaults to the spec's.
        Raises EngineError (the engine does not start, or died too often) and StoreError.
        """
        if self._store is None:
            raise TypeError("use the Generator as a context manager: `with Generator(…) as generator:`")
        wanted = model or self.spec.model
        writer = identity(self.spec, wanted)
        self._store.refresh()
        missing: dict[str, Request] = {}
        copies: Counter[str] = Counter()
        for request in requests:
            key = completion_key(writer, request)
            if key in missing:
                copies[key] += 1
            elif (known := self._known(key, request)) is not None:
                yield known
            else:
                missing[key] = request
        for completion in self._make(missing, wanted, writer=writer):
            again = copies[completion_key(writer, completion.request)]
            self.found += again
            yield from [completion] * (1 + again)

    def _known(self, key: str, request: Request) -> Completion | None:
        """What needs no engine: a stored completion, or the refusal of a request that cannot fit."""
        assert self._store is not None
        stored = self._store.find(key)
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

    def _make(self, missing: dict[str, Request], model: ModelRef, *, writer: str) -> Iterator[Completion]:
        """Make all of `missing`, long prompts first, over deaths of the engine."""
        if not missing:
            return
        if self._making:
            raise EngineError("two loops over Generator.complete() at once on one engine; end the first loop, or use two Generators")
        self._making = True
        try:
            while missing:
                engine = self._engine_with(model)
                try:
                    yield from self._run(engine, missing, writer=writer)
                except EngineError as error:
                    self._after_death(error, len(missing))
        finally:
            self._making = False

    def _run(self, engine: Engine, missing: dict[str, Request], *, writer: str) -> Iterator[Completion]:
        assert self._store is not None
        order = sorted(missing.values(), key=lambda request: -len(request.prompt_ids))
        with closing(_closable(engine.generate(order))) as completions:
            for completion in completions:
                stored = StoredCompletion.of(writer, completion)
                self._store.put(stored)
                del missing[stored.key]
                self.made += 1
                self.made_tokens += stored.completion_tokens
                yield completion
        if missing:
            raise EngineError(f"engine {self.spec.kind!r} ended with {len(missing)} of {len(order)} requests unanswered")

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


def _closable(completions: Iterator[Completion]) -> Closable[Completion]:
    """Any iterator as a generator, so that leaving the loop early reaches the engine at once."""
    yield from completions
