"""Stage `sample`: long traces of the training problems, drawn from the teacher or imported from a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data.chat import split, tokenizer_hash
from data.errors import StageError
from data.imports import Gathered, TextImport, import_traces
from data.lineage import training_problems
from data.records import Problem, Trace
from data.tables import read_all, write_table
from pipeline.support import paths
from pipeline.support.engines import engine_spec, instruction_of, sampling_settings, tokenizer_of
from pipeline.support.params import Sample, load
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.generate import Generator
from teachers.sampling import Recipe, requests_of, traces_of, usable


def sample(settings: Sample, problems: Sequence[Problem], *, statistics: Statistics) -> list[Trace]:
    """Problems → long traces, sorted by (problem, draw)."""
    training = list(training_problems(problems).values())
    gathered = _imported(settings, training) if settings.source == "file" else _drawn(settings, training, statistics)
    statistics.dropped += gathered.dropped
    statistics.rows_in = len(gathered.traces) + gathered.dropped.total()
    if not any(split(trace.text).thinking for trace in gathered.traces):
        raise StageError(
            f"no draw of {len(training)} problems holds any thinking: {len(gathered.traces)} traces without, "
            f"dropped: {dict(gathered.dropped)}. "
            "Is `sample.format` the one that the teacher writes? A model without think tags needs `sections` and an instruction for them"
        )
    return gathered.traces


def _drawn(settings: Sample, problems: Sequence[Problem], statistics: Statistics) -> Gathered:
    recipe = Recipe(sampling_settings(settings.sampling), settings.draws, instruction_of(settings.instruction), settings.format)
    spec, tokenizer = engine_spec(settings.engine, settings.teacher), tokenizer_of(settings.teacher)
    wanted = requests_of(problems, tokenizer, recipe, max_model_length=spec.max_model_length)
    failed: Counter[str] = Counter()
    with Generator(spec, paths.completions(), shard="sample") as generator:
        completions = progress(generator.complete(wanted), label="sample", total=len(wanted), unit="draw")
        ended_well = usable(completions, failed, expected=len(wanted), max_errors=settings.max_errors)
        gathered = traces_of(ended_well, wanted, recipe=recipe, settings_id=recipe.settings_id(spec), tokenizer=tokenizer_hash(tokenizer))
        statistics.made_tokens = generator.made_tokens
    return Gathered(gathered.traces, gathered.dropped + failed)


def _imported(settings: Sample, problems: Sequence[Problem]) -> Gathered:
    how = TextImport(tokenizer_of(settings.teacher), settings.format, instruction_of(settings.instruction))
    return import_traces(Path(settings.file or ""), problems, how=how)


def _body(statistics: Statistics) -> None:
    traces = sample(load().sample, read_all(paths.PROBLEMS, Problem), statistics=statistics)
    statistics.rows_out = write_table(paths.LONG_TRACES, traces)


if __name__ == "__main__":
    run_stage("sample", _body)
