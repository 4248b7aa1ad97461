"""Stage `distill`: one student is trained with every seed; a killed training goes on where it was saved last."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data.adapters import is_adapter
from data.errors import ParamsError, StageError
from data.hub import local_folder
from pipeline.support import paths
from pipeline.support.engines import instruction_of
from pipeline.support.params import Params, load, training_of
from pipeline.support.preflight import UsedModel, preflight
from pipeline.support.stage import Statistics, run_stage
from pipeline.support.student_settings import BASE
from students.checkpoints import publish, training_id
from students.job import Job, Spent, Trained
from students.launch import Finished, train
from students.places import Places


def distill(params: Params, lessons: Path, output: Path, *, student: str, seed: int) -> Finished:
    """Lessons and where the student starts → a trained student in `output`, with its loss curve beside the weights.

    One that lies there already, trained from the same with the same, is left as it is.
    """
    job = job_of(params, lessons, student=student, seed=seed)
    there = Trained.read(output)
    if there is not None and there.training_id == job.work.name:
        return Finished(there, Spent(), now=False)
    finished = train(job)
    publish(job.model, output)
    shutil.rmtree(job.work)
    return finished


def job_of(params: Params, lessons: Path, *, student: str, seed: int) -> Job:
    """The training of one student; its work folder is named by whatever decides the weights."""
    settings, training, base = params.students[student], training_of(params, student), params.distill.base
    folder, start = local_folder(base.path, base.revision), None
    if settings.start != BASE:
        folder, start = _start(folder, paths.model_of(settings.start, seed))
    instruction = instruction_of(params.distill.instruction)
    job = Job(
        base=folder,
        start=start,
        base_name=base.path,
        lessons=lessons,
        work=paths.checkpoints(),
        training=training,
        objective=settings.objective,
        seed=seed,
        instruction=instruction,
        places=Places.of(student, settings.train),
    )
    return job.model_copy(update={"work": paths.checkpoints() / training_id(job, code=_code())})


def _start(base: Path, parent: Path) -> tuple[Path, Path | None]:
    """The weights to start from, and an adapter on them to go on with."""
    if Trained.read(parent) is None:
        raise StageError(f"{parent}: no trained student; run `dvc repro`, which trains it first")
    return (base, parent) if is_adapter(parent) else (parent, None)


def _code() -> str:
    """What the stage `code` says of this stage's code, so that weights which other code made are never taken for these."""
    known = json.loads(paths.CODE.read_text(encoding="utf-8")) if paths.CODE.is_file() else {}
    return str(known.get("distill", ""))


def used(params: Params) -> Iterator[UsedModel]:
    """What the preflight looks at; rows, settings and memory are looked at by each training (students/preflight.py)."""
    yield UsedModel("distill.base", params.distill.base, params.distill.instruction, learns=True)


def _body(statistics: Statistics, params: Params, student: str) -> None:
    if student not in params.students:
        raise ParamsError(f"--student {student!r} is not in params.yaml; allowed: {', '.join(sorted(params.students))}")
    preflight(used(params))
    for seed in params.seeds:
        finished = distill(params, paths.lessons_of(student), paths.model_of(student, seed), student=student, seed=seed)
        statistics.dropped = Counter(finished.trained.dropped)
        statistics.rows_out = finished.trained.rows
        statistics.rows_in = statistics.rows_out + statistics.dropped.total()
        statistics.made_tokens += finished.spent.tokens
        statistics.seconds_before += 0.0 if finished.now else finished.spent.seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True)
    asked = parser.parse_args()
    run_stage("distill", lambda statistics: _body(statistics, load(), asked.student))
