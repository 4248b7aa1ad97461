"""kill -9 at random moments of a real process that samples into a store: nothing made twice, nothing lost but what was in flight."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from random import Random

from data.records import content_id
from teachers.engine import EngineSpec, ModelRef, Request, SamplingSettings
from teachers.generate import Generator
from teachers.identity import identity
from teachers.store import CompletionStore, completion_key

REQUESTS = [Request((number,), SamplingSettings(1.0, 1.0, 300), draw) for number in range(100) for draw in range(4)]
KILLS = 10


def spec(log: Path) -> EngineSpec:
    return EngineSpec("scripted", ModelRef(Path("none")), batch=16, arguments={"seconds_per_token": 3e-5, "log": str(log)})


def sample(folder: Path) -> None:
    with Generator(spec(folder / "log"), folder / "store", shard="sampler") as generator:
        for _ in generator.complete(REQUESTS):
            pass


def made(folder: Path) -> list[str]:
    """The engine's own record of what it handed over; whole lines only."""
    log = folder / "log"
    return [line.split()[1] for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")] if log.exists() else []


def stored(folder: Path) -> set[str]:
    writer = identity(spec(folder / "log"), ModelRef(Path("none")))
    with CompletionStore(folder / "store") as store:
        return {content_id(*request) for request in REQUESTS if store.find(completion_key(writer, request)) is not None}


def kill_once(folder: Path, seconds: float) -> None:
    """Run the sampler in a process of its own and kill it so long after its first completion."""
    before = len(made(folder))
    process = multiprocessing.get_context("fork").Process(target=sample, args=(folder,))
    process.start()
    while len(made(folder)) == before and process.is_alive():
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.join()


def test_ten_kills_make_nothing_twice_and_lose_nothing_but_the_one_in_flight(tmp_path: Path) -> None:
    rng, interrupted = Random(0), 0
    for _ in range(KILLS):
        held, calls = stored(tmp_path), len(made(tmp_path))
        kill_once(tmp_path, rng.uniform(0.0, 0.06))
        assert not held & set(made(tmp_path)[calls:]), "a stored completion was made again"
        assert held <= stored(tmp_path), "a stored completion was lost"
        assert len(set(made(tmp_path)) - stored(tmp_path)) <= 1, "more was lost than the one between engine and store"
        interrupted += len(stored(tmp_path)) < len(REQUESTS)
    assert interrupted >= KILLS // 2, "the kills came too late to test anything"
    sample(tmp_path)
    assert stored(tmp_path) == {content_id(*request) for request in REQUESTS}
    assert len(made(tmp_path)) <= len(REQUESTS) + KILLS
