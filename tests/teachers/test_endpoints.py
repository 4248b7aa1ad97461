from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from data.errors import EngineError
from teachers.endpoints import DEAD_AFTER, LONGEST_REST, Endpoints


def pool(*names: str, in_flight: int = 8, first_rest: float = 0.05, patience: float = 0.3) -> Endpoints:
    return Endpoints(names, in_flight=in_flight, first_rest=first_rest, patience=patience)


async def fail(endpoints: Endpoints, times: int) -> None:
    for _ in range(times):
        async with endpoints.lease() as lease:
            lease.failed("oh")


def test_requests_that_break_off_together_are_one_failure() -> None:
    async def story() -> None:
        endpoints = pool("a")
        async with AsyncExitStack() as together:
            leases = [await together.enter_async_context(endpoints.lease()) for _ in range(8)]
            for lease in leases:
                lease.failed("reset")
        assert endpoints.all[0].failures == 1 and endpoints.all[0].flying == 0
        await fail(endpoints, DEAD_AFTER - 1)
        assert endpoints.all[0].is_dead

    asyncio.run(story())


def test_the_one_with_the_fewest_requests_is_chosen_whatever_failed_before() -> None:
    async def story() -> list[str]:
        endpoints = pool("a", "b")
        endpoints.all[0].failures = DEAD_AFTER - 1
        async with AsyncExitStack() as together:
            return [(await together.enter_async_context(endpoints.lease())).endpoint.address for _ in range(4)]

    assert sorted(asyncio.run(story())) == ["a", "a", "b", "b"]


def test_a_dead_one_that_has_rested_gets_a_single_request_first() -> None:
    async def story() -> tuple[list[str], list[str]]:
        endpoints = pool("a", "b")
        endpoints.count_out(endpoints.all[0], "down")
        async with AsyncExitStack() as together:
            resting = [(await together.enter_async_context(endpoints.lease())).endpoint.address for _ in range(3)]
            await asyncio.sleep(0.06)
            rested = [(await together.enter_async_context(endpoints.lease())).endpoint.address for _ in range(3)]
        return resting, rested

    assert asyncio.run(story()) == (["b", "b", "b"], ["a", "b", "b"])


def test_where_a_request_failed_it_does_not_go_again_while_another_lives() -> None:
    async def story() -> tuple[str, str]:
        endpoints = pool("a", "b")
        async with endpoints.lease([endpoints.all[0]]) as elsewhere:
            endpoints.count_out(endpoints.all[1], "down")
            async with endpoints.lease([endpoints.all[0]]) as after_all:
                return elsewhere.endpoint.address, after_all.endpoint.address

    assert asyncio.run(story()) == ("b", "a")


def test_patience_begins_when_the_last_one_dies() -> None:
    async def story() -> None:
        endpoints = pool("a", patience=0.3)
        await asyncio.sleep(0.4)  # nothing was asked: that is no silence of the servers
        await fail(endpoints, DEAD_AFTER)
        dead_at = time.monotonic()
        with pytest.raises(EngineError, match=r"no endpoint answered for 0\.3 s; are the servers up\? a: oh"):
            await fail(endpoints, 1000)
        assert time.monotonic() - dead_at > 0.25
        async with AsyncExitStack() as together:
            endpoints.all[0].rests_until = 0
            lease = await together.enter_async_context(endpoints.lease())
            lease.answered()
        await fail(endpoints, 1)

    asyncio.run(story())


def test_a_long_death_has_a_longest_rest() -> None:
    async def story() -> float:
        endpoints = pool("a", first_rest=1.0)
        endpoints.all[0].failures = 5000
        async with endpoints.lease() as lease:
            lease.failed("oh")
        return endpoints.all[0].rests_until - time.monotonic()

    assert asyncio.run(story()) == pytest.approx(LONGEST_REST, abs=1)


def test_one_that_is_busy_is_left_alone_for_as_long_as_it_asks() -> None:
    async def story() -> float:
        endpoints = pool("a")
        async with endpoints.lease() as lease:
            lease.rest(0.2)
        began = time.monotonic()
        async with endpoints.lease():
            return time.monotonic() - began

    assert asyncio.run(story()) >= 0.19
