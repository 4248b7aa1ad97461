"""The one entry to all verifiers: texts in, verdicts out, in any order.

Verifiers that are pure and of linear time (`INLINE`) run here, in the caller's process; the others run in a pool that kills what hangs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import Final, NamedTuple, Required, Self, TypedDict, Unpack

from data.chat import split
from data.records import Outcome, Reference, Status, Verdict
from data.verifiers import choice, exact, expression, gym, label, number, pool, program
from data.verifiers.contract import Judgement, Limits, Verifier

_ALL: Final[tuple[Verifier, ...]] = (number, expression, choice, label, exact, program, gym)
VERIFIERS: Final[Mapping[str, Verifier]] = MappingProxyType({own.NAME: own for own in _ALL})
"""Kind of the reference → its verifier."""
UNFINISHED = {
    Status.TRUNCATED: Judgement(Outcome.TRUNCATED, None, "the completion was cut at its token limit"),
    Status.ERROR: Judgement(Outcome.ERROR, None, "the completion failed"),
    Status.TIMEOUT: Judgement(Outcome.TIMEOUT, None, "the completion timed out"),
}


KEPT_BUSY = 4
"""Texts that wait or are worked on for each process."""


class PoolArguments(TypedDict, total=False):
    """How verifiers' processes work; see data.verifiers.contract.Limits."""

    workers: Required[int]
    timeout_seconds: Required[float]
    allow_unsandboxed: bool


class TextCase(NamedTuple):
    """A whole text (thinking and answer) to judge; `key` becomes the verdict's trace_id."""

    key: str
    reference: Reference
    text: str
    status: Status


class Judge:
    """Judges texts as they are put in; only the text after the thinking decides. A context manager that owns verifier processes."""

    def __init__(self, *, workers: int, timeout_seconds: float, allow_unsandboxed: bool = False) -> None:
        self._workers, self._limits = workers, Limits(timeout_seconds, allow_unsandboxed)
        self._judged: deque[Verdict] = deque()
        self._open: dict[str, TextCase] = {}
        self._pools: dict[str, pool.Pool] = {}
        self._keys = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for own in self._pools.values():
            own.__exit__(*exc_info)

    def __len__(self) -> int:
        """Texts that were put in and whose verdict was not given out."""
        return len(self._judged) + len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether enough texts wait to keep all processes busy; more of them would only take memory."""
        return len(self._open) > KEPT_BUSY * self._workers

    def put(self, case: TextCase) -> None:
        """Take in a text."""
        judgement = _judge_here(case)
        if judgement is not None:
            self._judged.append(_verdict(case, judgement))
            return
        key = str(next(self._keys))
        self._open[key] = case
        self._pool(case.reference.kind).put(pool.Task(key, case.reference.model_dump_json(), split(case.text).answer))

    def ready(self, *, wait: bool = False) -> Iterator[Verdict]:
        """Yield the verdicts that there are by now; with `wait`, at least one where any text is left."""
        must_wait = wait and not self._judged
        while self._judged:
            yield self._judged.popleft()
        for own in self._pools.values():
            for key, judgement in own.ready(wait=must_wait):
                must_wait = False
                yield _verdict(self._open.pop(key), judgement)

    def _pool(self, kind: str) -> pool.Pool:
        if kind not in self._pools:
            settings = pool.PoolSettings(
                VERIFIERS[kind].__name__, self._workers, self._limits.timeout_seconds, allow_unsandboxed=self._limits.allow_unsandboxed
            )
            self._pools[kind] = pool.Pool(settings)
        return self._pools[kind]


def judge_texts(cases: Iterable[TextCase], **pool: Unpack[PoolArguments]) -> Iterator[Verdict]:
    """Yield a verdict for every case as it is reached."""
    with Judge(**pool) as judge:
        for case in cases:
            judge.put(case)
            yield from judge.ready(wait=judge.is_full)
        while judge:
            yield from judge.ready(wait=True)


def gold_text(reference: Reference) -> str:
    """The gold answer as a writer would state it: what the gold check judges."""
    return VERIFIERS[reference.kind].gold_text(reference)


def _judge_here(case: TextCase) -> Judgement | None:
    """The judgement that needs no process; None where one is needed."""
    if case.status in UNFINISHED:
        return UNFINISHED[case.status]
    parts = split(case.text)
    if not parts.closed:
        return Judgement(Outcome.TRUNCATED, None, "the thinking never ended")
    verifier = VERIFIERS[case.reference.kind]
    return verifier.judge(case.reference, parts.answer) if verifier.INLINE else None


def _verdict(case: TextCase, judgement: Judgement) -> Verdict:
    kind = case.reference.kind
    return Verdict(trace_id=case.key, verifier=kind, version=VERIFIERS[kind].VERSION, **judgement._asdict())
