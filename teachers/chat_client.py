"""A client of one OpenAI-compatible chat endpoint: what the server answered, in parts and in tokens."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from data.chat import messages
from data.errors import EngineError
from teachers.engine import Question


class Reply(NamedTuple):
    """One answer as served. Thinking and content are None where the server gave none; token lists are the generated ones."""

    reasoning: str | None
    content: str | None
    finish_reason: str
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class Endpoint(NamedTuple):
    """Where to ask, and how long to wait for one answer."""

    address: str
    model: str
    timeout_seconds: float = 600.0


def ask_all(endpoint: Endpoint, questions: Sequence[Question], *, max_tokens: int, in_flight: int = 32) -> list[Reply]:
    """A greedy answer to every question, in their order. Raises EngineError where the server refuses or cannot be understood."""
    with ThreadPoolExecutor(max_workers=max(1, min(in_flight, len(questions)))) as pool:
        return list(pool.map(lambda question: ask(endpoint, question, max_tokens=max_tokens), questions))


def ask(endpoint: Endpoint, question: Question, *, max_tokens: int) -> Reply:
    """A greedy answer with its tokens and their log-probabilities (`return_token_ids` is vLLM's extension)."""
    body = {
        "model": endpoint.model,
        "messages": messages(question.text, question.instruction),
        "temperature": 0.0,
        "max_tokens": max_tokens,
        "logprobs": True,
        "return_token_ids": True,
    }
    return _reply(_post(f"{endpoint.address}/v1/chat/completions", body, timeout_seconds=endpoint.timeout_seconds), endpoint)


def _post(url: str, body: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as reply:
            found: dict[str, Any] = json.loads(reply.read())
            return found
    except urllib.error.HTTPError as error:
        raise EngineError(f"{url}: status {error.code}: {error.read().decode(errors='replace')[:500]}") from None
    except (urllib.error.URLError, OSError) as error:
        raise EngineError(f"{url}: no answer: {error}; look at the server's log") from None
    except ValueError as error:
        raise EngineError(f"{url}: the answer is not JSON: {error}") from None


def _reply(found: dict[str, Any], endpoint: Endpoint) -> Reply:
    try:
        choice = found["choices"][0]
        message = choice["message"]
        return Reply(
            reasoning=reasoning_of(message),
            content=message["content"],
            finish_reason=str(choice["finish_reason"]),
            prompt_ids=tuple(found["prompt_token_ids"]),
            token_ids=tuple(choice["token_ids"]),
            logprobs=tuple(float(token["logprob"]) for token in choice["logprobs"]["content"]),
        )
    except (KeyError, IndexError, TypeError) as error:
        raise EngineError(
            f"{endpoint.address}: the answer lacks {error}; a vLLM of at least 0.22 is needed. Found: {json.dumps(found)[:300]}"
        ) from None


def reasoning_of(message: dict[str, Any]) -> str | None:
    """The thinking of a message: `reasoning`, which older servers call `reasoning_content`."""
    return message.get("reasoning") or message.get("reasoning_content")
