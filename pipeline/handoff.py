"""Stage `handoff`: the chosen student as a folder that `vllm serve` takes, with its card, tried by serving it, and registered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.errors import StageError
from data.metrics.choose import Choice
from data.records import Problem, Score
from data.tables import disk_errors_named, read_all
from pipeline.support import paths
from pipeline.support.card_facts import Metrics, card_facts, serving_facts
from pipeline.support.engines import engine_spec, instruction_of
from pipeline.support.params import Params, load
from pipeline.support.preflight import UsedEngine, preflight
from pipeline.support.registry import register
from pipeline.support.serve_check import expected_answers, serve_and_check, serve_settings, tools_for
from pipeline.support.stage import Statistics, run_stage
from students.card import card
from students.merge import MergeReport, merged
from students.serving_folder import finish
from teachers.decoding import Decoder
from teachers.engine import EngineSpec
from teachers.serve_check import Bounds, ServeReport

MOST_LOGIT_DIFFERENCE = 0.02
"""Merging computes in float32, where two orders of the same sums differ by about 1e-4 for logits of about 20."""


def handoff(params: Params, choice: Choice, scores: Sequence[Score], problems: Sequence[Problem], *, folder: Path) -> ServeReport:
    """The chosen student → `folder`: merged, made ready for servers, and served once against its scores; all but the card."""
    student, seed = _chosen(choice)
    spec = engine_spec(params.evaluate.engine, params.distill.base)
    with disk_errors_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _check_merge(merged(paths.model_of(student, seed), spec.model.folder, folder))
        finish(folder, base=spec.model.folder)
    own = [score for score in scores if (score.student, score.seed) == (student, seed)]
    by_id = {problem.id: problem for problem in problems}
    expected = expected_answers(
        own,
        by_id,
        Decoder(folder).tokenizer,
        count=params.handoff.problems,
        instruction=instruction_of(params.distill.instruction, tag=params.students[student].ask),
    )
    settings = serve_settings(params.handoff, spec)
    tools = tools_for(folder, [by_id[answer.problem_id] for answer in expected], params.verify)
    return serve_and_check(folder, settings, expected, _bounds(params, spec), tools)


def _chosen(choice: Choice) -> tuple[str, int]:
    if choice.student is None or choice.seed is None:
        raise StageError("no student can be handed off: there is no candidate; add a short student, or name one in handoff.candidates")
    return choice.student, choice.seed


def _check_merge(found: MergeReport) -> None:
    if found.max_logit_difference > MOST_LOGIT_DIFFERENCE:
        raise StageError(
            f"the merged weights differ from the adapter on its base: a logit by {found.max_logit_difference:.3g}, "
            f"{MOST_LOGIT_DIFFERENCE} is allowed (equal first choices: {found.top1_agreement:.1%}); look at distill.training"
        )


def _bounds(params: Params, spec: EngineSpec) -> Bounds:
    exact = serve_settings(params.handoff, spec).dtype == "float32"
    return Bounds(exact, params.handoff.max_logprob_difference)


def _write_card(params: Params, choice: Choice, problems: Sequence[Problem], found: ServeReport) -> str:
    student, _ = _chosen(choice)
    spec = engine_spec(params.evaluate.engine, params.distill.base)
    settings = serve_settings(params.handoff, spec)
    serving = serving_facts(
        settings,
        _bounds(params, spec),
        found,
        instruction=instruction_of(params.distill.instruction, tag=params.students[student].ask),
        max_tokens=params.evaluate.sampling.max_tokens,
    )
    metrics: Metrics = json.loads((paths.REPORT / "measures.json").read_text(encoding="utf-8"))
    facts = card_facts(params, choice, metrics, problems, serving)
    (paths.HANDOFF / "README.md").write_text(card(facts), encoding="utf-8")
    return serving.commands[0]


def used(params: Params) -> Iterator[UsedEngine]:
    """What the preflight looks at: a server, whatever the students were evaluated with."""
    served = params.evaluate.engine.model_copy(update={"kind": "vllm", "arguments": {}})
    yield UsedEngine("evaluate.engine", served, params.distill.base, params.evaluate.sampling.max_tokens)


def _body(statistics: Statistics) -> None:
    params = load()
    preflight(used(params))
    choice = Choice.model_validate_json((paths.REPORT / "best.json").read_text(encoding="utf-8"))
    problems, scores = read_all(paths.PROBLEMS, Problem), read_all(paths.SCORES, Score)
    found = handoff(params, choice, scores, problems, folder=paths.HANDOFF)
    command = _write_card(params, choice, problems, found)
    tags = {"student": str(choice.student), "seed": str(choice.seed), "base": params.distill.base.path, "task": params.prepare.task}
    registered = register(paths.HANDOFF, name=params.handoff.registered_name, alias=params.handoff.alias, tags=tags)
    statistics.rows_in, statistics.rows_out = params.handoff.problems, found.equal_answers
    print(
        f"{choice.student}, seed {choice.seed}: served and asked {found.problems} problems: {found.equal_texts} texts and "
        f"{found.equal_answers} answers equal to the evaluation, log-probabilities within {found.largest_logprob_difference:.2g} nats per "
        f"token of transformers'.\n{registered.name}, version {registered.version}: in {paths.HANDOFF}, serve it there with: {command}"
    )


if __name__ == "__main__":
    run_stage("handoff", _body)
