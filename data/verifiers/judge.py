"""The one entry to all verifiers: texts in, verdicts out, in any order.

Verifiers that are pure and of linear time (`number`) run here, in the caller's process; the others run in a pool that kills what hangs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from data.chat import split
from data.records import ExpressionReference, NumberReference, Outcome, Status, Verdict
from data.verifiers import expression, number, pool
from data.verifiers.contract import Judgement, Verifier

VERIFIERS: Final = MappingProxyType(
    {
        number.NAME: Verifier(number.__name__, number.VERSION, inline=True),
        expression.NAME: Verifier(expression.__name__, expression.VERSION, inline=False),
    }
)
"""Kind of the reference → its verifier."""
UNFINISHED = {
    Status.TRUNCATED: Judgement(Outcome.TRUNCATED, None, "the completion was cut at its token limit"),
    Status.ERROR: Judgement(Outcome.ERROR, None, "the completion failed"),
    Status.TIMEOUT: Judgement(Outcome.TIMEOUT, None, "the completion timed out"),
}


class TextCase(NamedTuple):
    """A whole text (thinking and answer) to judge; `key` becomes the verdict's trace_id."""

    key: str
    reference: NumberReference | ExpressionReference
    text: str
    status: Status


def judge_texts(cases: Iterable[TextCase], *, workers: int, timeout_seconds: float) -> Iterator[Verdict]:
    """Yield a verdict for every case as it is reached; only the text after the thinking decides."""
    pooled: list[TextCase] = []
    for case in cases:
        judgement = _judge_here(case)
        if judgement is None:
            pooled.append(case)
        else:
            yield _verdict(case, judgement)
    yield from _judge_in_pools(pooled, workers=workers, timeout_seconds=timeout_seconds)


def gold_text(reference: NumberReference | ExpressionReference) -> str:
    """The gold answer as a writer would state it: what the gold check judges."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _judge_here(case: TextCase) -> Judgement | None:
    """The judgement that needs no process; None where one is needed."""
    if case.status in UNFINISHED:
        return UNFINISHED[case.status]
    parts = split(case.text)
    if not parts.closed:
        return Judgement(Outcome.TRUNCATED, None, "the thinking never ended")
    if isinstance(case.reference, NumberReference):
        return number.judge(case.reference, parts.answer)
    return None


def _judge_in_pools(cases: list[TextCase], *, workers: int, timeout_seconds: float) -> Iterator[Verdict]:
    """One pool per kind of reference."""
    for kind in sorted({case.reference.kind for case in cases}):
        own = {str(index): case for index, case in enumerate(cases) if case.reference.kind == kind}
        tasks = (pool.Task(key, case.reference.model_dump_json(), split(case.text).answer) for key, case in own.items())
        settings = pool.PoolSettings(VERIFIERS[kind].module, min(workers, len(own)), timeout_seconds)
        for key, judgement in pool.run(tasks, settings):
            yield _verdict(own[key], judgement)


def _verdict(case: TextCase, judgement: Judgement) -> Verdict:
    kind = case.reference.kind
    return Verdict(trace_id=case.key, verifier=kind, version=VERIFIERS[kind].version, **judgement._asdict())
