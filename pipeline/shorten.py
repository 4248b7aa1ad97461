"""Stage `shorten`: every compressor of the params over the right long traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.errors import StageError
from data.lineage import by_problem, outcomes, training_problems
from data.records import Outcome, Problem, Trace, Verdict
from data.tables import read_all, write_table
from pipeline.support import paths
from pipeline.support.engines import tokenizer_of
from pipeline.support.params import CompressorSettings, ModelSource, load
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.shortening import Order, Shortened, Shortener


def shorten(
    compressors: Mapping[str, CompressorSettings],
    teacher: ModelSource,
    *,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    verdicts: Sequence[Verdict],
) -> Shortened:
    """Right long traces → short traces, counted with the teacher's tokenizer."""
    training, said = training_problems(problems), outcomes(traces, verdicts)
    shortener = Shortener([Order(name, c.kind, c.like) for name, c in compressors.items()], tokenizer_of(teacher))
    short = Shortened()
    of_problem = by_problem(traces, training)
    for problem_id, drawn in progress(of_problem.items(), label="shorten", total=len(of_problem), unit="problem"):
        right = [trace for trace in drawn if said[trace.id] is Outcome.RIGHT]
        if right:
            shortener.shorten(training[problem_id], right, into=short)
        else:
            short.dropped["no right trace"] += 1
    return short


def _body(statistics: Statistics) -> None:
    params = load()
    problems, traces = read_all(paths.PROBLEMS, Problem), read_all(paths.LONG_TRACES, Trace)
    verdicts = read_all(paths.LONG_VERDICTS, Verdict)
    short = shorten(params.shorten, params.sample.teacher, problems=problems, traces=traces, verdicts=verdicts)
    if params.shorten and not short.traces:
        raise StageError(f"no compressor made a trace of {len(traces)} long ones: {dict(short.dropped)}; look at the teacher's texts")
    statistics.rows_in, statistics.dropped = len(traces), short.dropped
    statistics.rows_out = write_table(paths.SHORT_TRACES, short.table())


if __name__ == "__main__":
    run_stage("shorten", _body)
