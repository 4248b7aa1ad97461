"""The contract of everything that generates: requests in, completions out as they finish.

An engine is described before it is started (`EngineSpec`, `ModelRef`), so that the completion store can be asked first and an engine
is started only for what the store lacks (teachers/generate.py). Kinds:

    scripted   deterministic, no weights; product code used by tests and docs (teachers/scripted.py)
    hf         transformers (teachers/hf.py)
    vllm       vLLM in its own engine process (teachers/vllm.py)
    server     one or many OpenAI-compatible endpoints (teachers/server.py)
    ray        workers on a Ray cluster, each with one of the first three (teachers/ray.py)
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from data.records import Status


class SamplingSettings(NamedTuple):
    """How tokens are drawn; temperature 0 is greedy."""

    temperature: float
    top_p: float
    max_tokens: int


class Question(NamedTuple):
    """A question, and the instruction that it is asked with (data.chat.messages)."""

    text: str
    instruction: str | None = None


class Request(NamedTuple):
    """One completion that is wanted; `draw` tells equal prompts apart."""

    prompt_ids: tuple[int, ...]
    sampling: SamplingSettings
    draw: int
    question: Question | None = None
    """What the prompt says, for servers that render it themselves; the prompt's tokens alone decide what is stored. None: no question
    alone, but the beginning of an answer too."""

    @property
    def seed(self) -> int:
        """Seed of this draw's chance, in [0, 2**63): the same in every run, another one for every prompt and draw."""
        digest = hashlib.sha256(f"{self.prompt_ids} {self.draw}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


class Completion(NamedTuple):
    """One completion as the engine ended it.

    `token_ids` are the generated tokens, the end token included where there was one; `text` is their text without special end tokens
    but with think tags. `detail` says what went wrong where `status` is error or timeout.
    """

    request: Request
    status: Status
    finish_reason: str
    text: str
    token_ids: tuple[int, ...]
    detail: str = ""
    counted: int | None = None
    """Tokens that a server says it generated, where it gives none of them: `token_ids` are then those of its text."""

    @property
    def tokens(self) -> int:
        """How many tokens were generated."""
        return len(self.token_ids) if self.counted is None else self.counted


@dataclass(frozen=True)
class ModelRef:
    """Weights to generate with: a folder in Hugging Face layout, and a LoRA adapter's folder on top of it or None."""

    folder: Path
    adapter: Path | None = None


@dataclass(frozen=True)
class EngineSpec:
    """How to start an engine. `model` is what it starts with; `arguments` go to the engine as they are."""

    kind: str
    model: ModelRef
    dtype: str = "auto"
    batch: int = 256
    max_model_length: int = 512
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def worker(self) -> EngineSpec:
        """What computes, and so decides what is written: of `ray` the engine that its workers run, else this one."""
        if self.kind != "ray":
            return self
        return replace(self, kind=self.arguments.get("engine", "vllm"), arguments=self.arguments.get("arguments") or {})


class Requests(Protocol):
    """Where an engine takes its requests from, whenever it has room."""

    def take(self) -> Request | None:
        """The next request; None where there is none now. Completions that are handed over may bring more."""


class Listed:
    """Requests that are known beforehand."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._left = iter(requests)

    def take(self) -> Request | None:
        """The next of them."""
        return next(self._left, None)


class Engine(Protocol):
    """A started engine. Use it as a context manager: leaving it frees its processes and memory."""

    def use(self, model: ModelRef) -> None:
        """Generate with these weights from now on. Raises EngineError where it cannot prove that it does."""

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions as they finish, in any order, until nothing is in flight and there is no request.

        A failed request is a completion with status error or timeout.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


def closable(completions: Iterator[Completion]) -> Generator[Completion]:
    """Any iterator as a generator, so that leaving its loop early reaches the engine at once."""
    yield from completions
