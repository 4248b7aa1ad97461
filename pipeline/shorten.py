"""Stage `shorten`: every compressor of the params over the right long traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.difficulty import Difficulty, difficulty, pass_rate
from data.errors import StageError
from data.hub import local_folder
from data.lineage import by_problem, outcomes, training_problems
from data.records import Outcome, Problem, Trace, Verdict
from data.tables import read_all, write_table
from pipeline.support import paths
from pipeline.support.engines import instruction_of, tokenizer_of
from pipeline.support.params import Params, load
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.compressors.contract import Evidence
from teachers.engine import ModelRef
from teachers.evidence import Sources, gather
from teachers.scores import Reader, Scorer
from teachers.shortening import Shortened, Shortener


def shorten(params: Params, problems: Sequence[Problem], *, traces: Sequence[Trace], verdicts: Sequence[Verdict]) -> Shortened:
    """Right long traces → short traces, counted with the teacher's tokenizer."""
    training, said = training_problems(problems), outcomes(traces, verdicts)
    drawn = by_problem(traces, training)
    right = {problem_id: [trace for trace in own if said[trace.id] is Outcome.RIGHT] for problem_id, own in drawn.items()}
    difficulties = {problem_id: difficulty(pass_rate(said[trace.id] for trace in own)) for problem_id, own in drawn.items()}
    evidence = _evidence(params, [(training[problem_id], own[0]) for problem_id, own in right.items() if own], difficulties)
    shortener, short = Shortener(params.shorten, tokenizer_of(params.sample.teacher), evidence), Shortened()
    for problem_id, own in progress(right.items(), label="shorten", total=len(right), unit="problem"):
        if own:
            shortener.shorten(training[problem_id], own, into=short)
        else:
            short.dropped["no right trace"] += 1
    return short


def _evidence(params: Params, first: Sequence[tuple[Problem, Trace]], difficulties: Mapping[str, Difficulty]) -> Evidence:
    """Whatever the compressors choose by; models are loaded only where one of them needs them."""
    sample = params.sample
    model = ModelRef(local_folder(sample.teacher.path, sample.teacher.revision))
    reader = Reader(model, tokenizer_of(sample.teacher), instruction_of(sample.instruction), sample.format)
    with Scorer(reader, paths.token_scores()) as scorer:
        return gather(params.shorten, first, difficulties, Sources(scorer, local_folder), watch=progress)


def _body(statistics: Statistics) -> None:
    params = load()
    problems, traces = read_all(paths.PROBLEMS, Problem), read_all(paths.LONG_TRACES, Trace)
    short = shorten(params, problems, traces=traces, verdicts=read_all(paths.LONG_VERDICTS, Verdict))
    if params.shorten and not short.traces:
        raise StageError(f"no compressor made a trace of {len(traces)} long ones: {dict(short.dropped)}; look at the teacher's texts")
    statistics.rows_in, statistics.dropped = len(traces), short.dropped
    statistics.rows_out = write_table(paths.SHORT_TRACES, short.table())


if __name__ == "__main__":
    run_stage("shorten", _body)
