"""Stage `evaluate`: what every student and the untrained base answer on validation and test, with one start of an engine for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.adapters import NAT, is_plain
from data.records import Problem, Score, Split
from data.tables import read_all, write_table
from data.verifiers.judge import TextCase, judge_texts
from pipeline.support import paths
from pipeline.support.engines import engine_spec, instruction_of, sampling_settings
from pipeline.support.params import Params, load
from pipeline.support.preflight import UsedEngine, UsedModel, preflight
from pipeline.support.ranks import ModelOf, ranks
from pipeline.support.stage import Statistics, progress, run_stage
from pipeline.support.student_settings import BASE
from students.checkpoints import folder_hash
from students.strength import at_strength
from teachers.adapters import LOADERS
from teachers.engine import EngineSpec, ModelRef
from teachers.evaluation import Answer, Quiz, Subject, answers, model_at, questions, scores
from teachers.generate import Generator
from teachers.identity import WITHOUT_WEIGHTS

HF_BATCH = 64
"""Questions at a time where transformers answers: it holds every text at its full length, and vLLM does not."""


def evaluate(params: Params, problems: Sequence[Problem], *, statistics: Statistics, model_of: ModelOf = paths.model_of) -> list[Score]:
    """Problems and trained students → scores, sorted by (student, seed, split, mode, problem, draw)."""
    spec = engine_spec(params.evaluate.engine, params.distill.base)
    given = _answered(_subjects(params, spec, model_of), problems, _quiz(params), spec=spec, statistics=statistics)
    cases = [TextCase(answer.key, answer.problem.reference, answer.completion.text, answer.completion.status) for answer in given]
    judged = judge_texts(cases, **params.verify.pool)
    verdicts = {verdict.trace_id: verdict for verdict in progress(judged, label="judge", total=len(cases))}
    return scores(given, verdicts, ranks(params, [answer for answer in given if verdicts[answer.key].outcome.votes], model_of))


def _subjects(params: Params, spec: EngineSpec, model_of: ModelOf) -> list[Subject]:
    """The base with seed 0, and every student, variant and seed of params; other folders of models are not looked at.

    Adapters come first: an engine that starts with room for them serves the bare base too, but not the other way round.
    """
    instruction = params.distill.instruction
    base = Subject(BASE, 0, spec.model, instruction_of(params.evaluate.base_instruction or instruction))
    asked = [(name, name, student.ask, 1.0) for name, student in params.writers.items()]
    asked += [(name, v.of, v.ask or params.students[v.of].ask, v.strength) for name, v in params.evaluate.variants.items()]
    trained = [
        Subject(name, seed, _model(model_of(student, seed), spec.model.folder, strength), instruction_of(instruction, tag=tag))
        for name, student, tag, strength in asked
        for seed in sorted(params.seeds)
    ]
    return sorted([base, *trained], key=lambda subject: subject.model.adapter is None)


def _model(trained: Path, base: Path, strength: float) -> ModelRef:
    model = model_at(trained, base)
    if strength == 1:
        return model
    weights = trained.resolve()
    return model_at(at_strength(weights, base, strength, paths.at_strength(folder_hash(weights), folder_hash(base), strength)), base)


def _quiz(params: Params) -> Quiz:
    settings = params.evaluate
    drawn = (Split.VALIDATION, Split.TEST) if settings.rankers else (Split.TEST,)  # scores are calibrated on the first
    return Quiz(sampling_settings(settings.sampling), settings.draws, settings.draw_problems, settings.engine.max_model_length, drawn)


def _answered(
    subjects: Iterable[Subject], problems: Sequence[Problem], quiz: Quiz, *, spec: EngineSpec, statistics: Statistics
) -> list[Answer]:
    """What each subject answers: with the engine of `spec`, or with transformers where its weights depend on the input."""
    given: list[Answer] = []
    for own_spec, own in _by_engine(subjects, spec):
        with Generator(own_spec, paths.completions(), shard="evaluate") as generator:
            before = statistics.made_tokens
            for subject in own:
                asked = questions(problems, subject, quiz)
                completions = generator.complete(asked, model=subject.model)
                label = f"{subject.student}, seed {subject.seed}"
                given += answers(progress(completions, label=label, total=len(asked), unit="answer"), asked, subject)
                statistics.made_tokens = before + generator.made_tokens
    return given


def _by_engine(subjects: Iterable[Subject], spec: EngineSpec) -> list[tuple[EngineSpec, list[Subject]]]:
    """The subjects that the engine of `spec` takes, and those that only transformers does."""
    known = list(subjects)
    special = [subject for subject in known if spec.worker.kind not in WITHOUT_WEIGHTS and not is_plain(subject.model.adapter)]
    plain = [subject for subject in known if subject not in special]
    slow = replace(spec, kind="hf", arguments={}, batch=min(spec.batch, HF_BATCH))
    return [(own, group) for own, group in ((spec, plain), (slow, special)) if group]


def _with_nat(model: Any, folder: Path) -> Any:
    from students import nat

    return nat.load(model, folder)


LOADERS[NAT] = _with_nat


def used(params: Params) -> Iterator[UsedModel | UsedEngine]:
    """What the preflight looks at."""
    own, base = params.evaluate, params.distill.base
    yield UsedModel("distill.base", base, own.base_instruction or params.distill.instruction)
    yield UsedEngine("evaluate.engine", own.engine, base, own.sampling.max_tokens)


def _body(statistics: Statistics) -> None:
    params, problems = load(), read_all(paths.PROBLEMS, Problem)
    preflight(used(params))
    statistics.rows_in = sum(problem.split in (Split.VALIDATION, Split.TEST) for problem in problems)
    statistics.rows_out = write_table(paths.SCORES, evaluate(params, problems, statistics=statistics))


if __name__ == "__main__":
    run_stage("evaluate", _body)
