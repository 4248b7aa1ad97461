"""From params, metrics and the serve check to what the model card says."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.metrics.answers import is_greedy_only
from data.metrics.choose import Choice
from data.records import Problem
from pipeline.support.params import ModelSource, Params, training_of
from pipeline.support.prepare_settings import FileSource, GymSource, HubSource, LabSource
from pipeline.support.student_settings import BASE, Student
from students.card import CardFacts, Drawn, Interval, Measured, Serving, Source, Training
from teachers.serve_check import Bounds, ServeReport
from teachers.serving import ServeSettings, serve_arguments

Metrics = Mapping[str, float | str]


def card_facts(params: Params, choice: Choice, metrics: Metrics, problems: Sequence[Problem], serving: Serving) -> CardFacts:
    """Everything that the card of the chosen student says."""
    student = str(choice.student)
    counts = Counter(problem.split.value for problem in problems)
    compared = [name for name in (student, params.report.long, BASE) if f"{name}.accuracy" in metrics]
    return CardFacts(
        title=params.handoff.registered_name,
        student=student,
        seed=choice.seed or 0,
        base=_model(params.distill.base),
        teacher=_model(params.sample.teacher),
        data=_data(params),
        task=params.prepare.task,
        problems=counts,
        training=_training(params, student, metrics),
        rule=choice.rule + ("" if choice.within_margin else " Here no candidate was within the margin."),
        measured=[_measured(name, metrics) for name in dict.fromkeys(compared)],
        difference=_interval(f"{student}.vs_long_difference", metrics) if f"{student}.vs_long_difference" in metrics else None,
        serving=serving,
        drawn=_drawn(params, student, metrics),
    )


def _drawn(params: Params, student: str, metrics: Metrics) -> Drawn | None:
    if f"{student}.pass_at_1" not in metrics:
        return None
    own, greedy = (_interval(f"{student}.{name}", metrics) for name in ("pass_at_1", "accuracy"))
    settings = params.evaluate.sampling
    return Drawn(settings.temperature, settings.top_p, own, is_greedy_only(greedy.value, own.value))


def serving_facts(settings: ServeSettings, bounds: Bounds, found: ServeReport, *, instruction: str | None, max_tokens: int) -> Serving:
    """The exact command, and what the check found; numbers that depend on the machine are left out, so that equal runs give equal cards."""
    if bounds.exact:
        result = f"all {found.problems} answers were token by token those of the evaluation, log-probabilities within"
    else:
        result = f"{found.equal_answers} of {found.problems} extracted answers were those of the evaluation, log-probabilities within"
    return Serving(
        [shlex.join(["vllm", *serve_arguments(".", settings)])],
        settings.name,
        instruction,
        max_tokens,
        f"Checked with this command on {found.problems} problems, number format {settings.dtype}: every answer ended, {result} "
        f"{bounds.logprob_difference:g} nats per token of transformers' in float32.",
    )


def _model(source: ModelSource) -> Source:
    return Source(_relative(source.path), source.revision, source.licence)


def _data(params: Params) -> Source:
    """The problems by a name that means something elsewhere; no path of this machine."""
    source, own = params.prepare.source, params.handoff.data
    licence = own.licence or ("MIT" if isinstance(source, LabSource) else "as its source states")
    if isinstance(source, HubSource):
        return Source(source.name, source.revision, licence)
    if isinstance(source, FileSource):
        return Source(own.name or Path(source.train).parent.name or params.prepare.task, None, licence)
    if isinstance(source, GymSource):
        return Source(own.name or f"reasoning-gym {source.name}", None, own.licence or "Apache-2.0")
    return Source(own.name or "problems of the lab's generator", None, licence)


def _relative(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path


METHODS = {
    "sft": "supervised fine-tuning",
    "unlikelihood": "likelihood of right texts and unlikelihood of wrong ones,",
    "redi": "REDI, which pulls right texts up and pushes wrong ones down,",
    "dpo": "direct preference optimisation",
    "simpo": "simple preference optimisation (SimPO)",
    "nce": "distillation (NCE) of a student that learnt from right and wrong texts, into weights:",
}
"""What an objective is called in a card."""


def _training(params: Params, student: str, metrics: Metrics) -> Training:
    settings = training_of(params, student)
    weights = "all weights" if settings.adapter == "none" else f"LoRA of rank {settings.lora_rank}, merged into the weights"
    own = params.students[student]
    start = "" if own.start == BASE else f", going on from the student `{own.start}`"
    kept = ("epochs", "learning_rate", "schedule", "batch_rows", "precision", "quantization")
    return Training(
        f"{METHODS[own.objective.kind]} of {weights}{start}",
        _learnt(own),
        int(metrics[f"{student}.lesson_rows"]),
        {name.replace("_", " "): getattr(settings, name) for name in kept},
    )


def _learnt(student: Student) -> str:
    """What its rows are, in words."""
    shares = ", ".join(f"{writer} : {share:g}" for writer, share in student.lessons.items())
    parts = [f"writer : share: {shares}"] if shares else []
    parts += [f"wrong traces of {student.negatives.of}"] if student.negatives else []
    parts += [f"pairs by the rule {student.pairs.rule}"] if student.pairs else []
    return "; ".join(parts)


def _measured(student: str, metrics: Metrics) -> Measured:
    accuracy, tokens, unfinished = (_interval(f"{student}.{name}", metrics) for name in ("accuracy", "tokens", "unfinished"))
    return Measured(student, accuracy, tokens, unfinished)


def _interval(name: str, metrics: Metrics) -> Interval:
    low, high = (float(metrics[f"{name}_{end}"]) if f"{name}_{end}" in metrics else None for end in ("low", "high"))
    return Interval(float(metrics[name]), low, high)
