from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import Any

import pytest

import teachers.server
from data.chat import completion_ids, prompt_ids
from data.errors import EngineError, ParamsError
from data.records import Status
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.decoding import Decoder
from teachers.engine import Completion, EngineSpec, Listed, ModelRef, Question, Request, SamplingSettings
from teachers.generate import Generator
from teachers.hf import HfEngine
from teachers.probe import PROBE_TOKENS
from teachers.server import FIRST_ANSWERS, HIDING, HIDING_GAP, ServerEngine
from teachers.serving import Server, ServeSettings, machine_arguments

CHANCE = SamplingSettings(1.0, 0.9, 40)
QUESTIONS = [f"How many is {i} and 1?" for i in range(12)]
LOADED = cache(Decoder)
THROUGH = (0, "")
"""What a page answers that lets a request through."""
Page = Callable[[str, dict[str, Any]], tuple[int, str]]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(documents=200)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("teacher")
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture(autouse=True)
def _tokenizers_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of a start; every test starts engines of the same folder."""
    monkeypatch.setattr(teachers.server, "Decoder", LOADED)


class Served:
    """What a `vllm serve` of one model answers, with the two ways to ask; `broken` may take a request before it."""

    def __init__(self, tokenizer: Any, broken: Page | None = None) -> None:
        self.tokenizer, self.broken = tokenizer, broken
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.flying = self.most_flying = 0
        self._lock = threading.Lock()

    def __call__(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        with self._lock:
            self.asked[path] += 1
            self.bodies.append(body)
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
        try:
            is_probe = body.get("max_tokens") == PROBE_TOKENS
            found = self.broken(path, body) if self.broken and "completions" in path and not is_probe else THROUGH
            return (200, json.dumps(self.page(path, body))) if found == THROUGH else found
        finally:
            with self._lock:
                self.flying -= 1

    def page(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/models":
            return {"data": [{"id": "big"}]}
        if path == "/tokenize":
            if "messages" in body:
                return {"tokens": prompt_ids(self.tokenizer, body["messages"][-1]["content"])}
            return {"tokens": self.tokenizer(body["prompt"], add_special_tokens=False)["input_ids"]}
        thinking, answer = "I add.", f"Asked {self.asked_for(body)}: \\boxed{{1}}."
        ids = completion_ids(self.tokenizer, f"<think>{thinking}</think>{answer}")
        cut = len(ids) > body["max_tokens"]
        choice: dict[str, Any] = {"finish_reason": "length" if cut else "stop", "token_ids": ids[: body["max_tokens"]]}
        if path == "/v1/completions":
            return {"choices": [{**choice, "text": "not what counts"}]}
        return {"choices": [{**choice, "message": {"reasoning": thinking, "content": None if cut else answer}}]}

    def asked_for(self, body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"] if "messages" in body else self.tokenizer.decode(body["prompt"])
        return next((str(n) for n, question in enumerate(QUESTIONS) if question in text), "?")


def spec(folder: Path, addresses: list[str], **arguments: Any) -> EngineSpec:
    quick = {"model": "big", "backoff_seconds": 0.01, "timeout_seconds": 5, "patience_seconds": 1, "tries": 4}
    return EngineSpec("server", ModelRef(folder), batch=16, arguments={"endpoints": addresses, **quick, **arguments})


def requests(tokenizer, *, draws: int = 2) -> list[Request]:
    return [Request(tuple(prompt_ids(tokenizer, q)), CHANCE, draw, Question(q)) for q in QUESTIONS for draw in range(draws)]


def generated(own: EngineSpec, wanted: list[Request]) -> dict[Request, Completion]:
    with ServerEngine(own) as engine:
        completions = list(engine.generate(Listed(wanted)))
    assert len(completions) == len(wanted)
    return {completion.request: completion for completion in completions}


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_every_request_is_answered_by_what_it_asked_and_counted_in_the_servers_tokens(web, tokenizer, folder: Path, api: str) -> None:
    server = Served(tokenizer)
    found = generated(spec(folder, [web(server)], api=api), requests(tokenizer))
    for request, completion in found.items():
        assert request.question is not None
        number = QUESTIONS.index(request.question.text)
        text = f"<think>I add.</think>Asked {number}: \\boxed{{1}}."
        ids = tuple(completion_ids(tokenizer, text))
        decoded = tokenizer.decode(ids[:-1]) if api == "completions" else text
        assert completion == Completion(request, Status.OK, "stop", decoded, ids)
    sent = [body for body in server.bodies if body.get("max_tokens") == CHANCE.max_tokens]
    assert {body["seed"] for body in sent} == {request.seed for request in found}
    assert {(body["temperature"], body["top_p"]) for body in sent} == {(1.0, 0.9)}
    assert {(body["top_k"], body["min_p"], body["repetition_penalty"]) for body in sent} == {(0, 0.0, 1.0)}, "else the folder's own join in"
    assert server.asked["/tokenize"] == server.asked["/v1/models"] == 1


def test_answers_out_of_order_are_each_told_from_the_others(web, tokenizer, folder: Path) -> None:
    def the_later_the_sooner(path: str, body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(0.005 * (len(QUESTIONS) - int(server.asked_for(body))))
        return THROUGH

    server = Served(tokenizer, the_later_the_sooner)
    wanted = requests(tokenizer, draws=1)
    with ServerEngine(spec(folder, [web(server)])) as engine:
        completions = list(engine.generate(Listed(wanted)))
    assert [c.request for c in completions] != wanted and {c.request for c in completions} == set(wanted)
    assert all(f"Asked {wanted.index(c.request)}:" in c.text for c in completions)


@pytest.mark.parametrize(("api", "text"), [("completions", "<think> I add.</think>"), ("chat", "<think>I add.")])
def test_what_was_cut_is_truncated(web, tokenizer, folder: Path, api: str, text: str) -> None:
    cut = SamplingSettings(0.0, 1.0, len(tokenizer("<think>I add.</think>", add_special_tokens=False)["input_ids"]))
    (request,) = [r._replace(sampling=cut) for r in requests(tokenizer, draws=1)[:1]]
    (completion,) = generated(spec(folder, [web(Served(tokenizer))], api=api), [request]).values()
    assert (completion.status, completion.finish_reason, completion.text) == (Status.TRUNCATED, "length", text)


def once(*answers: tuple[int, str] | Exception) -> Page:
    """Gives these answers first, then lets all through."""
    left = list(answers)
    lock = threading.Lock()

    def page(path: str, body: dict[str, Any]) -> tuple[int, str]:
        with lock:
            found = left.pop(0) if left else THROUGH
        if isinstance(found, Exception):
            raise found
        return found

    return page


@pytest.mark.parametrize(
    "bad",
    [(429, "slow down"), (500, "oh"), (503, "starting"), (200, "<html>"), (200, "[]"), ConnectionError(),
     *((200, '{"choices": [' + choice + "]}") for choice in (
        "", "{}", "null", "3", '{"text": null, "finish_reason": "stop"}', '{"text": "", "finish_reason": "stop"}',
        '{"message": null, "finish_reason": "stop"}', '{"message": {"content": null}, "finish_reason": "stop"}',
        '{"message": {"content": ["4"]}, "finish_reason": "stop"}', '{"text": "4", "token_ids": ["x"], "finish_reason": "stop"}',
    ))],
)  # fmt: skip
def test_a_passing_failure_costs_another_try_and_nothing_else(web, tokenizer, folder: Path, bad: tuple[int, str] | Exception) -> None:
    server = Served(tokenizer, once(bad, bad))
    found = generated(spec(folder, [web(server)]), requests(tokenizer))
    assert {completion.status for completion in found.values()} == {Status.OK}
    assert server.asked["/v1/completions"] == 1 + 24 + 2


def test_a_request_that_fails_every_time_is_an_error_with_its_last_reason_and_is_tried_again_by_the_next_run(
    web, tokenizer, folder: Path, tmp_path: Path
) -> None:
    def spiteful(path: str, body: dict[str, Any]) -> tuple[int, str]:
        return (429, "never you") if server.asked_for(body) == "3" else THROUGH

    server = Served(tokenizer, spiteful)
    own = spec(folder, [web(server)])
    with Generator(own, tmp_path, shard="one") as generator:
        first = {c.request: c for c in generator.complete(requests(tokenizer))}
    failed = [c for c in first.values() if c.status is Status.ERROR]
    assert len(failed) == 2 and all("4 tries" in c.detail and "status 429" in c.detail for c in failed)
    server.broken = None
    with Generator(own, tmp_path, shard="one") as generator:
        assert {c.status for c in generator.complete(requests(tokenizer))} == {Status.OK}
        assert (generator.made, generator.found) == (2, 22)


def test_a_refusal_is_an_error_at_once(web, tokenizer, folder: Path) -> None:
    server = Served(tokenizer, lambda path, body: (400, "max_tokens is too large"))
    found = generated(spec(folder, [web(server)]), requests(tokenizer, draws=1))
    assert {(c.status, c.finish_reason) for c in found.values()} == {(Status.ERROR, "refused")}
    assert all("max_tokens is too large" in c.detail for c in found.values())
    assert server.asked["/v1/completions"] == 1 + len(QUESTIONS)


def test_an_endpoint_that_hangs_is_a_timeout_and_the_living_one_does_the_work(web, tokenizer, folder: Path) -> None:
    def hang(path: str, body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(2)
        return 200, "{}"

    hanging, living = Served(tokenizer, hang), Served(tokenizer)
    own = spec(folder, [web(hanging), web(living)], timeout_seconds=0.2, in_flight=4, tries=6)
    assert {c.status for c in generated(own, requests(tokenizer)).values()} == {Status.OK}
    assert living.asked["/v1/completions"] == 1 + 24
    (alone,) = generated(spec(folder, [web(hanging)], timeout_seconds=0.2, tries=1), requests(tokenizer, draws=1)[:1]).values()
    assert alone.status is Status.TIMEOUT and "no answer within 0.2 s" in alone.detail


def test_a_dead_endpoint_is_taken_out_and_tried_again(web, tokenizer, folder: Path) -> None:
    back = threading.Event()

    def dead_for_a_while(path: str, body: dict[str, Any]) -> tuple[int, str]:
        return THROUGH if back.is_set() else (502, "bad gateway")

    def slow(path: str, body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(0.02)
        return THROUGH

    dying, living = Served(tokenizer, dead_for_a_while), Served(tokenizer, slow)
    wanted = requests(tokenizer, draws=12)
    with ServerEngine(spec(folder, [web(dying), web(living)], in_flight=2)) as engine:
        for number, completion in enumerate(engine.generate(Listed(wanted)), start=1):
            assert completion.status is Status.OK
            if number == len(wanted) // 3:
                asked_while_dead = dying.asked["/v1/completions"]
                back.set()
    assert asked_while_dead < number // 6, "a dead endpoint gets few requests"
    assert dying.asked["/v1/completions"] > asked_while_dead + number // 6, "one that came back gets its share"


def test_an_endpoint_that_failed_once_or_is_busy_gets_its_share_and_no_more(web, tokenizer, folder: Path) -> None:
    def slow(path: str, body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(0.01)
        return THROUGH

    stumbling, living = Served(tokenizer, once((502, "oh"))), Served(tokenizer, slow)
    wanted = requests(tokenizer, draws=8)
    assert {c.status for c in generated(spec(folder, [web(stumbling), web(living)]), wanted).values()} == {Status.OK}
    assert stumbling.asked["/v1/completions"] > len(wanted) // 4
    busy, living = Served(tokenizer, lambda path, body: (429, "not now")), Served(tokenizer, slow)
    assert {c.status for c in generated(spec(folder, [web(busy), web(living)]), wanted).values()} == {Status.OK}


def test_endpoints_that_all_stay_dead_are_one_error_and_what_was_made_stays(web, tokenizer, folder: Path, tmp_path: Path) -> None:
    server = Served(tokenizer)
    server.broken = lambda path, body: (502, "gone") if server.asked["/v1/completions"] > 10 else THROUGH
    own = spec(folder, [web(server)], patience_seconds=0.1, tries=50, in_flight=1)
    with Generator(own, tmp_path, shard="one") as generator:
        with pytest.raises(EngineError, match=r"no endpoint answered for 0\.1 s; are the servers up\? .*status 502: gone"):
            list(generator.complete(requests(tokenizer)))
        assert 0 < generator.made < 24
    with pytest.raises(EngineError, match="no endpoint answers"):
        ServerEngine(spec(folder, ["http://127.0.0.1:9"]))


def test_no_endpoint_gets_more_at_a_time_than_it_may(web, tokenizer, folder: Path) -> None:
    def slow(path: str, body: dict[str, Any]) -> tuple[int, str]:
        time.sleep(0.01)
        return THROUGH

    servers = [Served(tokenizer, slow), Served(tokenizer, slow)]
    generated(spec(folder, [web(server) for server in servers], in_flight=3), requests(tokenizer, draws=4))
    assert all(2 <= server.most_flying <= 3 for server in servers)
    assert min(server.asked["/v1/completions"] for server in servers) > 12, "both are used"


def test_a_chat_without_any_thinking_is_refused_and_one_with_tags_in_its_text_is_not(web, tokenizer, folder: Path) -> None:
    def bare(text: str) -> Page:
        return lambda path, body: (200, json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": text}}]}))

    for without in ("It is 4.", "<think>\n\n</think>It is 4."):
        with pytest.raises(ParamsError, match=f"first {FIRST_ANSWERS} answers of 'big' hold no thinking"):
            generated(spec(folder, [web(Served(tokenizer, bare(without)))], api="chat"), requests(tokenizer))
    tagged = "<think>I add.</think>It is 4."
    found = generated(spec(folder, [web(Served(tokenizer, bare(tagged)))], api="chat"), requests(tokenizer))
    assert {(c.text, c.token_ids) for c in found.values()} == {(tagged, tuple(completion_ids(tokenizer, tagged)))}


def test_a_chat_that_need_not_think_and_a_server_that_knows_no_extension(web, tokenizer, folder: Path) -> None:
    plain = json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": "Working:"}}]})
    server = Served(tokenizer)
    address = web(
        lambda path, body: server(path, body) if "completions" not in path else (400, "top_k?") if "top_k" in body else (200, plain)
    )
    with pytest.raises(ParamsError, match="is_vllm: false"):
        ServerEngine(spec(folder, [address], api="chat"))
    found = generated(spec(folder, [address], api="chat", is_vllm=False, thinks=False), requests(tokenizer))
    assert {c.text for c in found.values()} == {"Working:"}


def test_completions_without_any_thinking_are_refused_but_not_what_goes_on_from_one(web, tokenizer, folder: Path) -> None:
    ids = completion_ids(tokenizer, "It is 4.")
    page = json.dumps({"choices": [{"finish_reason": "stop", "text": "", "token_ids": ids}]})
    address = web(Served(tokenizer, lambda path, body: (200, page)))
    with pytest.raises(ParamsError, match=f"first {FIRST_ANSWERS} answers of 'big' hold no thinking"):
        generated(spec(folder, [address]), requests(tokenizer))
    assert len(generated(spec(folder, [address], thinks=False), requests(tokenizer))) == 24
    assert len(generated(spec(folder, [address]), [request._replace(question=None) for request in requests(tokenizer)])) == 24


def counting(counts: Iterator[int]) -> Page:
    choice = {"finish_reason": "stop", "message": {"reasoning": "I add.", "content": "It is 4."}}
    return lambda path, body: (200, json.dumps({"choices": [choice], "usage": {"completion_tokens": next(counts)}}))


def test_a_server_that_hides_a_part_of_its_thinking_is_refused(web, tokenizer, folder: Path) -> None:
    made = len(completion_ids(tokenizer, "<think>I add.</think>It is 4."))
    most = HIDING * made + HIDING_GAP
    own = spec(folder, [web(Served(tokenizer, counting(repeat(most))))], api="chat")
    assert {c.tokens for c in generated(own, requests(tokenizer)).values()} == {most}
    mixed = chain([made, made], repeat(most + 1, FIRST_ANSWERS - 1), repeat(made))
    own = spec(folder, [web(Served(tokenizer, counting(mixed)))], api="chat", in_flight=1)
    assert len(generated(own, requests(tokenizer))) == 24
    own = spec(folder, [web(Served(tokenizer, counting(cycle([made, most + 1]))))], api="chat", in_flight=1)
    with pytest.raises(ParamsError, match=f"{FIRST_ANSWERS} answers of 'big' hold only a part .* this one {made} of {most + 1} tokens"):
        generated(own, requests(tokenizer))


def test_a_count_that_leaves_the_thinking_out_is_not_believed(web, tokenizer, folder: Path) -> None:
    made = len(completion_ids(tokenizer, "<think>I add.</think>It is 4."))
    own = spec(folder, [web(Served(tokenizer, counting(repeat(made - 3))))], api="chat")
    assert {c.tokens for c in generated(own, requests(tokenizer)).values()} == {made}


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": None}, {"completion_tokens": 0}, [3]])
def test_tokens_are_those_of_the_text_where_a_server_counts_none(web, tokenizer, folder: Path, usage: Any) -> None:
    choice = {"finish_reason": "stop", "message": {"reasoning": "I add.", "content": "It is 4."}}
    page = json.dumps({"choices": [choice], "usage": usage})
    own = spec(folder, [web(Served(tokenizer, lambda path, body: (200, page)))], api="chat")
    made = len(completion_ids(tokenizer, "<think>I add.</think>It is 4."))
    assert {c.tokens for c in generated(own, requests(tokenizer)).values()} == {made}


def test_an_answer_that_ends_at_once_is_one(web, tokenizer, folder: Path) -> None:
    page = json.dumps({"choices": [{"finish_reason": "stop", "text": "", "token_ids": [tokenizer.eos_token_id]}]})
    address = web(Served(tokenizer, lambda path, body: (200, page)))
    found = generated(spec(folder, [address], thinks=False), requests(tokenizer))
    assert {(c.status, c.text) for c in found.values()} == {(Status.OK, "")}


def test_the_old_name_of_the_reasoning_is_read_too(web, tokenizer, folder: Path) -> None:
    old = {"choices": [{"finish_reason": "stop", "message": {"reasoning_content": "I add.", "content": "It is 4."}}]}
    server = Served(tokenizer, lambda path, body: (200, json.dumps(old)))
    found = generated(spec(folder, [web(server)], api="chat"), requests(tokenizer))
    assert {c.text for c in found.values()} == {"<think>I add.</think>It is 4."}


def test_a_chat_cannot_go_on_from_a_thinking(web, tokenizer, folder: Path) -> None:
    begun = [request._replace(question=None) for request in requests(tokenizer, draws=1)[:1]]
    (refused,) = generated(spec(folder, [web(Served(tokenizer))], api="chat"), begun).values()
    assert (refused.status, refused.finish_reason) == (Status.ERROR, "refused") and "api: completions" in refused.detail


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("/v1/models", {"data": [{"id": "small"}]}), r"serves \['small'\], not 'big'"),
        (("/tokenize", {"tokens": [1, 2, 3]}), "to the server and"),
        (("/v1/completions", {"choices": [{"text": "x", "finish_reason": "length", "token_ids": [*range(9)]}]}), "of at most 8 tokens"),
        (("/v1/completions", {"choices": [{"text": "x", "finish_reason": "abort", "token_ids": [9]}]}), "ended with 'abort'"),
        (("/v1/completions", {"choices": [{"text": "x", "finish_reason": "stop", "token_ids": [9]}]}), "stopped after token 9"),
    ],
)
def test_the_probe_refuses_a_server_that_is_another_than_it_should_be(
    web, tokenizer, folder: Path, wrong: tuple[str, dict[str, Any]], said: str
) -> None:
    server, (path, page) = Served(tokenizer), wrong
    address = web(lambda asked, body: (200, json.dumps(page)) if asked == path else server(asked, body))
    with pytest.raises((EngineError, ParamsError), match=said):
        ServerEngine(spec(folder, [address]))


def test_a_server_that_cannot_tokenize_is_taken_at_its_word(web, tokenizer, folder: Path) -> None:
    server = Served(tokenizer)
    address = web(lambda path, body: (404, "no such page") if path == "/tokenize" else server(path, body))
    assert len(generated(spec(folder, [address]), requests(tokenizer))) == 24


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    monkeypatch.setenv("MY_KEY", "s3cret\n")
    caplog.set_level("DEBUG")
    return caplog


def test_the_key_goes_to_the_server_and_nowhere_else(web, tokenizer, folder: Path, tmp_path: Path, key: pytest.LogCaptureFixture) -> None:
    server = Served(tokenizer, once((500, "no: s3cret"), (401, "bad key s3cret"), (200, "s3cret")))
    with Generator(spec(folder, [web(server)], key_variable="MY_KEY"), tmp_path, shard="one") as generator:
        completions = list(generator.complete(requests(tokenizer)))
    assert {body["headers"]["Authorization"] for body in server.bodies} == {"Bearer s3cret"}
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "s3cret" not in written + key.text + str(completions) and "bad key ***" in written


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3\ncret")
    with pytest.raises(ParamsError, match="environment variable MY_KEY") as refused:
        ServerEngine(spec(folder, ["http://127.0.0.1:9"], key_variable="MY_KEY"))
    assert "cret" not in str(refused.value)


def test_the_store_tells_served_models_apart_by_name_and_not_by_where_they_are(web, tokenizer, folder: Path, tmp_path: Path) -> None:
    def made(server: Served, **arguments: Any) -> int:
        with Generator(spec(folder, [web(server)], **arguments), tmp_path, shard="one") as generator:
            list(generator.complete(requests(tokenizer)))
            return generator.made

    assert made(Served(tokenizer)) == 24
    assert made(Served(tokenizer), in_flight=3) == 0
    other = Served(tokenizer)
    other.page = lambda path, body, own=other.page: {"data": [{"id": "other"}]} if path == "/v1/models" else own(path, body)
    assert made(other, model="other") == 24


def test_leaving_early_and_other_weights(web, tokenizer, folder: Path, tmp_path: Path) -> None:
    with ServerEngine(spec(folder, [web(Served(tokenizer))])) as engine:
        running = engine.generate(Listed(requests(tokenizer)))
        next(running)
        running.close()
        assert len(list(engine.generate(Listed(requests(tokenizer))))) == 24
        engine.use(ModelRef(folder))
        with pytest.raises(EngineError, match="keeps its model 'big'"):
            engine.use(ModelRef(tmp_path))
    with pytest.raises(EngineError, match="cannot take the adapter"):
        ServerEngine(replace(spec(folder, ["http://127.0.0.1:9"]), model=ModelRef(folder, tmp_path)))
    with pytest.raises(ParamsError, match="arguments of the engine server"):
        ServerEngine(EngineSpec("server", ModelRef(folder), arguments={"endpoints": []}))


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_a_real_server_gives_the_tokens_of_transformers(model_folder: Path, tmp_path: Path) -> None:
    machine = machine_arguments(EngineSpec("vllm", ModelRef(model_folder)))
    settings = ServeSettings("big", port=8771, dtype="float32", max_model_length=256, machine=machine)
    greedy = SamplingSettings(0.0, 1.0, 12)
    wanted = [Request(tuple(range(7 + n, 20 + n)), greedy, 0) for n in range(20)]
    with Server(model_folder, settings, log=tmp_path / "serve.log") as server:
        served = generated(spec(model_folder, [server.address], timeout_seconds=60), wanted)
        drawn = [request._replace(sampling=CHANCE) for request in requests(train_tokenizer(documents=200))]
        own = spec(model_folder, [server.address], thinks=False)  # random weights think of nothing
        assert generated(own, drawn) == generated(own, drawn)
    with HfEngine(EngineSpec("hf", ModelRef(model_folder), dtype="float32")) as reference:
        assert served == {completion.request: completion for completion in reference.generate(Listed(wanted))}
