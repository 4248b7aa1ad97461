from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from data.errors import EngineError
from data.records import Status
from teachers.engine import Completion, EngineSpec, Listed, ModelRef, Request, SamplingSettings
from teachers.generate import Generator
from teachers.hf import HfEngine
from teachers.vllm import VllmEngine

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
GREEDY, CHANCE = SamplingSettings(0.0, 1.0, 12), SamplingSettings(1.0, 0.95, 60)


def spec(folder: Path, kind: str = "vllm") -> EngineSpec:
    # So few tokens in one step that a batch of prompts needs several.
    arguments = {"max_num_batched_tokens": 256} if kind == "vllm" else {}
    return EngineSpec(kind, ModelRef(folder), dtype="float32", batch=16, max_model_length=256, arguments=arguments)


def requests(count: int, settings: SamplingSettings) -> list[Request]:
    rng = Random(1)
    return [Request(tuple(rng.randrange(7, 250) for _ in range(rng.randint(1, 30))), settings, draw) for draw in range(count)]


@pytest.fixture(scope="module")
def engine(model_folder: Path) -> Iterator[VllmEngine]:
    with VllmEngine(spec(model_folder)) as started:
        yield started


def by_request(completions: Iterator[Completion]) -> dict[Request, Completion]:
    return {completion.request: completion for completion in completions}


def greedy_of_transformers(model: ModelRef) -> dict[Request, Completion]:
    with HfEngine(spec(model.folder, "hf")) as reference:
        reference.use(model)
        return by_request(reference.generate(Listed(requests(20, GREEDY))))


def test_greedy_tokens_are_those_of_transformers_before_and_after_swaps(
    engine: VllmEngine, model_folder: Path, other_model_folder: Path
) -> None:
    process = engine._engine
    for folder in (model_folder, other_model_folder, model_folder):
        engine.use(ModelRef(folder))
        assert by_request(engine.generate(Listed(requests(20, GREEDY)))) == greedy_of_transformers(ModelRef(folder))
    assert engine._engine is process, "untied weights are swapped in place"


def test_a_stale_part_of_the_weights_is_found_and_the_engine_not_used_again(
    engine: VllmEngine, model_folder: Path, other_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.use(ModelRef(model_folder))
    with monkeypatch.context() as patched, pytest.raises(EngineError, match="does not serve the weights"):
        patched.setattr(engine, "_swap", lambda folder: None)
        engine.use(ModelRef(other_model_folder))
    engine.use(ModelRef(other_model_folder))
    assert by_request(engine.generate(Listed(requests(20, GREEDY)))) == greedy_of_transformers(ModelRef(other_model_folder))


def test_draws_are_the_same_in_any_order_and_end_as_they_say(engine: VllmEngine, model_folder: Path) -> None:
    engine.use(ModelRef(model_folder))
    wanted = requests(60, CHANCE)
    first = by_request(engine.generate(Listed(wanted)))
    again = by_request(engine.generate(Listed(reversed(wanted))))
    assert sum(first[request].token_ids == again[request].token_ids for request in wanted) >= 57, "rounding may move a draw or two"
    for completion in first.values():
        ended = completion.token_ids[-1] in engine._decoder.stop_ids
        assert (completion.finish_reason, completion.status) == (("stop", Status.OK) if ended else ("length", Status.TRUNCATED))
        assert "<|end|>" not in completion.text
    assert len({completion.finish_reason for completion in first.values()}) == 2
    assert len({completion.token_ids for completion in first.values()}) == 60


def test_leaving_early_frees_the_engine_for_the_next_requests(engine: VllmEngine) -> None:
    running = engine.generate(Listed(requests(40, CHANCE)))
    next(running)
    running.close()
    assert len(by_request(engine.generate(Listed(requests(20, GREEDY))))) == 20


def test_requests_that_vllm_refuses_are_completions(engine: VllmEngine) -> None:
    (refused,) = engine.generate(Listed([Request((1,) * 300, GREEDY, 0)]))
    assert refused.status is Status.ERROR and "256" in refused.detail


def test_an_adapter_is_served_on_its_base_and_leaves_again(engine: VllmEngine, model_folder: Path, adapter_folder: Path) -> None:
    for model in (ModelRef(model_folder, adapter_folder), ModelRef(model_folder)):
        engine.use(model)
        assert by_request(engine.generate(Listed(requests(20, GREEDY)))) == greedy_of_transformers(model)


def test_a_killed_engine_process_is_started_again_and_nothing_is_made_twice(model_folder: Path, tmp_path: Path) -> None:
    import psutil

    others = set(psutil.Process().children(recursive=True))
    with Generator(spec(model_folder), tmp_path, shard="one") as generator:
        answers = []
        for number, completion in enumerate(generator.complete(requests(60, CHANCE))):
            answers.append(completion.request)
            if number == 10:
                for child in set(psutil.Process().children(recursive=True)) - others:
                    child.kill()
        assert sorted(answers) == sorted(requests(60, CHANCE))
        assert generator.made == 60


def test_tied_weights_are_never_swapped_in_place(tied_model_folders: tuple[Path, Path]) -> None:
    first, second = tied_model_folders
    with VllmEngine(spec(first)) as engine:
        process = engine._engine
        engine.use(ModelRef(second))
        assert engine._engine is not process
        assert by_request(engine.generate(Listed(requests(20, GREEDY)))) == greedy_of_transformers(ModelRef(second))


def test_a_folder_that_vllm_cannot_load_is_an_engine_error(model_folder: Path) -> None:
    with pytest.raises(EngineError, match="does not start"):
        VllmEngine(EngineSpec("vllm", ModelRef(model_folder), dtype="float32", max_model_length=99_999))
