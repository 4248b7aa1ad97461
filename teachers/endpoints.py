"""Several endpoints as one: few requests for each, dead ones taken out and tried again, their requests moved to the living."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
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
    """In a row."""
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


class Endpoints:
    """Leases of endpoints, for use in one event loop."""

    def __init__(self, addresses: Sequence[str], *, in_flight: int, first_rest: float, patience: float) -> None:
        self.all = [Endpoint(address.rstrip("/")) for address in addresses]
        self._in_flight, self._first_rest, self._patience = in_flight, first_rest, patience
        self._changed = asyncio.Event()
        self._last_life = time.monotonic()

    async def lease(self) -> Endpoint:
        """The living endpoint with the fewest requests, as soon as one has room.

        Raises EngineError where for `patience` seconds all were dead.
        """
        while True:
            now = time.monotonic()
            free = [endpoint for endpoint in self.all if endpoint.has_room(self._in_flight, now)]
            if free:
                chosen = min(free, key=lambda endpoint: (endpoint.failures, endpoint.flying))
                chosen.flying += 1
                return chosen
            self._check_patience(now)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._until_next(now))

    def give_back(self, endpoint: Endpoint, *, failure: str | None) -> None:
        """End a lease; `failure` says what went wrong with the endpoint, None that it lives."""
        endpoint.flying -= 1
        if failure is None:
            endpoint.failures, self._last_life = 0, time.monotonic()
        else:
            endpoint.failures, endpoint.why = endpoint.failures + 1, failure
            if endpoint.is_dead:
                rest = min(self._first_rest * 2 ** (endpoint.failures - DEAD_AFTER), LONGEST_REST)
                endpoint.rests_until = time.monotonic() + rest
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    def count_out(self, endpoint: Endpoint, why: str) -> None:
        """Begin with this one as dead."""
        endpoint.failures, endpoint.why = DEAD_AFTER, why
        endpoint.rests_until = time.monotonic() + self._first_rest

    def _check_patience(self, now: float) -> None:
        if all(endpoint.is_dead for endpoint in self.all) and now - self._last_life > self._patience:
            said = "; ".join(f"{endpoint.address}: {endpoint.why}" for endpoint in self.all)
            raise EngineError(f"no endpoint answered for {self._patience:g} s; are the servers up? {said}")

    def _until_next(self, now: float) -> float:
        """Seconds until a resting endpoint may be tried."""
        rests = [endpoint.rests_until - now for endpoint in self.all if endpoint.rests_until > now]
        return max(min([*rests, self._patience, 1.0]), 0.01)
