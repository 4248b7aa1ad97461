"""Stage `shorten`: every compressor of the params over the long traces, right or wrong, or over what another compressor made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from data.difficulty import Difficulty, difficulties
from data.errors import StageError
from data.hub import local_folder
from data.lineage import by_problem, outcomes, training_problems
from data.records import Outcome, Problem, Trace, Verdict
from data.tables import read_all, write_table
from pipeline.support import paths
from pipeline.support.draws import first_draws
from pipeline.support.engines import engine_spec, instruction_of, tokenizer_of
from pipeline.support.params import Params, load
from pipeline.support.preflight import UsedEngine, UsedModel, preflight
from pipeline.support.stage import Statistics, progress, run_stage
from teachers.compressors.contract import Evidence
from teachers.compressors.settings import AnyCompression, AskingSettings, groups, needs, of_wrong
from teachers.engine import Completion, Request
from teachers.evidence import Sources, gather
from teachers.generate import Generator
from teachers.identity import resolve_dtype
from teachers.reading import Reader
from teachers.sampling import Failures
from teachers.scores import Scorer
from teachers.shortening import Shortened, Shortener, Work


def shorten(
    params: Params, problems: Sequence[Problem], *, traces: Sequence[Trace], verdicts: Sequence[Verdict], statistics: Statistics
) -> Shortened:
    """Long traces → short traces, counted with the teacher's tokenizer."""
    training, said = training_problems(problems), outcomes(traces, verdicts)
    drawn = by_problem(traces, training)
    right, wrong = (_that_are(outcome, drawn, training, said) for outcome in (Outcome.RIGHT, Outcome.WRONG))
    short = Shortened(dropped=+Counter({"no right trace": len(drawn) - len(right)}))
    bands, wrong_names = difficulties(traces, said, first=first_draws(params.sample)), of_wrong(params.shorten)
    for group in groups(params.shorten):
        name, settings = next(iter(group.items()))
        work = short.work(wrong if name in wrong_names else right, of=settings.of)
        evidence = _evidence(params, group, [(each.problem, each.traces[0]) for each in work if each.traces], bands)
        _shorten_all(params.model_copy(update={"shorten": group}), work, evidence, statistics=statistics, into=short)
    return short


def _that_are(
    outcome: Outcome, drawn: Mapping[str, Sequence[Trace]], problems: Mapping[str, Problem], said: Mapping[str, Outcome]
) -> list[tuple[Problem, list[Trace]]]:
    """The problems that have such traces, with them."""
    found = {problem_id: [trace for trace in own if said[trace.id] is outcome] for problem_id, own in drawn.items()}
    return [(problems[problem_id], own) for problem_id, own in found.items() if own]


def _shorten_all(params: Params, work: Sequence[Work], evidence: Evidence, *, statistics: Statistics, into: Shortened) -> None:
    """Let the compressors of `params`, which all work on the same traces, ask what they have to ask, and then write."""
    tokenizer = tokenizer_of(params.sample.teacher)
    asking = Shortener(params.shorten, tokenizer, evidence)
    wanted = [request for each in work for request in asking.requests(each)]
    shortener = Shortener(params.shorten, tokenizer, replace(evidence, answers=_answers(params, wanted, statistics)))
    for each in progress(work, label=", ".join(params.shorten), total=len(work), unit="problem"):
        shortener.shorten(each, into=into)


def _answers(params: Params, wanted: Sequence[Request], statistics: Statistics) -> dict[Request, Completion]:
    """What the teacher writes where compressors ask for it; its engine is started only for what the completion store lacks.

    Raises StageError where more than `sample.max_errors` of it fails.
    """
    if not wanted:
        return {}
    with Generator(engine_spec(params.sample.engine, params.sample.teacher), paths.completions(), shard="shorten") as generator:
        completions = progress(generator.complete(wanted), label="ask", total=len(wanted), unit="draw")
        failures, answers = Failures(expected=len(wanted), max_errors=params.sample.max_errors), {}
        for completion in completions:
            if completion.finish_reason != "refused":  # a prompt that does not fit is skipped, and fits no better another time
                failures.note(completion)
            answers[completion.request] = completion
        failures.close()
        statistics.made_tokens += generator.made_tokens
    return answers


def _evidence(
    params: Params, compressors: Mapping[str, AnyCompression], first: Sequence[tuple[Problem, Trace]], bands: Mapping[str, Difficulty]
) -> Evidence:
    """Whatever these compressors choose by. Models are loaded only where one is needed, and have left again before another is asked."""
    if not needs(compressors.values()):
        return Evidence(bands)
    sample = params.sample
    spec = replace(engine_spec(sample.engine, sample.teacher), kind="hf")  # read with transformers, whatever it writes with
    reader = Reader(spec.model, tokenizer_of(sample.teacher), instruction_of(sample.instruction), sample.format, resolve_dtype(spec))
    with Scorer(reader, paths.token_scores()) as scorer:
        return gather(compressors, first, bands, Sources(scorer, local_folder), watch=progress)


def used(params: Params) -> Iterator[UsedModel | UsedEngine]:
    """What the preflight looks at: the teacher, where a compressor asks it or reads with it."""
    teacher, asking = params.sample, [each for each in params.shorten.values() if isinstance(each, AskingSettings)]
    if asking or needs(params.shorten.values()):
        yield UsedModel("sample.teacher", teacher.teacher, teacher.instruction)
    if asking:
        yield UsedEngine("sample.engine", teacher.engine, teacher.teacher, max(each.max_tokens for each in asking))


def _body(statistics: Statistics) -> None:
    params = load()
    preflight(used(params))
    problems, traces = read_all(paths.PROBLEMS, Problem), read_all(paths.LONG_TRACES, Trace)
    short = shorten(params, problems, traces=traces, verdicts=read_all(paths.LONG_VERDICTS, Verdict), statistics=statistics)
    table = short.table()
    if params.shorten and not table:
        raise StageError(f"no compressor made a trace of {len(traces)} long ones: {dict(short.dropped)}; look at the teacher's texts")
    statistics.rows_in, statistics.dropped = len(traces), short.dropped
    statistics.rows_out = write_table(paths.SHORT_TRACES, table)


if __name__ == "__main__":
    run_stage("shorten", _body)
