"""The far side of the engine `ray` (teachers/ray.py): a worker in a process of the cluster, with an engine of its own."""

from __future__ import annotations

import os
import queue
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from data.errors import ParamsError
from teachers.engine import Completion, Engine, EngineSpec, ModelRef, Request, closable
from teachers.engines import start
from teachers.identity import Writer, writer_of

HAND_OVER_SECONDS = 0.5
"""How long a call of a worker waits for a completion; after that the worker may get new requests."""


class Worker:
    """The far side: an engine in a process of the cluster. Its calls come one after the other; the engine runs in a thread beside them."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._engine: Engine | None = None
        self._loop: _Loop | None = None

    def ready(self, model: ModelRef, folder: Path, wanted: Writer) -> str:
        """Generate with these weights from now on; where that is. Raises ParamsError where another than `wanted` would write here."""
        os.chdir(folder)
        place = f"{os.uname().nodename}, process {os.getpid()}"
        _check_same(writer_of(self._spec, model), wanted, place)
        self.drop()
        if self._engine is None:
            self._engine = start(replace(self._spec, model=model)).__enter__()
        else:
            self._engine.use(model)
        return place

    def exchange(self, requests: list[Request]) -> list[Completion]:
        """Take requests, and give back what has ended; waits a moment where nothing has."""
        assert self._engine is not None
        if self._loop is None:
            self._loop = _Loop(self._engine)
        return self._loop.exchange(requests)

    def drop(self) -> None:
        """Forget what is open."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def close(self) -> None:
        """Free the engine's processes and memory."""
        self.drop()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.__exit__(None, None, None)


def _check_same(own: Writer, wanted: Writer, place: str) -> None:
    differing = [name for name in Writer._fields if getattr(own, name) != getattr(wanted, name)]
    if differing:
        named = "; ".join(f"{name}: {getattr(own, name)}, there {getattr(wanted, name)}" for name in differing)
        raise ParamsError(
            f"{place}: would write as another than the machine of the stage says ({named}); install the same locks everywhere, put the "
            "same model at the same place, and name engine.dtype instead of auto"
        )


class _Loop:
    """An engine that generates in a thread: requests go in as they come, completions come out as they end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        self._first: Request | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def exchange(self, requests: list[Request]) -> list[Completion]:
        """See `Worker.exchange`. Raises what the engine raised."""
        for request in requests:
            self._requests.put(request)
        ended: list[Completion] = []
        try:
            found = self._ended.get(timeout=HAND_OVER_SECONDS)
            while True:
                if isinstance(found, BaseException):
                    break
                ended.append(found)
                found = self._ended.get_nowait()
        except queue.Empty:
            return ended
        if not ended:
            raise found
        self._ended.put(found)  # for the next call: what ended before it must not be lost
        return ended

    def stop(self) -> None:
        """End the thread, at its next completion at the latest."""
        self._is_stopped = True
        self._requests.put(None)
        self._thread.join()

    def take(self) -> Request | None:
        """For the engine: the next request."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return None if self._is_stopped else self._requests.get_nowait()
        except queue.Empty:
            return None

    def _run(self) -> None:
        try:
            while not self._is_stopped and (first := self._requests.get()) is not None:
                self._first = first
                with closing(closable(self._engine.generate(self))) as completions:
                    for completion in completions:
                        self._ended.put(completion)
                        if self._is_stopped:
                            return
        except BaseException as error:  # noqa: BLE001 - the thread's boundary: the next exchange raises it
            self._ended.put(error)
