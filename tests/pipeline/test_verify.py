from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Unpack

import pytest

import pipeline.verify
from data.errors import RecordError
from data.records import NumberReference, Outcome, Problem, Split, Status, Trace, Verdict
from data.tables import read_all, write_table
from data.verifiers.judge import PoolArguments, TextCase, judge_texts
from pipeline.support.params import Verify
from pipeline.support.stage import Statistics
from pipeline.verify import verify

PROBLEMS = [
    Problem.create(task="t", split=Split.TRAIN, question=f"What is {n} + 1?", reference=NumberReference(value=str(n + 1))) for n in range(6)
]
TEXTS = (
    ("<think>a</think>The answer is \\boxed{{{0}}}.", Status.OK, Outcome.RIGHT),
    ("<think>a</think>The answer is \\boxed{{-{0}}}.", Status.OK, Outcome.WRONG),
    ("<think>a</think>It is {0}.", Status.OK, Outcome.UNPARSED),
    ("<think>The answer is \\boxed{{{0}}}.", Status.TRUNCATED, Outcome.TRUNCATED),
    ("", Status.TIMEOUT, Outcome.TIMEOUT),
    ("", Status.ERROR, Outcome.ERROR),
)


def trace(problem: Problem, draw: int) -> Trace:
    text, status, _ = TEXTS[draw]
    return Trace.create(
        problem_id=problem.id,
        parent_ids=(),
        writer="teacher",
        settings_id="s",
        draw=draw,
        text=text.format(problem.reference.value),
        status=status,
        prompt_tokens=1,
        completion_tokens=1,
        tokenizer="t",
    )


TRACES = [trace(problem, draw) for problem in PROBLEMS for draw in range(len(TEXTS))]


def run(folder: Path, traces: list[Trace], problems: list[Problem] = PROBLEMS) -> Statistics:
    write_table(folder / "problems.jsonl", problems)
    write_table(folder / "traces.jsonl", traces)
    statistics = Statistics("verify")
    verify(
        Verify(workers=1),
        problems=folder / "problems.jsonl",
        traces=folder / "traces.jsonl",
        verdicts=folder / "verdicts.jsonl",
        statistics=statistics,
    )
    return statistics


def test_every_trace_gets_its_verdict_and_the_rest_is_counted_by_outcome(tmp_path: Path) -> None:
    statistics = run(tmp_path, TRACES)
    verdicts = {verdict.trace_id: verdict for verdict in read_all(tmp_path / "verdicts.jsonl", Verdict)}
    assert {key: verdict.outcome for key, verdict in verdicts.items()} == {made.id: TEXTS[made.draw][2] for made in TRACES}
    assert (statistics.rows_in, statistics.rows_out) == (36, 6)
    assert statistics.dropped == {"wrong": 6, "unparsed": 6, "truncated": 6, "timeout": 6, "error": 6}


def test_the_table_is_the_same_in_any_order_of_traces_and_of_arrival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TRACES)
    table = (tmp_path / "verdicts.jsonl").read_bytes()
    by_id = {made.id: made for made in TRACES}
    order = [(by_id[v.trace_id].problem_id, by_id[v.trace_id].draw) for v in read_all(tmp_path / "verdicts.jsonl", Verdict)]
    assert order == sorted(order)

    def shuffled_arrival(cases: Iterator[TextCase], **pool: Unpack[PoolArguments]) -> Iterator[Verdict]:
        verdicts = list(judge_texts(cases, **pool))
        yield from Random(seed).sample(verdicts, len(verdicts))

    monkeypatch.setattr(pipeline.verify, "judge_texts", shuffled_arrival)
    for seed in range(10):
        run(tmp_path, Random(seed).sample(TRACES, len(TRACES)))
        assert (tmp_path / "verdicts.jsonl").read_bytes() == table


def test_an_empty_trace_table_and_a_foreign_trace_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"traces.jsonl: the table is empty"):
        run(tmp_path, [])
    with pytest.raises(RecordError, match=r"traces.jsonl: trace \w+: field problem_id: .* is no problem of this run"):
        run(tmp_path, TRACES, PROBLEMS[1:])
    assert not (tmp_path / "verdicts.jsonl").exists()
