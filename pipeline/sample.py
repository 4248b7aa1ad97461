"""Stage `sample`: long traces of the training problems, drawn from the teacher or imported from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from data.chat import split, tokenizer_hash
from data.errors import StageError
from data.imports import TextImport, import_traces
from data.lineage import training_problems
from data.records import Drawn, Problem, Trace
from data.stopping import IMPORTED
from data.tables import read_all, write_table
from data.verifiers.judge import Judge
from pipeline.support import paths
from pipeline.support.engines import engine_spec, instruction_of, sampling_settings, tokenizer_of
from pipeline.support.params import Params, Sample, load
from pipeline.support.preflight import UsedEngine, UsedModel, preflight
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.drawing import Drawing, drawn_by
from teachers.generate import Generator
from teachers.sampling import Failures, Recipe, TraceOf, asked_of


def sample(params: Params, problems: Sequence[Problem], *, statistics: Statistics, drawn: list[Drawn]) -> Iterator[Trace]:
    """Problems → long traces, sorted by (problem, draw); `drawn` is filled with what each problem got."""
    training = list(training_problems(problems).values())
    traces = _imported if params.sample.source == "file" else _drawn
    is_thinking = False
    for trace in traces(params, training, statistics, drawn):
        is_thinking = is_thinking or bool(split(trace.text).thinking)
        statistics.rows_in += 1
        yield trace
    if not is_thinking:
        raise StageError(
            f"no draw of {len(training)} problems holds any thinking: {statistics.rows_in} traces without, "
            f"dropped: {dict(statistics.dropped)}. "
            "Is `sample.format` the one that the teacher writes? A model without think tags needs `sections` and an instruction for them"
        )
    statistics.rows_in += statistics.dropped.total()


def _drawn(params: Params, problems: Sequence[Problem], statistics: Statistics, drawn: list[Drawn]) -> Iterator[Trace]:
    """Draw until every problem's rule has stopped; then read the traces from the store, so that no texts wait in memory."""
    settings, tokenizer = params.sample, tokenizer_of(params.sample.teacher)
    spec, recipe = engine_spec(settings.engine, settings.teacher), recipe_of(settings)
    by_id = {problem.id: problem for problem in problems}
    prompts = partial(asked_of, tokenizer=tokenizer, recipe=recipe, max_model_length=spec.max_model_length)
    for _ in prompts(problems):
        pass  # a prompt that is too long is found before anything is spent
    failures = Failures(expected=len(problems) * recipe.draws, max_errors=settings.max_errors)
    judge = Judge(**params.verify.pool)
    with Generator(spec, paths.completions(), shard="sample") as generator, judge:
        longest_first = prompts(sorted(problems, key=lambda problem: -len(problem.question)))
        drawing = Drawing(longest_first, recipe, judge, stop=settings.stop, first=settings.first)
        ended = progress(drawn_by(generator, drawing, failures), label="sample", total=len(problems), unit="problem")
        drawn += sorted(ended, key=lambda row: row.problem_id)
        statistics.made_tokens = generator.made_tokens
        statistics.dropped += failures.counts
        written = TraceOf(recipe, recipe.settings_id(spec), tokenizer_hash(tokenizer))
        for row, asked in zip(drawn, prompts(by_id[row.problem_id] for row in drawn), strict=True):
            completions = generator.stored(asked.request(recipe.sampling, draw) for draw in range(row.draws))
            yield from written.all(asked.problem, completions, statistics.dropped)


def recipe_of(settings: Sample) -> Recipe:
    """How the teacher is asked, and in which format it answers."""
    return Recipe(sampling_settings(settings.sampling), settings.draws, instruction_of(settings.instruction), settings.format)


def _imported(params: Params, problems: Sequence[Problem], statistics: Statistics, drawn: list[Drawn]) -> Iterator[Trace]:
    settings = params.sample
    how = TextImport(tokenizer_of(settings.teacher), settings.format, instruction_of(settings.instruction))
    gathered = import_traces(Path(settings.file or ""), problems, how=how)
    statistics.dropped += gathered.dropped
    for problem_id, own in groupby(gathered.traces, key=lambda trace: trace.problem_id):
        traces = list(own)
        tokens = sum(trace.completion_tokens for trace in traces)
        prompt = traces[0].prompt_tokens
        draws = max(trace.draw for trace in traces) + 1
        got = Drawn(problem_id=problem_id, draws=draws, rule=IMPORTED, reason=IMPORTED, prompt_tokens=prompt, completion_tokens=tokens)
        drawn.append(got)
    yield from gathered.traces


def used(params: Params) -> Iterator[UsedModel | UsedEngine]:
    """What the preflight looks at."""
    own = params.sample
    yield UsedModel("sample.teacher", own.teacher, own.instruction)
    if own.source == "engine":
        yield UsedEngine("sample.engine", own.engine, own.teacher, own.sampling.max_tokens)


def _body(statistics: Statistics) -> None:
    params, drawn = load(), list[Drawn]()
    preflight(used(params))
    traces = sample(params, read_all(paths.PROBLEMS, Problem), statistics=statistics, drawn=drawn)
    statistics.rows_out = write_table(paths.LONG_TRACES, traces)
    write_table(paths.DRAWN, drawn)


if __name__ == "__main__":
    run_stage("sample", _body)
