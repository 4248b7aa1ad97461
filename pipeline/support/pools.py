"""Pools of draws on which rules are tried: of the last run, of the completion store, or of a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

from pydantic import Field

from data.errors import RecordError, StageError
from data.lineage import training_problems
from data.metrics.cells import vote_of
from data.metrics.replay import Pool
from data.records import TEACHER, Drawn, Problem, Record, Score, Split, Trace, Verdict
from data.stopping import IMPORTED, MOST, Vote
from data.tables import parse_record, read_all, read_lines
from data.verifiers.judge import PoolArguments, TextCase, judge_texts
from pipeline.sample import recipe_of
from pipeline.support import paths
from pipeline.support.engines import engine_spec, tokenizer_of
from pipeline.support.params import Params
from teachers.generate import Generator
from teachers.sampling import Asked, Recipe, asked_of, text_of


class Stored(NamedTuple):
    """A prompt and how many of its draws are wanted."""

    asked: Asked
    draws: int


class PoolLine(Record):
    """One line of a pool: the answers that were drawn to one problem, in order; null could not be read."""

    problem_id: str
    answers: list[str | None] = Field(min_length=1)
    gold: str | None = None
    """The right answer, written as the answers are; without it no answer is right, and only agreement tells anything."""


def of_file(path: Path) -> Pool:
    """A pool of JSON lines. Raises RecordError, naming the line, for bad ones and for a problem that comes twice."""
    pool: dict[str, list[Vote]] = {}
    for place, line in read_lines(path):
        row = parse_record(line, PoolLine, place=place)
        if row.problem_id in pool:
            raise RecordError(f"{place}: problem_id {row.problem_id!r} stands in an earlier line too; put all of its answers into one")
        pool[row.problem_id] = [Vote(answer, answer == row.gold) for answer in row.answers]
    return _of_some(pool, str(path))


def of_teacher() -> Pool:
    """The teacher's draws of the last run; those without a trace (not in the format, or failed) say nothing.

    Raises StageError where a rule stopped them: what it left is no sample of what would have been drawn.
    """
    drawn = read_all(paths.DRAWN, Drawn)
    if stopped := sorted({row.reason for row in drawn} - {MOST, IMPORTED}):
        raise StageError(
            f"{paths.DRAWN}: a rule stopped the draws of some problems ({', '.join(stopped)}); `dvc repro sample` with `stop: null` makes "
            "all of them, or name a --student or a --pool"
        )
    said = {verdict.trace_id: verdict for verdict in read_all(paths.LONG_VERDICTS, Verdict)}
    pool = {row.problem_id: [Vote(None, right=False)] * row.draws for row in drawn}
    for trace in read_all(paths.LONG_TRACES, Trace):
        if trace.id not in said:
            raise RecordError(f"{paths.LONG_VERDICTS}: no verdict of trace {trace.id}; run `dvc repro verify`")
        verdict = said[trace.id]
        pool[trace.problem_id][trace.draw] = Vote.of(verdict.outcome, verdict.extracted)
    return _of_some(pool, TEACHER)


def of_store(params: Params, draws: int) -> Pool:
    """The first draws of the teacher to every problem of the last run, as they lie in the completion store, where those that were begun
    past the stop of a rule are too. Raises StageError where some problem has fewer: what a rule left is no sample.
    """
    settings = params.sample
    tokenizer, spec, recipe = tokenizer_of(settings.teacher), engine_spec(settings.engine, settings.teacher), recipe_of(settings)
    problems = training_problems(read_all(paths.PROBLEMS, Problem)).values()
    prompts = [Stored(asked, draws) for asked in asked_of(problems, tokenizer, recipe, max_model_length=spec.max_model_length)]
    with Generator(spec, paths.completions(), shard="sample") as generator:
        votes = stored_votes(generator, prompts, recipe, **params.verify.pool)
    fewest = min(map(len, votes), default=0)
    if fewest < draws:
        lacking = sum(len(own) < draws for own in votes)
        raise StageError(
            f"{paths.completions()}: {lacking} of {len(votes)} problems have fewer than {draws} draws with the settings of params.yaml, "
            f"one has only {fewest}; ask for {fewest}, or `dvc repro sample` with `stop: null` makes all of them"
        )
    return _of_some({own.asked.problem.id: said for own, said in zip(prompts, votes, strict=True)}, "the store")


def stored_votes(generator: Generator, prompts: Sequence[Stored], recipe: Recipe, **pool: Unpack[PoolArguments]) -> list[list[Vote]]:
    """What the draws of every prompt that are in the store say, up to as many as are wanted; one that is not in the format, nothing."""
    votes: list[list[Vote]] = []
    cases: list[TextCase] = []
    for place, (asked, draws) in enumerate(prompts):
        completions = list(generator.stored(asked.request(recipe.sampling, draw) for draw in range(draws)))
        votes.append([Vote(None, right=False)] * len(completions))
        texts = [text_of(completion, recipe.written) for completion in completions]
        own = enumerate(zip(texts, completions, strict=True))
        reference = asked.problem.reference
        cases += [TextCase(f"{place} {draw}", reference, text, ended.status) for draw, (text, ended) in own if text is not None]
    for verdict in judge_texts(cases, **pool):
        place, draw = map(int, verdict.trace_id.split())
        votes[place][draw] = Vote.of(verdict.outcome, verdict.extracted)
    return votes


def of_student(student: str) -> Pool:
    """The draws of one student on the test problems; a problem with another seed is a problem of its own."""
    pool: dict[str, list[Vote]] = defaultdict(list)
    scores = [score for score in read_all(paths.SCORES, Score) if (score.split, score.mode) == (Split.TEST, "draw")]
    for score in scores:
        if score.student == student:
            pool[f"{score.problem_id}/{score.seed}"].append(vote_of(score))
    return _of_some(pool, f"student {student!r} in {paths.SCORES}, where {sorted({score.student for score in scores})} have draws")


def _of_some(pool: Pool, what: str) -> Pool:
    if not pool:
        raise StageError(f"{what}: no draws; `dvc repro` with `draws` and `draw_problems` makes some")
    return pool
