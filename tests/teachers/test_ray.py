"""Workers on a local Ray cluster: they answer as one engine does, and what dies on the way loses nothing and repeats nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from data.errors import EngineError, ParamsError
from data.records import Status
from teachers import ray as engine_ray
from teachers.engine import Completion, EngineSpec, Listed, ModelRef, Request, SamplingSettings
from teachers.engines import start
from teachers.generate import Generator
from teachers.identity import writer_of
from teachers.ray_worker import Worker

SETTINGS = SamplingSettings(1.0, 1.0, 200)
GREEDY = SamplingSettings(0.0, 1.0, 12)


def spec(model: Path, *, engine: str = "scripted", workers: int = 2, batch: int = 8, **arguments: Any) -> EngineSpec:
    own = {"engine": engine, "workers": workers, "start_seconds": 300, "arguments": arguments}
    return EngineSpec("ray", ModelRef(model), batch=batch, arguments=own)


def requests(count: int) -> list[Request]:
    return [Request((number,), SETTINGS, draw) for number in range(count // 4) for draw in range(4)]


def pids(log: Path) -> list[int]:
    return [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []


def texts(completions: Iterator[Completion]) -> dict[Request, str]:
    found = list(completions)
    assert len({completion.request for completion in found}) == len(found)
    return {completion.request: completion.text for completion in found}


def test_what_is_stored_is_what_the_workers_engine_wrote(model_folder: Path) -> None:
    own = spec(model_folder, engine="hf")
    alone = EngineSpec("hf", own.model, batch=8)
    assert own.worker == alone
    assert writer_of(own, own.model) == writer_of(alone, own.model)


def test_unknown_arguments_are_refused_before_a_cluster_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="worker_count"):
        start(EngineSpec("ray", ModelRef(tmp_path), arguments={"worker_count": 2}))


def test_what_ended_before_an_engine_died_is_handed_over_first(tmp_path: Path) -> None:
    worker = Worker(spec(tmp_path, batch=4, die_after=6).worker)
    worker.ready(ModelRef(tmp_path), Path.cwd(), writer_of(spec(tmp_path), ModelRef(tmp_path)))
    wanted, ended = requests(20), list[Completion]()
    with pytest.raises(EngineError, match="dies after 6"):
        while True:
            ended += worker.exchange([wanted.pop() for _ in range(min(20, len(wanted)))])
    assert len(ended) == 6
    worker.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ.update(engine_ray.ENVIRONMENT)
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    def test_two_workers_answer_as_one_engine_does(self, tmp_path: Path) -> None:
        wanted, log = requests(400), tmp_path / "log"
        own = spec(tmp_path, log=str(log), seconds_per_token=1e-4)
        with start(own) as engine:
            found = texts(engine.generate(Listed(wanted)))
            again = texts(engine.generate(Listed(wanted[:8])))
        with start(own.worker) as alone:
            assert found == texts(alone.generate(Listed(wanted)))
        assert again == {request: found[request] for request in wanted[:8]}
        assert min(Counter(pids(log)).values()) > 40, "both take part"

    def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing(self, tmp_path: Path) -> None:
        wanted, log = requests(600), tmp_path / "log"
        own = spec(tmp_path, log=str(log), seconds_per_token=1e-3)
        with Generator(own, tmp_path / "store", shard="sampler") as generator:
            found: list[Completion] = []
            for completion in generator.complete(wanted):
                found.append(completion)
                if len(found) == 100:
                    os.kill(pids(log)[-1], signal.SIGKILL)
        assert Counter(completion.request for completion in found) == Counter(wanted)
        assert len(set(pids(log))) == 3, "a new worker took the place of the dead one"
        with Generator(own, tmp_path / "store", shard="sampler") as generator:
            assert texts(generator.complete(wanted)) == {completion.request: completion.text for completion in found}
            assert generator.made == 0, "all of it is in the store"

    def test_leaving_early_drops_what_is_open(self, tmp_path: Path) -> None:
        with start(spec(tmp_path, seconds_per_token=1e-3)) as engine:
            for completion in engine.generate(Listed(requests(400))):
                assert completion.text
                break
            assert len(texts(engine.generate(Listed(requests(40))))) == 40

    def test_workers_that_die_again_and_again_are_an_error(self, tmp_path: Path) -> None:
        with (
            start(spec(tmp_path, batch=100, die_after=0)) as engine,
            pytest.raises(EngineError, match=r"died without a completion between.*the scripted engine dies"),
        ):
            list(engine.generate(Listed(requests(4000))))

    def test_requests_with_which_workers_die_end_as_errors(self, tmp_path: Path) -> None:
        with start(spec(tmp_path, workers=1, batch=4, die_after=0)) as engine:
            ended = list(engine.generate(Listed(requests(4))))
        assert [completion.status for completion in ended] == [Status.ERROR] * 4
        assert "3 workers of the Ray cluster died with it" in ended[0].detail

    def test_bad_arguments_of_the_workers_engine_are_the_users_error(self, tmp_path: Path) -> None:
        with pytest.raises(ParamsError, match="colour"):
            start(spec(tmp_path, colour="blue"))

    def test_an_engine_that_never_starts_is_told_at_once(self, tmp_path: Path, model_folder: Path) -> None:
        broken = Path(shutil.copytree(model_folder, tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(EngineError, match=r"worker 1 of the Ray cluster: .*cannot be loaded"):
            start(spec(broken, engine="hf", workers=1))

    def test_a_model_that_no_worker_takes_is_told_and_costs_no_worker(self, tmp_path: Path, model_folder: Path) -> None:
        broken = Path(shutil.copytree(model_folder, tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"no weights")
        wanted = [Request((5, 6, 7), GREEDY, 0)]
        with start(spec(model_folder, engine="hf", workers=1)) as engine:
            before = texts(engine.generate(Listed(wanted)))
            with pytest.raises(EngineError, match="cannot be loaded"):
                engine.use(ModelRef(broken))
            engine.use(ModelRef(model_folder))
            assert texts(engine.generate(Listed(wanted))) == before

    def test_a_cluster_without_room_is_named(self, tmp_path: Path) -> None:
        arguments = {"engine": "scripted", "gpus": 1, "start_seconds": 1}
        with pytest.raises(EngineError, match="0 GPUs in all"):
            start(EngineSpec("ray", ModelRef(tmp_path), arguments=arguments))

    def test_a_worker_that_would_write_as_another_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_ray, "writer_of", lambda *asked: writer_of(*asked)._replace(dtype="bfloat16"))
        with pytest.raises(ParamsError, match="dtype: none, there bfloat16"):
            start(spec(tmp_path))

    def test_all_workers_change_to_another_model(self, model_folder: Path, other_model_folder: Path) -> None:
        wanted = [Request((5, 6, 7 + number), GREEDY, 0) for number in range(6)]
        with start(spec(model_folder, engine="hf", batch=2)) as engine, start(EngineSpec("hf", ModelRef(model_folder), batch=2)) as alone:
            for folder in (other_model_folder, model_folder):
                engine.use(ModelRef(folder))
                alone.use(ModelRef(folder))
                assert texts(engine.generate(Listed(wanted))) == texts(alone.generate(Listed(wanted)))


DRIVER = """
import sys
from pathlib import Path
from teachers.generate import Generator
from test_ray import requests, spec
folder = Path(sys.argv[1])
own = spec(folder, log=str(folder / "log"), seconds_per_token=1e-3)
with Generator(own, folder / "store", shard="sampler") as generator:
    made = sum(1 for _ in generator.complete(requests(400)))
print(made, generator.made)
"""


@pytest.mark.slow
def test_a_killed_driver_leaves_no_process_and_the_next_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    driver = subprocess.Popen(command, env=environment)
    try:
        while len(pids(tmp_path / "log")) < 100:
            assert driver.poll() is None
            time.sleep(0.01)
        # Ray's own agents hold nothing and end by themselves after a minute.
        family = [child for child in psutil.Process(driver.pid).children(recursive=True) if not child.name().endswith("Agent")]
    finally:
        driver.kill()
        driver.wait()
    assert len(family) > 3
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    asked, made = map(int, subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split())
    assert asked == 400
    assert 0 < made < 400


@pytest.mark.vllm
def test_two_vllm_workers_write_what_one_vllm_writes(model_folder: Path) -> None:
    wanted = [Request((5, 6, 7 + number), GREEDY, 0) for number in range(12)]
    own = spec(model_folder, engine="vllm", batch=4)
    with start(own) as engine:
        found = texts(engine.generate(Listed(wanted)))
    with start(own.worker) as alone:
        assert found == texts(alone.generate(Listed(wanted)))
