"""Stage `distill`: one student with one seed is trained on its lessons; a killed training goes on where it was saved last."""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from pathlib import Path

from data.errors import ParamsError
from data.hub import local_folder
from pipeline.support import paths
from pipeline.support.engines import instruction_of
from pipeline.support.params import Params, load, training_of
from pipeline.support.stage import Statistics, run_stage
from students.checkpoints import publish, training_id
from students.job import Job
from students.launch import Finished, train


def distill(params: Params, lessons: Path, output: Path, *, student: str, seed: int) -> Finished:
    """Lessons and the base → a trained student in `output`, with its loss curve beside the weights."""
    job = job_of(params, lessons, student=student, seed=seed)
    finished = train(job)
    publish(job.model, output)
    shutil.rmtree(job.work)
    return finished


def job_of(params: Params, lessons: Path, *, student: str, seed: int) -> Job:
    """The training of one student; its work folder is named by whatever decides the weights."""
    base, training = params.distill.base, training_of(params, student)
    folder, instruction = local_folder(base.path, base.revision), instruction_of(params.distill.instruction)
    work = paths.checkpoints() / training_id(folder, lessons, training, seed=seed, instruction=instruction)
    return Job(base=folder, base_name=base.path, lessons=lessons, work=work, training=training, seed=seed, instruction=instruction)


def _body(statistics: Statistics, params: Params, student: str, seed: int) -> None:
    if student not in params.students:
        raise ParamsError(f"--student {student!r} is not in params.yaml; allowed: {', '.join(sorted(params.students))}")
    finished = distill(params, paths.lessons_of(student), paths.model_of(student, seed), student=student, seed=seed)
    statistics.dropped = Counter(finished.trained.dropped)
    statistics.rows_out = finished.trained.rows
    statistics.rows_in = statistics.rows_out + statistics.dropped.total()
    statistics.made_tokens = finished.spent.tokens
    statistics.seconds_before = 0.0 if finished.now else finished.spent.seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student", required=True)
    parser.add_argument("--seed", type=int, required=True)
    asked = parser.parse_args()
    run_stage("distill", lambda statistics: _body(statistics, load(), asked.student, asked.seed))
