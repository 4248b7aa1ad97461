"""Which trace belongs to which problem and verdict: joins that refuse rows without a partner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from data.errors import RecordError
from data.records import Outcome, Problem, Recheck, Split, Trace, Verdict

T = TypeVar("T")


def training_problems(problems: Iterable[Problem]) -> dict[str, Problem]:
    """The problems that traces may teach, by id."""
    return {problem.id: problem for problem in problems if problem.split is Split.TRAIN}


def by_problem(traces: Iterable[Trace], problems: dict[str, Problem]) -> dict[str, list[Trace]]:
    """Traces of each training problem in order of (writer, draw). Raises RecordError for a trace of any other problem."""
    ordered = sorted(traces, key=lambda trace: (trace.problem_id, trace.writer, trace.draw, trace.id))
    for trace in ordered:
        if trace.problem_id not in problems:
            raise RecordError(
                f"trace {trace.id}: field problem_id: {trace.problem_id!r} is no training problem of this run; "
                "make the traces again from these problems: `dvc repro`"
            )
    return {problem_id: list(group) for problem_id, group in groupby(ordered, key=lambda trace: trace.problem_id)}


def outcomes(traces: Sequence[Trace], verdicts: Iterable[Verdict]) -> dict[str, Outcome]:
    """What the verifier said of each trace, by trace id. Raises RecordError for a trace without a verdict and for a second verdict."""
    said = _one_each(((verdict.trace_id, verdict.outcome) for verdict in verdicts), "verdict")
    _all_there(traces, said, "verdict")
    return said


def rechecks_of(traces: Sequence[Trace], rechecks: Iterable[Recheck]) -> dict[str, Recheck]:
    """The recheck of each short trace, by trace id. Raises RecordError as `outcomes` does."""
    said = _one_each(((recheck.trace_id, recheck) for recheck in rechecks), "recheck")
    _all_there(traces, said, "recheck")
    return said


def origin(trace: Trace, parents: Mapping[str, Trace]) -> Trace:
    """The long trace that a short one comes from: its first parent's first parent, and so on. Raises RecordError where one is lost."""
    while trace.parent_ids:
        if trace.parent_ids[0] not in parents:
            raise RecordError(f"trace {trace.id}: its parent {trace.parent_ids[0]} is in no table. Make them again: `dvc repro`")
        trace = parents[trace.parent_ids[0]]
    return trace


def _one_each(pairs: Iterable[tuple[str, T]], name: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for trace_id, value in pairs:
        if trace_id in found:
            raise RecordError(f"trace {trace_id}: a second {name}; each trace has one")
        found[trace_id] = value
    return found


def _all_there(traces: Iterable[Trace], said: Mapping[str, object], name: str) -> None:
    for trace in traces:
        if trace.id not in said:
            raise RecordError(f"trace {trace.id}: no {name}; the tables do not belong together. Make them again: `dvc repro`")
