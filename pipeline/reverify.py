"""Stage `reverify`: does a short thinking alone carry to the right answer?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from data.lineage import by_problem, training_problems
from data.records import Problem, Recheck, Trace
from data.tables import read_all, read_table, write_table
from data.verifiers.judge import judge_texts
from data.verifiers.stated import Thinking, stated_all
from pipeline.support import paths
from pipeline.support.engines import engine_spec, instruction_of, sampling_settings, tokenizer_of
from pipeline.support.params import Params, Reader, load
from pipeline.support.preflight import UsedEngine, UsedModel, preflight
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.compressors.settings import of_wrong
from teachers.generate import Generator
from teachers.recheck import OF_WRONG, Rule, Tally, probe_of, probes_of, recheck, requests_of
from teachers.sampling import Failures, Recipe, usable


def reverify(params: Params, problems: Sequence[Problem], *, traces: Sequence[Trace], statistics: Statistics) -> list[Recheck]:
    """Short traces → what their thinking alone is worth, in the order of the traces."""
    training = training_problems(problems)
    by_problem(traces, training)  # refuses traces of other problems
    controls, wrong = frozenset(name for name, own in params.shorten.items() if own.control), frozenset(of_wrong(params.shorten))
    rule = Rule(params.reverify.require, controls, params.reverify.rate, wrong)
    tally = _continued(params, training, traces=[trace for trace in traces if trace.writer not in wrong], statistics=statistics)
    thinkings = [Thinking(t.id, training[t.problem_id].reference, probe_of(training[t.problem_id], t).thinking) for t in traces]
    stated = dict(stated_all(thinkings, **params.verify.pool))
    return [recheck(t, training[t.problem_id], stated=stated[t.id], tally=tally, rule=rule) for t in traces]


def _reader(params: Params) -> Reader:
    """The model that goes on, and how it is asked."""
    sample = params.sample
    teacher = Reader(model=sample.teacher, engine=sample.engine, instruction=sample.instruction, format=sample.format)
    return params.reverify.reader or teacher


def _continued(params: Params, training: Mapping[str, Problem], *, traces: Sequence[Trace], statistics: Statistics) -> Tally:
    """Let the reader go on from every thinking, and from none, and judge where it ends."""
    settings, reader, tally = params.reverify, _reader(params), Tally()
    recipe = Recipe(sampling_settings(settings.sampling), settings.draws, instruction_of(reader.instruction), reader.format)
    spec = engine_spec(reader.engine, reader.model)
    wanted = requests_of(probes_of(training, traces), tokenizer_of(reader.model), recipe, max_model_length=spec.max_model_length)
    with Generator(spec, paths.completions(), shard="reverify") as generator:
        completions = progress(generator.complete(wanted), label="reverify", total=len(wanted), unit="draw")
        ended_well = usable(completions, Failures(expected=len(wanted), max_errors=params.sample.max_errors))
        cases = list(tally.cases(ended_well, wanted))
        statistics.made_tokens = generator.made_tokens
    judged = judge_texts(cases, **params.verify.pool)
    for verdict in progress(judged, label="judge", total=len(cases)):
        tally.add(verdict)
    return tally


def used(params: Params) -> Iterator[UsedModel | UsedEngine]:
    """What the preflight looks at: the model that goes on."""
    reader, own = _reader(params), params.reverify.reader
    model, engine = ("sample.teacher", "sample.engine") if own is None else ("reverify.reader.model", "reverify.reader.engine")
    yield UsedModel(model, reader.model, reader.instruction)
    yield UsedEngine(engine, reader.engine, reader.model, params.reverify.sampling.max_tokens)


def _body(statistics: Statistics) -> None:
    params, traces = load(), list(read_table(paths.SHORT_TRACES, Trace))
    if traces:
        preflight(used(params))
    rechecks = reverify(params, read_all(paths.PROBLEMS, Problem), traces=traces, statistics=statistics) if traces else []
    statistics.rows_in = len(traces)
    statistics.dropped = Counter(recheck.reason for recheck in rechecks if not recheck.survives and recheck.reason != OF_WRONG)
    statistics.rows_out = write_table(paths.SHORT_VERDICTS, rechecks) - statistics.dropped.total()


if __name__ == "__main__":
    run_stage("reverify", _body)
