from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from data.errors import EngineError
from teachers.chat_client import Endpoint, Question, Reply, ask, ask_all

Answer = Callable[[dict[str, Any]], tuple[int, str]]


@pytest.fixture
def serve(web: Callable[..., str]) -> Callable[[Answer], Endpoint]:
    """Starts a server on loopback that answers chat requests by a function of the body."""

    def start(answer: Answer) -> Endpoint:
        address = web(lambda path, body: answer(body) if path == "/v1/chat/completions" else (404, "no such page"))
        return Endpoint(address, "student", timeout_seconds=10)

    return start


def completion(message: dict[str, Any], *, tokens: int = 2) -> str:
    choice = {
        "message": {"role": "assistant", **message},
        "finish_reason": "stop",
        "token_ids": list(range(tokens)),
        "logprobs": {"content": [{"token": str(i), "logprob": -0.5 * i} for i in range(tokens)]},
    }
    return json.dumps({"choices": [choice], "prompt_token_ids": [7, 8]})


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_the_thinking_is_read_under_its_new_and_its_old_name(serve: Callable[[Answer], Endpoint], name: str) -> None:
    endpoint = serve(lambda body: (200, completion({name: "1 + 2 = 3", "content": "The answer is 3."})))
    found = ask(endpoint, Question("1 + 2?"), max_tokens=9)
    assert found == Reply("1 + 2 = 3", "The answer is 3.", "stop", (7, 8), (0, 1), (0.0, -0.5))


def test_questions_are_asked_greedily_with_their_instruction_and_answered_in_order(serve: Callable[[Answer], Endpoint]) -> None:
    def echo(body: dict[str, Any]) -> tuple[int, str]:
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("student", 0.0, 9)
        return 200, completion({"content": " / ".join(message["content"] for message in body["messages"])})

    asked = [Question(f"question {i}", "be brief" if i % 2 else None) for i in range(20)]
    replies = ask_all(serve(echo), asked, max_tokens=9)
    assert [reply.content for reply in replies] == [f"be brief / question {i}" if i % 2 else f"question {i}" for i in range(20)]
    assert all(reply.reasoning is None for reply in replies)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, "max_tokens is too large"), "status 400: max_tokens is too large"),
        ((200, "<html>"), "not JSON"),
        ((200, json.dumps({"choices": [{"message": {"content": "3"}, "finish_reason": "stop"}]})), "lacks 'prompt_token_ids'"),
        ((200, json.dumps({"choices": []})), "lacks list index"),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error(serve: Callable[[Answer], Endpoint], answer: tuple[int, str], said: str) -> None:
    with pytest.raises(EngineError, match=said):
        ask(serve(lambda body: answer), Question("1 + 2?"), max_tokens=9)


def test_a_server_that_is_gone_is_an_error() -> None:
    with pytest.raises(EngineError, match="no answer"):
        ask(Endpoint("http://127.0.0.1:9", "student", timeout_seconds=2), Question("1 + 2?"), max_tokens=9)
