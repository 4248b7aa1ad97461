"""A deterministic engine without weights, for tests, documentation and dry runs of a whole graph.

What it writes is a function of (arguments, prompt, draw). With `script` it is a JSONL file of
`{"question": str, "right": [str, …], "wrong": [str, …]}`: the line whose question occurs in the prompt answers it (the longest such), and
draw i takes the text i modulo their number. Where the prompt already holds the end of the thinking, only the text after it is written.
Without a script the texts are made from a hash. The model folder's tokenizer is used where there is one; else a token is a byte of UTF-8.

It behaves like a real engine where that matters: `batch` requests in flight, short answers first, texts cut at max_tokens, and on
request errors, timeouts and a sudden death.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, ValidationError

from data.chat import CLOSE, OPEN, completion_ids
from data.errors import EngineError, ParamsError
from data.records import Record, Section, Status, content_id
from data.tables import read_all
from teachers.decoding import Decoder
from teachers.engine import Completion, EngineSpec, ModelRef, Request, Requests

Share = Annotated[float, Field(ge=0, le=1)]


class ScriptedArguments(Section):
    """`engine.arguments` of the scripted engine. Shares are decided by a hash of seed, prompt and draw."""

    seed: int = 0
    script: Path | None = None
    right_share: Share = 1.0
    """Draws that take a text from `right`; the others take one from `wrong`."""
    truncated_share: Share = 0.0
    """Draws that end in the middle."""
    error_share: Share = 0.0
    timeout_share: Share = 0.0
    seconds_per_token: float = Field(0.0, ge=0)
    shuffle: int | None = None
    """Seed for an order of arrival by chance; null: the shorter a text, the earlier it arrives."""
    log: Path | None = None
    """File that gets one line per completion, `pid id-of-the-request`, before it is handed over."""
    die_after: int | None = Field(None, ge=0)
    """Completions after which this engine process dies with an EngineError."""


class ScriptLine(Record):
    """What is answered to one question."""

    question: str = Field(min_length=1)
    right: list[str] = Field(min_length=1)
    wrong: list[str] = []


class _Arrival(NamedTuple):
    moment: float
    number: int
    completion: Completion


class ScriptedEngine:
    """See the module's docstring."""

    def __init__(self, spec: EngineSpec) -> None:
        try:
            self._arguments = ScriptedArguments.model_validate(dict(spec.arguments))
        except ValidationError as error:
            raise ParamsError(f"arguments of the scripted engine: {error}") from None
        self._batch = spec.batch
        self._script = read_all(self._arguments.script, ScriptLine) if self._arguments.script else None
        self._handed_over = 0
        self._find = lru_cache(maxsize=4096)(self._line)
        self.use(spec.model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def use(self, model: ModelRef) -> None:
        """Take the tokenizer of this model."""
        has_tokenizer = any((model.folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
        self._decoder = Decoder(model.folder) if has_tokenizer else None
        self._find.cache_clear()

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions in the order in which a batch of this size would end them."""
        numbers = count()
        flying: list[_Arrival] = []
        now = 0.0
        while True:
            while len(flying) < self._batch and (request := requests.take()) is not None:
                heapq.heappush(flying, self._start(now, next(numbers), request))
            if not flying:
                return
            arrival = heapq.heappop(flying)
            time.sleep((arrival.moment - now) * self._arguments.seconds_per_token)
            now = arrival.moment
            self._before_handing_over(arrival.completion.request)
            yield arrival.completion

    def _start(self, now: float, number: int, request: Request) -> _Arrival:
        completion = self._complete(request)
        seed = self._arguments.shuffle
        chance = 1.0 if seed is None else _chance(seed, request, "arrival") * 10
        return _Arrival(now + len(completion.token_ids) * chance, number, completion)

    def _before_handing_over(self, request: Request) -> None:
        if self._arguments.die_after is not None and self._handed_over >= self._arguments.die_after:
            raise EngineError(f"the scripted engine dies after {self._handed_over} completions, as its argument die_after says")
        self._handed_over += 1
        if self._arguments.log is not None:
            with self._arguments.log.open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()} {content_id(*request)}\n")

    def _complete(self, request: Request) -> Completion:
        settings = self._arguments
        chance = _chance(settings.seed, request, "failure")
        if chance < settings.error_share:
            return Completion(request, Status.ERROR, "error", "", (), "an error on request (error_share)")
        if chance < settings.error_share + settings.timeout_share:
            return Completion(request, Status.TIMEOUT, "timeout", "", (), "a timeout on request (timeout_share)")
        text = self._text(request)
        if text is None:
            return Completion(request, Status.ERROR, "error", "", (), f"no question of {settings.script} occurs in the prompt")
        token_ids = self._encode(text)
        limit = request.sampling.max_tokens
        if _chance(settings.seed, request, "length") < settings.truncated_share:
            limit = min(limit, max(1, len(token_ids) // 2))
        if len(token_ids) <= limit:
            return Completion(request, Status.OK, "stop", text, tuple(token_ids))
        return Completion(request, Status.TRUNCATED, "length", self._decode(token_ids[:limit]), tuple(token_ids[:limit]))

    def _text(self, request: Request) -> str | None:
        if self._script is None:
            return _hashed_text(self._arguments.seed, request)
        prompt, line = self._find(request.prompt_ids)
        if line is None:
            return None
        is_right = not line.wrong or _chance(self._arguments.seed, request, "right") < self._arguments.right_share
        texts = line.right if is_right else line.wrong
        text = texts[request.draw % len(texts)]
        return text.rpartition(CLOSE)[2] if CLOSE in prompt.partition(line.question)[2] else text

    def _line(self, prompt_ids: tuple[int, ...]) -> tuple[str, ScriptLine | None]:
        assert self._script is not None
        prompt = self._decode(prompt_ids)
        matches = [line for line in self._script if line.question in prompt]
        return prompt, max(matches, key=lambda line: len(line.question), default=None)

    def _encode(self, text: str) -> list[int]:
        if self._decoder is None:
            return list(text.encode())
        return completion_ids(self._decoder.tokenizer, text)

    def _decode(self, token_ids: Iterable[int]) -> str:
        if self._decoder is None:
            return bytes(token_ids).decode(errors="replace")
        return self._decoder.text(list(token_ids))


def _chance(seed: int, request: Request, name: str) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.sha256(f"{seed} {name} {request.prompt_ids} {request.draw}".encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def _hashed_text(seed: int, request: Request) -> str:
    rng: Any = Random(_chance(seed, request, "text"))
    words = " ".join(rng.choice(("so", "then", "wait", "plus", "minus", "twelve", "check")) for _ in range(rng.randint(3, 30)))
    return f"{OPEN}{words}{CLOSE}The answer is \\boxed{{{rng.randint(0, 99)}}}."
