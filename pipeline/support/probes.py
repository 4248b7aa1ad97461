"""Trainings beside the graph, compared on validation problems alone: what `recommend` and `tune` try out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from data.errors import CollapseError, StageError
from data.metrics.compare import Comparison, Rules, compare
from data.records import Lesson, Problem, Score, Split
from data.tables import write_table
from pipeline.distill import distill, job_of
from pipeline.evaluate import evaluate
from pipeline.support.params import Params
from pipeline.support.stage import Statistics
from students.job import Job, Trained
from students.launch import train_all

Models = Mapping[tuple[str, int], Path]
"""Student and seed → where its weights lie."""


class Probes(NamedTuple):
    """What was trained, and why some of it collapsed."""

    models: dict[tuple[str, int], Path]
    collapsed: dict[tuple[str, int], str]


def train_probes(params: Params, lessons: Mapping[str, Iterable[Lesson]], folder: Path, *, jobs: int) -> Probes:
    """Train these students of `params` with every seed; what was trained before on the same lessons is not trained again.

    A training that collapses is a finding and stops no other one.
    """
    found: dict[tuple[str, int], Job] = {}
    for student, rows in lessons.items():
        file = folder / "lessons" / f"{student}.jsonl"
        write_table(file, rows)
        found |= {(student, seed): job_of(params, file, student=student, seed=seed) for seed in params.seeds}
    places = {probe: folder / "models" / job.work.name for probe, job in found.items()}
    new = [probe for probe, place in places.items() if Trained.read(place) is None]
    if jobs > 1:
        _ahead({found[probe].work: found[probe] for probe in new}, jobs)
    collapsed = {}
    for student, seed in new:
        try:
            distill(params, found[student, seed].lessons, places[student, seed], student=student, seed=seed)
        except CollapseError as error:
            collapsed[student, seed] = str(error)
    return Probes({probe: place for probe, place in places.items() if probe not in collapsed}, collapsed)


def _ahead(jobs: Mapping[Path, Job], at_once: int) -> None:
    """Train side by side; what fails is tried again by the caller, who sees why."""
    with suppress(StageError):
        train_all(list(jobs.values()), at_once=at_once)


def quiet(params: Params, **changes: object) -> Params:
    """The params with `changes`, and greedy answers alone."""
    evaluation = params.evaluate.model_copy(update={"draws": 0, "draw_problems": 0, "variants": {}, "votes": {}})
    return params.model_copy(update={"evaluate": evaluation, **changes})


def on_validation(params: Params, problems: Sequence[Problem], models: Models, *, command: str) -> list[Score]:
    """What the base and every student of `params` answer to the validation problems."""
    validation = [problem for problem in problems if problem.split is Split.VALIDATION]
    return evaluate(params, validation, statistics=Statistics(command), model_of=lambda student, seed: models[student, seed])


def compared(params: Params, scores: Sequence[Score], baselines: tuple[str, ...]) -> Comparison:
    """The comparison by the rules of the report."""
    return compare(scores, Rules(params.report.resamples, params.report.seed, params.report.margin), baselines=baselines)
