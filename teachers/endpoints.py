"""Several endpoints as one: few requests for each, dead ones taken out and tried again, their requests moved to the living."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from data.errors import EngineError

DEAD_AFTER = 3
"""Failures in a row that take an endpoint out."""
LONGEST_REST = 60.0
"""Seconds after which a dead endpoint is tried again at the latest."""


@dataclass(eq=False)
class Endpoint:
    """One endpoint; `address` is where `/v1` lies."""

    address: str
    flying: int = 0
    failures: int = 0
    """In a row: of requests that were begun after the last one."""
    failed_at: float = 0.0
    rests_until: float = 0.0
    why: str = ""
    """What its last failure was."""

    @property
    def is_dead(self) -> bool:
        """Whether it failed so often that it gets one request at a time, and that only after a rest."""
        return self.failures >= DEAD_AFTER

    def has_room(self, in_flight: int, now: float) -> bool:
        """Whether it may get another request."""
        return now >= self.rests_until and self.flying < (1 if self.is_dead else in_flight)


@dataclass
class Lease:
    """One request at one endpoint; what came of it is said before it ends. A lease of which nothing is said was cancelled."""

    endpoint: Endpoint
    first_rest: float
    begun: float

    def answered(self) -> None:
        """The endpoint lives."""
        self.endpoint.failures = 0

    def rest(self, seconds: float) -> None:
        """The endpoint lives, and asks to be left alone for so long."""
        self.endpoint.failures = 0
        self.endpoint.rests_until = max(self.endpoint.rests_until, time.monotonic() + seconds)

    def failed(self, why: str) -> None:
        """The endpoint did not answer as one should. Many requests that break off together are one failure."""
        own, now = self.endpoint, time.monotonic()
        own.why = why
        if self.begun >= own.failed_at:
            own.failures, own.failed_at = own.failures + 1, now
        if own.is_dead:
            own.rests_until = now + min(self.first_rest * 2 ** min(own.failures - DEAD_AFTER, 20), LONGEST_REST)


class Endpoints:
    """Leases of endpoints, for use in one event loop."""

    def __init__(self, addresses: Sequence[str], *, in_flight: int, first_rest: float, patience: float) -> None:
        self.all = [Endpoint(address.rstrip("/")) for address in addresses]
        self._in_flight, self._first_rest, self._patience = in_flight, first_rest, patience
        self._changed = asyncio.Event()
        self._dead_since: float | None = None

    @asynccontextmanager
    async def lease(self, avoid: Collection[Endpoint] = ()) -> AsyncIterator[Lease]:
        """An endpoint as soon as one has room: a dead one that has rested, to see whether it lives, or that with the fewest requests.

        Those to `avoid`, where the same request failed before, only where no other lives. Raises EngineError where all have been dead for
        `patience` seconds.
        """
        lease = Lease(await self._free(avoid), self._first_rest, time.monotonic())
        lease.endpoint.flying += 1
        try:
            yield lease
        finally:
            lease.endpoint.flying -= 1
            is_alive = not all(endpoint.is_dead for endpoint in self.all)
            self._dead_since = None if is_alive else self._dead_since or time.monotonic()
            waiting, self._changed = self._changed, asyncio.Event()
            waiting.set()

    def count_out(self, endpoint: Endpoint, why: str) -> None:
        """Begin with this one as dead."""
        endpoint.failures, endpoint.why = DEAD_AFTER, why
        endpoint.rests_until = time.monotonic() + self._first_rest

    async def _free(self, avoid: Collection[Endpoint]) -> Endpoint:
        while True:
            now = time.monotonic()
            others = [endpoint for endpoint in self.all if endpoint not in avoid]
            allowed = others if any(not endpoint.is_dead for endpoint in others) else self.all
            free = [endpoint for endpoint in allowed if endpoint.has_room(self._in_flight, now)]
            if free:
                return min(free, key=lambda endpoint: (not endpoint.is_dead, endpoint.flying))
            if self._dead_since is not None and now - self._dead_since > self._patience:
                said = "; ".join(f"{endpoint.address}: {endpoint.why}" for endpoint in self.all)
                raise EngineError(f"no endpoint answered for {self._patience:g} s; are the servers up? {said}")
            rests = [endpoint.rests_until - now for endpoint in self.all if endpoint.rests_until > now]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), max(min([*rests, self._patience, 1.0]), 0.01))
