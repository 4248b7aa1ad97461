"""Stage `shorten`: every compressor of the params over the right long traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from data.difficulty import Difficulty, difficulties
from data.errors import StageError
from data.hub import local_folder
from data.lineage import by_problem, outcomes, training_problems
from data.records import Outcome, Problem, Trace, Verdict
from data.tables import read_all, write_table
from pipeline.support import paths
from pipeline.support.engines import engine_spec, instruction_of, tokenizer_of
from pipeline.support.params import Params, load
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.compressors.settings import AnyCompression, groups
from teachers.engine import Completion, Request
from teachers.evidence import Sources, gather
from teachers.generate import Generator
from teachers.identity import resolve_dtype
from teachers.reading import Reader
from teachers.scores import Scorer
from teachers.shortening import Shortened, Shortener, Work


def shorten(
    params: Params, problems: Sequence[Problem], *, traces: Sequence[Trace], verdicts: Sequence[Verdict], statistics: Statistics
) -> Shortened:
    """Right long traces → short traces, counted with the teacher's tokenizer."""
    training, said = training_problems(problems), outcomes(traces, verdicts)
    drawn = by_problem(traces, training)
    right = {problem_id: [trace for trace in own if said[trace.id] is Outcome.RIGHT] for problem_id, own in drawn.items()}
    some_right = [(training[problem_id], own) for problem_id, own in right.items() if own]
    short = Shortened(dropped=+Counter({"no right trace": len(right) - len(some_right)}))
    bands = difficulties(traces, said)
    with Scorer(_reader(params), paths.token_scores()) as scorer:
        for group in groups(params.shorten):
            of = next(iter(group.values())).of
            _shorten_all(_Group(group, short.work(some_right, of=of), bands), params, scorer, statistics=statistics, into=short)
    return short


class _Group(NamedTuple):
    """Compressors that work on the same traces, what there is to do, and how hard the problems are."""

    compressors: Mapping[str, AnyCompression]
    work: Sequence[Work]
    bands: Mapping[str, Difficulty]


def _shorten_all(group: _Group, params: Params, scorer: Scorer, *, statistics: Statistics, into: Shortened) -> None:
    """Gather what the compressors choose by, ask what they have to ask, and let them work; models are loaded only where needed."""
    tokenizer = tokenizer_of(params.sample.teacher)
    first = [(work.problem, work.traces[0]) for work in group.work if work.traces]
    evidence = gather(group.compressors, first, group.bands, Sources(scorer, local_folder), watch=progress)
    asking = Shortener(group.compressors, tokenizer, evidence)
    wanted = [request for work in group.work for request in asking.requests(work)]
    shortener = Shortener(group.compressors, tokenizer, replace(evidence, answers=_answers(params, wanted, statistics)))
    for work in progress(group.work, label=", ".join(group.compressors), total=len(group.work), unit="problem"):
        shortener.shorten(work, into=into)


def _answers(params: Params, wanted: Sequence[Request], statistics: Statistics) -> dict[Request, Completion]:
    """What the teacher writes where compressors ask for it; its engine is started only for what the completion store lacks."""
    if not wanted:
        return {}
    with Generator(engine_spec(params.sample.engine, params.sample.teacher), paths.completions(), shard="shorten") as generator:
        completions = progress(generator.complete(wanted), label="ask", total=len(wanted), unit="draw")
        answers = {completion.request: completion for completion in completions}
        statistics.made_tokens += generator.made_tokens
    return answers


def _reader(params: Params) -> Reader:
    """The teacher as it reads its own traces, with transformers whatever it writes with."""
    sample = params.sample
    spec = replace(engine_spec(sample.engine, sample.teacher), kind="hf")
    return Reader(spec.model, tokenizer_of(sample.teacher), instruction_of(sample.instruction), sample.format, resolve_dtype(spec))


def _body(statistics: Statistics) -> None:
    params = load()
    problems, traces = read_all(paths.PROBLEMS, Problem), read_all(paths.LONG_TRACES, Trace)
    short = shorten(params, problems, traces=traces, verdicts=read_all(paths.LONG_VERDICTS, Verdict), statistics=statistics)
    table = short.table()
    if params.shorten and not table:
        raise StageError(f"no compressor made a trace of {len(traces)} long ones: {dict(short.dropped)}; look at the teacher's texts")
    statistics.rows_in, statistics.dropped = len(traces), short.dropped
    statistics.rows_out = write_table(paths.SHORT_TRACES, table)


if __name__ == "__main__":
    run_stage("shorten", _body)
