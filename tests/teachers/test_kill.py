"""kill -9 at random moments of a real process that samples into a store: nothing made twice, nothing lost but what was in flight."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from random import Random

import pytest

from data.records import content_id
from teachers.engine import EngineSpec, ModelRef, Request, SamplingSettings
from teachers.generate import Generator
from teachers.identity import writer_of
from teachers.store import CompletionStore, completion_key

SETTINGS = SamplingSettings(1.0, 1.0, 300)
PER_KILL = 40
"""Requests for every kill, so that most kills come in the middle."""


def requests(kills: int) -> list[Request]:
    return [Request((number,), SETTINGS, draw) for number in range(kills * PER_KILL // 4) for draw in range(4)]


def spec(log: Path) -> EngineSpec:
    return EngineSpec("scripted", ModelRef(Path("none")), batch=16, arguments={"seconds_per_token": 3e-5, "log": str(log)})


def sample(folder: Path, wanted: list[Request]) -> None:
    with Generator(spec(folder / "log"), folder / "store", shard="sampler") as generator:
        for _ in generator.complete(wanted):
            pass


def made(folder: Path) -> list[str]:
    """The engine's own record of what it handed over; whole lines only."""
    log = folder / "log"
    return [line.split()[1] for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")] if log.exists() else []


def stored(folder: Path, wanted: list[Request]) -> set[str]:
    writer = writer_of(spec(folder / "log"), ModelRef(Path("none"))).identity
    with CompletionStore(folder / "store") as store:
        return {content_id(*request) for request in wanted if store.find(completion_key(writer, request)) is not None}


def kill_once(folder: Path, wanted: list[Request], completions: int, seconds: float) -> None:
    """Run the sampler in a process of its own and kill it so many completions and so long after them, however fast the machine is."""
    before = len(made(folder))
    process = multiprocessing.get_context("fork").Process(target=sample, args=(folder, wanted))
    process.start()
    while len(made(folder)) < before + completions and process.is_alive():
        time.sleep(0.0005)
    time.sleep(seconds)
    process.kill()
    process.join()


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_kills_make_nothing_twice_and_lose_nothing_but_the_one_in_flight(tmp_path: Path, kills: int) -> None:
    rng, interrupted, wanted = Random(0), 0, requests(kills)
    for _ in range(kills):
        held, calls = stored(tmp_path, wanted), len(made(tmp_path))
        kill_once(tmp_path, wanted, rng.randint(1, PER_KILL), rng.uniform(0.0, 0.002))
        now, new = stored(tmp_path, wanted), set(made(tmp_path)[calls:])
        assert not held & new, "a stored completion was made again"
        assert held <= now, "a stored completion was lost"
        assert len(new - now) <= 1, "more was lost than the one between engine and store"
        interrupted += len(now) < len(wanted)
    assert interrupted >= kills // 2, "the kills came too late to test anything"
    sample(tmp_path, wanted)
    assert stored(tmp_path, wanted) == {content_id(*request) for request in wanted}
    assert len(made(tmp_path)) <= len(wanted) + kills
