"""Settings of single students, tried on validation problems: `python -m pipeline.commands.tune GRID`.

A grid names students of params.yaml and, for each, settings with the values to try; every combination is trained with one seed on the
lessons of the last `dvc repro`, from the models that lie there. These, and the students as they are, are compared with the student that
`report.long` names. What was found is a small JSON file per student under results/tune, so that a grid can be completed over several days;
the test problems are not touched. A student with no settings (`tags: {}`) is compared as it is. A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from data.errors import ParamsError, ShortcotError, StageError
from data.metrics.compare import Comparison
from data.records import Lesson, Problem
from data.tables import disk_errors_named, read_all
from pipeline.code import check_current
from pipeline.distill import job_of
from pipeline.support import paths
from pipeline.support.params import Params, load
from pipeline.support.probes import compared, on_validation, quiet, train_probes
from pipeline.support.report_text import count, percent, points
from pipeline.support.student_settings import ancestors
from pipeline.support.text_table import render
from students.job import Trained

RESULTS = Path("results/tune")
SECTIONS = ("train", "objective")
Grid = Mapping[str, Mapping[str, list[Any]]]
"""Student → dotted setting (`train.learning_rate`, `objective.alpha`) → values."""


class Point(NamedTuple):
    """One combination of a student's settings; `name` is the student that it makes."""

    student: str
    name: str
    settings: Mapping[str, Any]


def read_grid(path: Path) -> Grid:
    """A grid file. Raises ParamsError where it is no mapping of students to lists of values."""
    try:
        grid = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: no grid: {error}") from None
    for student, settings in grid.items() if isinstance(grid, dict) else [("(file)", grid)]:
        if not _is_grid(settings):
            raise ParamsError(
                f"{path}: {student}: found {settings!r}; allowed are settings under {' and '.join(SECTIONS)} with lists of values, such as "
                "`train.learning_rate: [0.001, 0.003]`"
            )
    return dict(grid)


def _is_grid(settings: object) -> bool:
    if not isinstance(settings, dict):
        return False
    named = all(str(name).partition(".")[0] in SECTIONS and "." in str(name) for name in settings)
    return named and all(isinstance(values, list) and values for values in settings.values())


def points_of(grid: Grid) -> list[Point]:
    """Every combination of every student's values, in the order of the file."""
    return [
        Point(student, f"{student}_try{number}", dict(zip(settings, values, strict=True)))
        for student, settings in grid.items()
        for number, values in enumerate(product(*settings.values()) if settings else ())
    ]


def with_points(params: Params, tried: list[Point]) -> Params:
    """The params with a student for every point beside their own. Raises ParamsError for a point of no student and for bad settings."""
    values = params.model_dump(by_alias=True, mode="json")
    for point in tried:
        if point.student not in params.writers:
            raise ParamsError(f"{point.student!r} is no student of params.yaml that writes; allowed: {sorted(params.writers)}")
        if point.name in params.students:
            raise ParamsError(f"students.{point.name}: the grid's points have such names; rename this student")
        values["students"][point.name] = _changed(values["students"][point.student], point.settings)
    try:
        return Params.model_validate(values)
    except ValueError as error:
        raise ParamsError(f"the grid asks for settings that are not allowed: {error}") from None


def _changed(student: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(student))
    for name, value in settings.items():
        section, _, key = name.partition(".")
        changed[section][key] = value
    return changed


class Found(NamedTuple):
    """What a grid gave."""

    tried: list[Point]
    """The students as they are, without settings, and every point."""
    long: str
    comparison: Comparison
    collapsed: Mapping[str, str]
    """Point → why its training was stopped."""


def tune(params: Params, problems: list[Problem], grid: Grid, folder: Path, *, jobs: int = 1) -> Found:
    """Train every point with the first seed, and compare all, and the students as they are, with the long one on the validation problems.

    Raises StageError where a student of the grid, or one that it starts from, is not what params.yaml says now.
    """
    tried, seed = points_of(grid), params.seeds[0]
    everyone = quiet(with_points(params, tried), seeds=[seed])
    long = params.report.long
    own = {(student, seed): _as_it_is(params, student, seed) for student in dict.fromkeys([long, *grid])}
    lessons = {point.name: read_all(paths.lessons_of(point.student), Lesson) for point in tried}
    trained, collapsed = train_probes(everyone, lessons, folder, jobs=jobs)
    models = {**own, **trained}
    students = {name: student for name, student in everyone.students.items() if (name, seed) in models}
    scores = on_validation(quiet(everyone, students=students), problems, models, command="tune")
    as_they_are = [Point(student, student, {}) for student in grid]
    why = {name: reason for (name, _), reason in collapsed.items()}
    return Found([*as_they_are, *tried], long, compared(params, scores, (long,)), why)


def _as_it_is(params: Params, student: str, seed: int) -> Path:
    """The model of a student, trained as params.yaml says, as those are that it starts from."""
    for name in reversed([student, *ancestors(params.students, student)]):
        job, there = job_of(params, paths.lessons_of(name), student=name, seed=seed), Trained.read(paths.model_of(name, seed))
        if there is None or there.training_id != job.work.name:
            raise StageError(f"{paths.model_of(name, seed)}: not trained as params.yaml says; `dvc repro` first")
    return paths.model_of(student, seed)


def rows_of(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Student → its points with their numbers, the best first, those that collapsed last."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for point in found.tried:
        why = found.collapsed.get(point.name)
        numbers = {"collapsed": why} if why else dict(_numbers(point, found))
        rows.setdefault(point.student, []).append({"settings": dict(point.settings), **numbers})
    return {student: _best_first(own) for student, own in rows.items()}


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row.get("accuracy", -1.0))


def _numbers(point: Point, found: Found) -> Iterator[tuple[str, float | int | None]]:
    own, pair = found.comparison.summary[point.name], found.comparison.paired[found.long].get(point.name)
    yield "problems", found.comparison.problems
    estimates = [("accuracy", own["accuracy"]), ("tokens", own["tokens"]), *([("vs_long", pair.difference)] if pair else [])]
    for name, estimate in estimates:
        yield from ((name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high))


def table(found: Found) -> str:
    """The students as they are and the points, as text, each against the long student."""
    rows = []
    for point in found.tried:
        said = ", ".join(f"{name} {value}" for name, value in point.settings.items()) or "as it is"
        if point.name in found.collapsed:
            rows.append([point.student, said, "collapsed", "", ""])
            continue
        own, pair = found.comparison.summary[point.name], found.comparison.paired[found.long].get(point.name)
        rows.append([point.student, said, percent(own["accuracy"]), count(own["tokens"]), points(pair.difference) if pair else ""])
    return render(("student", "settings", "accuracy", "tokens / question", f"- {found.long} (points)"), rows, left=(0, 1))


def keep(rows: Mapping[str, list[dict[str, Any]]], folder: Path) -> None:
    """Write each student's points; those that were kept before stay, unless the same settings were tried again."""
    with disk_errors_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for student, new in rows.items():
            file = folder / f"{student}.json"
            before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
            known = [row["settings"] for row in new]
            together = _best_first([*new, *(row for row in before if row["settings"] not in known)])
            file.write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")


def _main(grid: Path, jobs: int) -> None:
    params = load()
    check_current(params)
    found = tune(params, read_all(paths.PROBLEMS, Problem), read_grid(grid), paths.workspace() / "tune", jobs=jobs)
    keep(rows_of(found), RESULTS)
    print(table(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path, help="file with the settings to try")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default: %(default)s)")
    asked = parser.parse_args()
    try:
        _main(asked.grid, asked.jobs)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
