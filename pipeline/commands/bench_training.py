"""What number formats cost: one student trained in each and asked by transformers: `make bench-training ARGS="--student post_think"`.

It needs the lessons and problems of a run, trl and transformers, and no vLLM, so that it says what another machine does with them. Formats
take turns, one training after the other, behind two short ones: the first warms up, the second says what loading and saving cost, which the
rates leave out. An evaluation is timed as a user waits for it: loading, greedy answers to the validation problems, those of the untrained
base among them, and judging; a few other problems are asked first, to warm up.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from data.errors import ParamsError, ShortcotError
from data.metrics.compare import Comparison
from data.records import Problem, Score, Split
from data.tables import read_all
from pipeline.distill import distill
from pipeline.evaluate import evaluate
from pipeline.support import paths
from pipeline.support.params import Params, load, training_of
from pipeline.support.probes import compared, quiet
from pipeline.support.report_text import percent, points
from pipeline.support.stage import Statistics
from pipeline.support.student_settings import BASE
from pipeline.support.text_table import render
from students.job import Spent

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""A training's number format and the engine's name for it."""
SHORT = 0.02
"""Share of the training that the short ones are."""
WARM_PROBLEMS = 8
"""Asked before time is taken."""


class Timed(NamedTuple):
    """One training, or all answers of one number format."""

    tokens: int
    seconds: float
    bytes: int
    """Most memory of the GPU that tensors held; 0 without one."""

    @property
    def rate(self) -> float:
        """Tokens per second; NaN where the steps took less than loading varies."""
        return self.tokens / self.seconds if self.seconds > 0 else math.nan


class Measured(NamedTuple):
    """What one bench found; the keys are number formats, in the order that was asked for."""

    training: Mapping[str, Sequence[Timed]]
    """The steps of each seed."""
    evaluation: Mapping[str, Timed]
    comparison: Comparison
    """Of the trained students, each named by its format, against the first."""


def bench(params: Params, problems: Sequence[Problem], lessons: Path, folder: Path) -> Measured:
    """Train every student of `params` (`in_formats`) with every seed, let transformers ask it in its format, and compare.

    `lessons` is what they are taught, `folder` an empty one for what is made.
    """
    formats, models = list(params.students), dict[tuple[str, int], Path]()
    fixed = {name: _short(params, lessons, folder, name) for name in formats}
    training = defaultdict[str, list[Timed]](list)
    for seed in params.seeds:
        for name in formats:
            models[name, seed], peak = folder / name / str(seed), PeakMemory()
            spent = distill(params, lessons, models[name, seed], student=name, seed=seed).spent
            training[name].append(Timed(spent.tokens - fixed[name].tokens, spent.seconds - fixed[name].seconds, peak()))
    evaluation, scores = {}, list[Score]()
    for name in formats:
        evaluation[name], found = _answers(params, problems, models, name)
        scores += [score for score in found if score.student != BASE]
    return Measured(training, evaluation, compared(params, scores, (formats[0],)))


def in_formats(params: Params, student: str, formats: Sequence[str]) -> Params:
    """The params with a copy of the student for each number format in the place of all students, and transformers to ask them, greedily.

    Raises ParamsError for a student that params do not know, and for one that starts from another or writes nothing.
    """
    if student not in params.writers or params.students[student].start != BASE:
        known = sorted(name for name in params.writers if params.students[name].start == BASE)
        raise ParamsError(f"{student!r} is no student of params.yaml that starts from {BASE} and writes; allowed: {known}")
    values = params.model_dump(by_alias=True, mode="json")
    one = values["students"][student]
    values["students"] = {name: {**one, "train": {**one["train"], "precision": name}} for name in formats}
    values["report"]["long"], values["handoff"]["candidates"] = formats[0], None
    values["evaluate"] |= {"variants": {}, "votes": {}}
    values["evaluate"]["engine"] |= {"kind": "hf", "arguments": {}}
    return quiet(Params.model_validate(values))


def _short(params: Params, lessons: Path, folder: Path, name: str) -> Spent:
    """What the second of two short trainings cost, which is nearly all loading and saving."""
    own, spare = params.students[name], max(params.seeds) + 1
    student = own.model_copy(update={"train": {**own.train, "epochs": SHORT * training_of(params, name).epochs}})
    short = params.model_copy(update={"students": {name: student}})
    for seed in (spare, spare + 1):
        spent = distill(short, lessons, folder / "short" / name / str(seed), student=name, seed=seed).spent
    return spent


def _answers(params: Params, problems: Sequence[Problem], models: Mapping[tuple[str, int], Path], name: str) -> tuple[Timed, list[Score]]:
    """The answers of one number format's students to the validation problems."""
    engine = params.evaluate.engine.model_copy(update={"dtype": DTYPES[name]})
    asked = params.model_copy(
        update={"students": {name: params.students[name]}, "evaluate": params.evaluate.model_copy(update={"engine": engine})}
    )
    validation = [problem for problem in problems if problem.split is Split.VALIDATION]

    def answered(some: Sequence[Problem]) -> tuple[Timed, list[Score]]:
        statistics, peak, started = Statistics("bench"), PeakMemory(), time.monotonic()
        scores = evaluate(asked, some, statistics=statistics, model_of=lambda student, seed: models[student, seed])
        return Timed(statistics.made_tokens, time.monotonic() - started, peak()), scores

    others = [problem.model_copy(update={"split": Split.VALIDATION}) for problem in problems if problem.split is Split.TRAIN]
    answered(others[:WARM_PROBLEMS])
    return answered(validation)


class PeakMemory:
    """The most memory of the GPU from now on, in bytes, when called."""

    def __init__(self) -> None:
        import torch

        self._cuda = torch.cuda if torch.cuda.is_available() else None
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()

    def __call__(self) -> int:
        """0 without a GPU."""
        return 0 if self._cuda is None else self._cuda.max_memory_allocated()


def table(measured: Measured) -> str:
    """A line for each number format."""
    head = (
        "format",
        "trainings",
        "seconds of steps",
        "trained tokens/s",
        "GPU GB",
        "evaluated tokens/s",
        "GPU GB",
        "accuracy",
        "- first (points)",
    )
    first, rows = next(iter(measured.training)), []
    for name, runs in measured.training.items():
        made, pair = measured.evaluation[name], measured.comparison.paired[first].get(name)
        rows.append(
            [
                *(name, str(len(runs)), f"{fmean(run.seconds for run in runs):.1f}", _mean([run.rate for run in runs])),
                *(_gigabytes(max(run.bytes for run in runs)), f"{made.rate:.0f}", _gigabytes(made.bytes)),
                *(percent(measured.comparison.summary[name]["accuracy"]), points(pair.difference) if pair else ""),
            ]
        )
    return render(head, rows)


def _mean(rates: Sequence[float]) -> str:
    return f"{fmean(rates):.0f}" + (f" ± {stdev(rates):.0f}" if len(rates) > 1 else "")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size else ""


def _main(params: Path, student: str, lessons: Path | None, problems: Path, formats: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SHORTCOT_WORKSPACE"] = str(Path(folder) / "workspace")  # nothing may be there already
        own = in_formats(load(params), student, formats)
        measured = bench(own, read_all(problems, Problem), lessons or paths.lessons_of(student), Path(folder) / "models")
    print(table(measured))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--student", required=True, help="of params.yaml; it starts from base")
    parser.add_argument("--lessons", type=Path, help="what it is taught; that of the last run if not given")
    parser.add_argument("--problems", type=Path, default=paths.PROBLEMS)
    parser.add_argument("--formats", nargs="+", choices=tuple(DTYPES), default=["fp32", "bf16"])
    asked = parser.parse_args()
    try:
        _main(asked.params, asked.student, asked.lessons, asked.problems, asked.formats)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
