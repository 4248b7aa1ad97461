from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import EngineError, ParamsError
from data.records import Status
from teachers.engine import EngineSpec, ModelRef, Question, Request, SamplingSettings
from teachers.generate import READ_AHEAD, RESTARTS, Generator
from teachers.identity import model_hash, template_hash

GREEDY = SamplingSettings(0.0, 1.0, 300)


def spec(**arguments: object) -> EngineSpec:
    return EngineSpec("scripted", ModelRef(Path("nowhere")), batch=4, arguments=arguments)


def requests(count: int, *, draws: int = 2) -> list[Request]:
    return [Request(tuple(f"question {i}".encode()), GREEDY, draw) for i in range(count) for draw in range(draws)]


def test_every_request_is_answered_once_and_a_second_run_finds_all(tmp_path: Path) -> None:
    with Generator(spec(), tmp_path, shard="one") as generator:
        first = {c.request: c for c in generator.complete(requests(10))}
        assert (generator.found, generator.made) == (0, 20)
        assert generator.made_tokens == sum(len(c.token_ids) for c in first.values())
    with Generator(spec(die_after=0), tmp_path, shard="two") as generator:
        assert {c.request: c for c in generator.complete(requests(10))} == first
        assert (generator.found, generator.made) == (20, 0)
    assert set(first) == set(requests(10))


def test_what_waits_is_asked_with_the_longest_prompt_first(tmp_path: Path) -> None:
    wanted = [Request(tuple(range(length)), GREEDY, 0) for length in (3, 9, 5, 7, 8, 4, 6, 2)]
    one_by_one = replace(spec(), batch=1)
    with Generator(one_by_one, tmp_path, shard="one") as generator:
        lengths = [len(c.request.prompt_ids) for c in generator.complete(wanted)]
    read_ahead = READ_AHEAD * one_by_one.batch
    assert lengths[0] == max(len(request.prompt_ids) for request in wanted[:read_ahead])
    waiting = [len(request.prompt_ids) for request in wanted[:read_ahead]]
    for number, length in enumerate(lengths):
        assert length == max(waiting), "of those that were read"
        waiting.remove(length)
        waiting += [len(request.prompt_ids) for request in wanted[read_ahead + number : read_ahead + number + 1]]


def test_the_store_says_who_wrote_and_how(tmp_path: Path, model_folder: Path) -> None:
    own = EngineSpec("hf", ModelRef(model_folder), dtype="float32")
    with Generator(own, tmp_path, shard="one") as generator:
        list(generator.complete([Request((5, 6), SamplingSettings(0.5, 0.9, 3), 0)]))
    (line,) = (tmp_path / "one.jsonl").read_text().splitlines()
    stored = json.loads(line)
    assert stored["sampling"] == [0.5, 0.9, 3]
    who = json.loads((tmp_path / "writers" / f"{stored['identity']}.json").read_text())
    assert (who["engine"], who["version"], who["dtype"]) == ("hf", f"transformers {metadata.version('transformers')}", "float32")
    assert (who["model"], who["adapter"], who["chat_template"]) == (model_hash(model_folder), None, template_hash(model_folder))


def test_equal_requests_share_one_completion(tmp_path: Path) -> None:
    wanted = requests(3) * 3
    with Generator(spec(), tmp_path, shard="one") as generator:
        answers = list(generator.complete(wanted))
        assert Counter(a.request for a in answers) == Counter(wanted)
        assert (generator.made, generator.found) == (6, 12)


def test_requests_of_one_prompt_under_two_questions_are_each_answered_as_they_were_asked(tmp_path: Path) -> None:
    prompt = tuple(b"one prompt")
    wanted = [Request(prompt, GREEDY, 0, Question("a")), Request(prompt, GREEDY, 0, Question("b "))]
    with Generator(spec(), tmp_path, shard="one") as generator:
        assert [c.request for c in sorted(generator.complete(wanted))] == wanted
        assert generator.made == 1


def test_models_and_settings_that_change_texts_have_completions_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    for arguments, model, made in (({}, "none", 4), ({"seed": 1}, "none", 4), ({"shuffle": 3}, "none", 0), ({}, "model", 4)):
        with Generator(spec(**arguments), tmp_path / "store", shard="one") as generator:
            list(generator.complete(requests(2), model=ModelRef(tmp_path / model)))
            assert generator.made == made, (arguments, model)


def test_errors_and_timeouts_are_kept_and_tried_again(tmp_path: Path) -> None:
    with Generator(spec(error_share=0.3, timeout_share=0.3, truncated_share=0.5), tmp_path, shard="one") as generator:
        first = Counter(c.status for c in generator.complete(requests(30)))
        assert all(first[status] for status in Status)
    with Generator(spec(truncated_share=0.5), tmp_path, shard="one") as generator:
        again = Counter(c.status for c in generator.complete(requests(30)))
        assert generator.made == first[Status.ERROR] + first[Status.TIMEOUT]
        assert set(again) == {Status.OK, Status.TRUNCATED}


def test_requests_that_cannot_fit_are_refused_with_both_numbers(tmp_path: Path) -> None:
    long = Request(tuple(b"x" * 300), GREEDY, 0)
    with Generator(spec(), tmp_path, shard="one") as generator:
        (refused,) = generator.complete([long])
    assert refused.status is Status.ERROR and "600" in refused.detail and "512" in refused.detail


def test_a_dead_engine_is_started_again_and_nothing_is_made_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Generator(spec(die_after=6, log=log), tmp_path / "store", shard="one") as generator:
        answers = list(generator.complete(requests(10)))
        assert len(answers) == generator.made == len(log.read_text().splitlines()) == 20


def test_an_engine_that_keeps_dying_is_given_up_and_what_was_made_stays(tmp_path: Path) -> None:
    with Generator(spec(die_after=2), tmp_path, shard="one") as generator:
        with pytest.raises(EngineError, match=f"died {RESTARTS + 1} times, 12 requests are left"):
            list(generator.complete(requests(10)))
        assert generator.made == 8
    with Generator(spec(), tmp_path, shard="one") as generator:
        list(generator.complete(requests(10)))
        assert (generator.found, generator.made) == (8, 12)


def test_leaving_the_loop_early_keeps_what_was_yielded(tmp_path: Path) -> None:
    with Generator(spec(), tmp_path, shard="one") as generator:
        for number, _ in enumerate(generator.complete(requests(10)), start=1):
            if number == 5:
                break
        assert len(list(generator.complete(requests(10)))) == 20
        assert (generator.made, generator.found) == (20, 5)


def test_two_loops_at_once_are_refused(tmp_path: Path) -> None:
    with Generator(spec(), tmp_path, shard="one") as generator:
        first = generator.complete(requests(3))
        next(first)
        with pytest.raises(EngineError, match="two loops"):
            list(generator.complete(requests(9)))


def test_unknown_kinds_and_arguments_are_named(tmp_path: Path) -> None:
    for bad, message in ((EngineSpec("magic", ModelRef(Path("x"))), "magic"), (spec(colour="red"), "colour")):
        with Generator(bad, tmp_path, shard="one") as generator, pytest.raises((ParamsError, EngineError), match=message):
            list(generator.complete(requests(1)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.permutations(requests(5, draws=3)))
def test_the_sorted_results_are_the_same_under_any_order_of_arrival(
    tmp_path_factory: pytest.TempPathFactory, shuffle: int, batch: int, order: list[Request]
) -> None:
    def table(spec: EngineSpec, wanted: list[Request]) -> list[object]:
        with Generator(spec, tmp_path_factory.mktemp("store"), shard="one") as generator:
            return sorted(generator.complete(wanted))

    shuffled = EngineSpec("scripted", ModelRef(Path("nowhere")), batch=batch, arguments={"shuffle": shuffle})
    assert table(shuffled, order) == table(spec(), requests(5, draws=3))
