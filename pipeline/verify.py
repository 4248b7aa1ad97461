"""Stage verify: problems, long traces → verdicts. Is the answer of each trace right?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from data.errors import RecordError
from data.records import Outcome, Problem, Trace, Verdict
from data.tables import read_all, write_table
from data.verifiers.judge import TextCase, judge_texts
from pipeline.support.params import Verify, load
from pipeline.support.paths import LONG_TRACES, LONG_VERDICTS, PROBLEMS
from pipeline.support.stage import Statistics, progress, run_stage


def verify(settings: Verify, *, problems: Path, traces: Path, verdicts: Path, statistics: Statistics) -> None:
    """Write one verdict per trace, sorted by problem and draw; what is not right is counted by outcome."""
    by_id = {problem.id: problem for problem in read_all(problems, Problem)}
    drawn = sorted(read_all(traces, Trace), key=lambda trace: (trace.problem_id, trace.draw, trace.id))
    judged = judge_texts(_cases(drawn, by_id, traces), **settings.pool)
    found = {verdict.trace_id: verdict for verdict in progress(judged, label="verify", total=len(drawn), unit="trace")}
    write_table(verdicts, (found[trace.id] for trace in drawn))
    _count(statistics, list(found.values()))


def _cases(traces: list[Trace], problems: Mapping[str, Problem], path: Path) -> Iterator[TextCase]:
    for trace in traces:
        if trace.problem_id not in problems:
            raise RecordError(
                f"{path}: trace {trace.id}: field problem_id: {trace.problem_id!r} is no problem of this run; `dvc repro sample`"
            )
        yield TextCase(trace.id, problems[trace.problem_id].reference, trace.text, trace.status)


def _count(statistics: Statistics, verdicts: list[Verdict]) -> None:
    statistics.rows_in = len(verdicts)
    statistics.rows_out = sum(verdict.outcome is Outcome.RIGHT for verdict in verdicts)
    statistics.dropped.update(verdict.outcome.value for verdict in verdicts if verdict.outcome is not Outcome.RIGHT)


if __name__ == "__main__":
    run_stage(
        "verify",
        lambda statistics: verify(load().verify, problems=PROBLEMS, traces=LONG_TRACES, verdicts=LONG_VERDICTS, statistics=statistics),
    )
