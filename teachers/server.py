"""The engine `server`: OpenAI-compatible endpoints, such as any `vllm serve`, on this machine or on others.

Two ways to ask, by the argument `api`:

    completions   the prompt goes as tokens, so that it is what training renders to the token, whatever template the server has; the text
                  is decoded here from the tokens that vLLM returns. Nothing is lost to a reasoning parser.
    chat          the question goes as messages and the server renders it: for servers that take no tokens. The thinking comes apart from
                  the answer (`reasoning`, or `reasoning_content` as older servers call it) and is put back between think tags.

A request that meets 429, 5xx, a broken connection or an answer that is none is tried again after a pause that grows, at whichever endpoint
lives (teachers/endpoints.py). A key is read from an environment variable and never written anywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import count
from random import Random
from typing import Any, Literal, Self

import httpx
from pydantic import Field, ValidationError

from data.chat import CLOSE, OPEN, messages, split, text_ids
from data.errors import EngineError, ParamsError
from data.records import Section, Status
from teachers.chat_client import reasoning_of
from teachers.decoding import FINISHED, Decoder
from teachers.endpoints import Endpoint, Endpoints
from teachers.engine import Completion, EngineSpec, ModelRef, Request, Requests
from teachers.probe import PROBE, check_answer, probe_of

LONGEST_PAUSE = 60.0
CONNECT_SECONDS = 10.0
NEUTRAL = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "return_token_ids": True,
}
"""What vLLM would take from the generation_config.json of the served folder, and its extension that returns tokens."""
TIMEOUT_TRIES = 2
"""Of a request that times out: it would take as long again."""
FIRST_ANSWERS = 5
"""So many finished answers without any thinking, or so many that hide some of it, are no accident."""
HIDING = 2
HIDING_GAP = 64
"""A server that counts over so many times the tokens of its texts, and so many more, hides some."""
SHOWN = 300
"""Characters of an answer that an error shows."""


class ServerArguments(Section):
    """`arguments` of the engine in params.yaml."""

    endpoints: list[str] = Field(min_length=1)
    """Addresses without `/v1`."""
    model: str
    """The name under which all of them serve the same model. It stands for the weights in the completion store: other weights under an
    old name would be taken for the old ones."""
    api: Literal["completions", "chat"] = "completions"
    in_flight: int = Field(64, ge=1)
    """Requests at a time for each endpoint; all together no more than the engine's `batch`."""
    timeout_seconds: float = Field(600.0, gt=0)
    """For one answer."""
    tries: int = Field(6, ge=1)
    """Of one request; then it is an error or a timeout."""
    backoff_seconds: float = Field(0.5, gt=0)
    """First pause; it doubles with every try, with jitter, and is never shorter than what the server asks for."""
    patience_seconds: float = Field(300.0, gt=0)
    """How long all endpoints may be dead."""
    is_vllm: bool = True
    """Send what only vLLM knows: neutral sampling settings, since it would take those of the model's folder, and the wish for token ids.
    A server that refuses unknown fields needs false; texts are then encoded here."""
    thinks: bool = True
    """Refuse a server whose first answers hold no thinking; false for a teacher that is asked for sections, a student without thinking, or
    a rewriter."""
    key_variable: str = "SHORTCOT_API_KEY"
    """Environment variable with the key, where the servers ask for one."""


class _TryAgainError(Exception):
    """A passing failure. `is_busy` says that the endpoint lives and asks for a `pause` in seconds."""

    def __init__(self, why: str, *, status: Status = Status.ERROR, is_busy: bool = False, pause: float = 0.0) -> None:
        super().__init__(why)
        self.status, self.is_busy, self.pause = status, is_busy, pause


class _RefusedError(Exception):
    """The server does not take this request, now or later."""


class ServerEngine:
    """See the module's docstring. The model's folder holds the tokenizer; weights need not lie there."""

    def __init__(self, spec: EngineSpec) -> None:
        try:
            self._arguments = ServerArguments.model_validate(dict(spec.arguments))
        except ValidationError as error:
            raise ParamsError(f"arguments of the engine server: {error}") from None
        if spec.model.adapter is not None:
            raise EngineError(f"a server cannot take the adapter {spec.model.adapter}; use engine vllm or hf")
        self._model, self._batch = spec.model, spec.batch
        self._key = _key_of(self._arguments.key_variable)
        self._decoder = Decoder(spec.model.folder)
        self._jitter, self._without_thinking, self._hiding = Random(), 0, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server engine", daemon=True)
        self._thread.start()
        try:
            self._client, self._endpoints = self._run(self._open())
            self._run(self._probe())
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def use(self, model: ModelRef) -> None:
        """Refuse: what a server has loaded is its own affair."""
        if model != self._model:
            raise EngineError(
                f"a server keeps its model {self._arguments.model!r} and cannot take {model.folder}; use engine vllm for that"
            )

    def generate(self, requests: Requests) -> Iterator[Completion]:
        """Yield completions as they end."""
        ended: queue.SimpleQueue[Future[Completion]] = queue.SimpleQueue()
        flying: set[Future[Completion]] = set()
        try:
            while True:
                while len(flying) < self._batch and (request := requests.take()) is not None:
                    future = asyncio.run_coroutine_threadsafe(self._complete(request), self._loop)
                    flying.add(future)
                    future.add_done_callback(ended.put)
                if not flying:
                    return
                done = ended.get()
                flying.discard(done)
                yield done.result()
        finally:
            for future in flying:
                future.cancel()

    async def _open(self) -> tuple[httpx.AsyncClient, Endpoints]:
        own = self._arguments
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(own.timeout_seconds, connect=min(CONNECT_SECONDS, own.timeout_seconds)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=own.in_flight * len(own.endpoints)),
            verify=any(address.startswith("https") for address in own.endpoints),  # else certificates are read for nothing
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
        )
        rests = {"first_rest": own.backoff_seconds, "patience": own.patience_seconds}
        return client, Endpoints(own.endpoints, in_flight=own.in_flight, **rests)

    async def _complete(self, request: Request) -> Completion:
        """The completion of a request, over failures of endpoints. Raises EngineError where all of them stay dead."""
        met: list[Endpoint] = []
        for number in count(1):
            async with self._endpoints.lease(met) as lease:
                try:
                    completion = self._completion(request, *await self._post(lease.endpoint.address, self._body(request)))
                    lease.answered()
                    return completion
                except _RefusedError as error:
                    lease.answered()
                    return Completion(request, Status.ERROR, "refused", "", (), str(error))
                except _TryAgainError as error:
                    failure = error
                    met.append(lease.endpoint)
                    lease.rest(error.pause) if error.is_busy else lease.failed(str(error))
            most = min(self._arguments.tries, TIMEOUT_TRIES) if failure.status is Status.TIMEOUT else self._arguments.tries
            if number >= most:
                return Completion(request, failure.status, failure.status.value, "", (), f"{number} tries: {failure}")
            grown = min(self._arguments.backoff_seconds * 2 ** min(number, 20), LONGEST_PAUSE)
            await asyncio.sleep(grown * self._jitter.uniform(0.25, 0.75))
        raise AssertionError("count() has no end")

    def _body(self, request: Request) -> dict[str, Any]:
        settings = request.sampling
        body = {
            "model": self._arguments.model,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": request.seed if settings.temperature > 0 else None,
            **(NEUTRAL if self._arguments.is_vllm else {}),
        }
        if self._arguments.api == "completions":
            stops = {"stop_token_ids": sorted(self._decoder.stop_ids), "skip_special_tokens": False} if self._arguments.is_vllm else {}
            return {**body, "prompt": list(request.prompt_ids), **stops}
        if request.question is None:
            raise _RefusedError("a chat cannot go on from a given thinking; set engine.arguments.api: completions, or another reader")
        return {**body, "messages": messages(*request.question)}

    async def _post(self, address: str, body: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        """The first choice, and how many tokens the server counted, if it says so. Raises _TryAgainError and _RefusedError."""
        path = "chat/completions" if "messages" in body else "completions"
        found = await self._ask("POST", f"{address}/v1/{path}", body)
        match found:
            case {"choices": [dict(choice), *_]}:
                usage = found.get("usage")
                counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
                return choice, counted if type(counted) is int and counted > 0 else None
        raise _TryAgainError(f"{address}: an answer without a choice: {self._shown(json.dumps(found))}")

    async def _ask(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        """One exchange. Raises _TryAgainError and _RefusedError."""
        try:
            async with asyncio.timeout(self._arguments.timeout_seconds):
                reply = await self._client.request(method, url, json=body)
        except (TimeoutError, httpx.TimeoutException):
            raise _TryAgainError(f"{url}: no answer within {self._arguments.timeout_seconds:g} s", status=Status.TIMEOUT) from None
        except httpx.HTTPError as error:
            raise _TryAgainError(f"{url}: {type(error).__name__}: {self._shown(str(error))}") from None
        if reply.status_code == httpx.codes.TOO_MANY_REQUESTS:
            pause = _seconds(reply.headers.get("Retry-After")) or self._arguments.backoff_seconds
            raise _TryAgainError(f"{url}: status 429", is_busy=True, pause=pause)
        if reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _TryAgainError(f"{url}: status {reply.status_code}: {self._shown(reply.text)}")
        if reply.status_code != httpx.codes.OK:
            raise _RefusedError(f"{url}: status {reply.status_code}: {self._shown(reply.text)}")
        try:
            return reply.json()
        except ValueError:
            raise _TryAgainError(f"{url}: the answer is no JSON: {self._shown(reply.text)!r}") from None

    def _shown(self, text: str) -> str:
        """The beginning of what a server said, without the key that it may repeat."""
        return (text.replace(self._key, "***") if self._key else text)[:SHOWN]

    def _completion(self, request: Request, choice: dict[str, Any], counted: int | None) -> Completion:
        """What a choice says, of so many tokens if it holds none.

        Raises _TryAgainError for one that cannot be understood, and ParamsError for a server that never thinks.
        """
        reason = str(choice.get("finish_reason"))
        given = choice.get("token_ids")
        try:
            text = _text_of(choice)
            token_ids = tuple(map(int, given)) if given else None
        except (KeyError, TypeError, ValueError) as error:
            raise _TryAgainError(f"a choice that cannot be read ({error}): {self._shown(json.dumps(choice))}") from None
        if not (text or token_ids):
            raise _TryAgainError(f"a choice without text and tokens: {self._shown(json.dumps(choice))}")
        if token_ids is None:
            ends = (min(self._decoder.stop_ids),) if reason == "stop" else ()
            token_ids = (*text_ids(self._decoder.tokenizer, text), *ends)
        elif self._arguments.api == "completions":
            text = self._decoder.text(token_ids)
        if given or (counted or 0) < len(token_ids):  # some servers leave the thinking out of their count
            counted = None
        status = FINISHED.get(reason, Status.ERROR)
        if self._arguments.thinks and request.question is not None and status is Status.OK:
            self._check_thinking(text, len(token_ids), counted)
        detail = "" if status.final else f"the server ended with {reason!r}"
        return Completion(request, status, reason, text, token_ids, detail, counted)

    def _check_thinking(self, text: str, tokens: int, counted: int | None) -> None:
        """Refuse a server whose answers do not hold their thinking: the first ones none at all, or now and then only a part of it."""
        if counted is not None and counted > HIDING * tokens + HIDING_GAP:
            self._hiding += 1
            if self._hiding >= FIRST_ANSWERS:
                raise self._without(
                    f"{FIRST_ANSWERS} answers", f"only a part of what was written, this one {tokens} of {counted} tokens", text
                )
        if self._without_thinking >= 0:
            self._without_thinking = -1 if split(text).thinking else self._without_thinking + 1
            if self._without_thinking >= FIRST_ANSWERS:
                lacking = "no thinking, neither as `reasoning` nor between think tags"
                raise self._without(f"the first {FIRST_ANSWERS} answers", lacking, text)

    def _without(self, answers: str, held: str, text: str) -> ParamsError:
        return ParamsError(
            f"{answers} of {self._arguments.model!r} hold {held}; start the server with its reasoning parser, set api: completions, or "
            f"thinks: false. One: {self._shown(text)!r}"
        )

    async def _probe(self) -> None:
        """One request before all others: is the model there, is its template ours, does it keep to its budget and stop where it should?"""
        asked = probe_of(self._decoder)
        await asyncio.gather(*(self._probe_one(endpoint, asked) for endpoint in self._endpoints.all))
        if all(endpoint.is_dead for endpoint in self._endpoints.all):
            raise EngineError(f"no endpoint answers: {'; '.join(endpoint.why for endpoint in self._endpoints.all)}. Are the servers up?")

    async def _probe_one(self, endpoint: Endpoint, asked: Request) -> None:
        try:
            await self._check_model(endpoint.address)
            await self._check_prompt(endpoint.address, asked.prompt_ids)
            choice, _ = await self._post(endpoint.address, self._body(asked))
            check_answer(choice.get("token_ids") or (), choice.get("finish_reason"), self._decoder.stop_ids, place=endpoint.address)
        except _RefusedError as error:
            raise ParamsError(f"the server refuses a probe: {error}; does it need engine.arguments.is_vllm: false?") from None
        except _TryAgainError as error:
            self._endpoints.count_out(endpoint, str(error))

    async def _check_model(self, address: str) -> None:
        found = await self._ask("GET", f"{address}/v1/models")
        names = [str(model.get("id")) for model in found.get("data", ())] if isinstance(found, dict) else []
        if self._arguments.model not in names:
            raise ParamsError(f"{address} serves {names}, not {self._arguments.model!r}; set engine.arguments.model")

    async def _check_prompt(self, address: str, prompt: tuple[int, ...]) -> None:
        """What the server makes of the probe must be our prompt: of its messages in a chat, else of its rendered text.

        Servers without vLLM's /tokenize cannot be asked.
        """
        text = {"prompt": self._decoder.tokenizer.decode(list(prompt)), "add_special_tokens": False}
        said = {"messages": messages(*PROBE)} if self._arguments.api == "chat" else text
        try:
            found = await self._ask("POST", f"{address}/tokenize", {"model": self._arguments.model, **said})
        except (_RefusedError, _TryAgainError):
            return
        rendered = tuple(found.get("tokens", ())) if isinstance(found, dict) else ()
        if rendered and rendered != prompt:
            texts = [self._decoder.tokenizer.decode(list(ids)) for ids in (rendered, prompt)]
            raise ParamsError(
                f"{address}: a prompt is {texts[0]!r} to the server and {texts[1]!r} to {self._model.folder}, token by token; serve the "
                "model with the tokenizer and template of that folder"
            )

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _close(self) -> None:
        if self._loop.is_closed():
            return
        if hasattr(self, "_client"):
            self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _key_of(variable: str) -> str | None:
    """The key in an environment variable. Raises ParamsError for one that no header can carry, without showing it."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ParamsError(f"the environment variable {variable} holds a key with characters that no HTTP header can carry; set it again")
    return key or None


def _text_of(choice: dict[str, Any]) -> str:
    """The text of a completion, or of a chat's message in the think format, open where the answer did not begin. Raises TypeError,
    ValueError and KeyError for what is none.
    """
    if "message" not in choice:
        return _string(choice["text"]) or ""
    message = choice["message"]
    if not isinstance(message, dict):
        raise TypeError("a message is no object")
    thinking, answer = _string(reasoning_of(message), or_none=True), _string(message.get("content"), or_none=True)
    if thinking is None:
        return answer or ""
    return f"{OPEN}{thinking}" if answer is None else f"{OPEN}{thinking}{CLOSE}{answer}"


def _string(value: object, *, or_none: bool = False) -> str | None:
    if isinstance(value, str) or (or_none and value is None):
        return value
    raise TypeError(f"{value!r} is no text")


def _seconds(retry_after: str | None) -> float:
    """What a server asks to wait, where it says seconds."""
    try:
        return min(max(float(retry_after or 0), 0.0), LONGEST_PAUSE)
    except ValueError:
        return 0.0
