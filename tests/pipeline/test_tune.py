from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data.errors import CollapseError, ParamsError, StageError
from data.records import Lesson, Problem, Role, Split
from data.tables import write_table
from pipeline.commands import tune as command
from pipeline.commands.tune import keep, points_of, read_grid, rows_of, table, tune, with_points
from pipeline.distill import _body
from pipeline.support import paths
from pipeline.support.params import Params
from pipeline.support.stage import Statistics

GRID = {"redi": {"train.learning_rate": [1e-4, 1e-3], "objective.alpha": [0.5, 0.8]}}


@pytest.fixture
def params(scripted_lab: Params) -> Params:
    """The long student, and one that goes on from it with pairs."""
    values = scripted_lab.model_dump(by_alias=True)
    values["students"]["redi"] = {"from": "long", "pairs": {"rule": "right_over_wrong"}, "objective": {"kind": "redi"}}
    values["distill"]["training"]["guard"] = {"looks": 0, "ends_from": 0}
    return Params.model_validate(values)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the store of a run that ended is kept, once a test has made it."""
    return tmp_path_factory.mktemp("ended") / "store"


@pytest.fixture
def trained(params: Params, few: list[Problem], ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The folder of a run that ended: lessons and models."""
    monkeypatch.chdir(tmp_path)
    if ended.exists():
        shutil.copytree(ended, paths.STORE)
        return params
    training = [problem for problem in few if problem.split is Split.TRAIN]
    right, wrong = (f"<think>{word}.</think>The answer is 1." for word in ("Add", "Take away"))

    def lesson(problem: Problem, text: str, role: Role, pair: int | None = None) -> Lesson:
        known = {"problem_id": problem.id, "trace_id": text, "role": role, "reason": "", "question": problem.question, "completion": text}
        return Lesson(student="s", **known, pair=pair)

    write_table(paths.lessons_of("long"), [lesson(problem, right, Role.POSITIVE) for problem in training])
    sides = ((right, Role.CHOSEN), (wrong, Role.REJECTED))
    write_table(paths.lessons_of("redi"), [lesson(problem, text, role, 0) for problem in training for text, role in sides])
    for student in ("long", "redi"):
        _body(Statistics("distill"), params, student)
    shutil.copytree(paths.STORE, ended)
    return params


@pytest.mark.slow
def test_every_combination_is_tried_on_validation_and_compared_with_the_long_student(
    trained: Params, few: list[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tune(trained, few, GRID, tmp_path / "tune")
    assert [point.name for point in found.tried] == ["redi", "redi_try0", "redi_try1", "redi_try2", "redi_try3"]
    assert (
        set(found.comparison.summary) == {"base", "long", "redi", *(point.name for point in found.tried)} and found.comparison.problems == 4
    )
    rows = rows_of(found)["redi"]
    assert {json.dumps(row["settings"]) for row in rows} == {json.dumps(dict(point.settings)) for point in found.tried}
    assert all(row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] and row["problems"] == 4 for row in rows)
    assert all(row["vs_long_low"] <= row["vs_long"] <= row["vs_long_high"] for row in rows)
    assert len(table(found).splitlines()) == 2 + 5 and "redi     as it is" in table(found)

    monkeypatch.setattr("pipeline.support.probes.distill", lambda *_, **__: pytest.fail("trained a second time"))
    assert tune(trained, few, GRID, tmp_path / "tune").comparison.summary == found.comparison.summary


def test_a_point_that_collapses_is_a_finding(trained: Params, few: list[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.support import probes

    def collapses(params: Params, *rest: object, student: str, seed: int) -> object:
        if student == "redi_try1":
            raise CollapseError("too far")
        return distill(params, *rest, student=student, seed=seed)

    distill = probes.distill
    monkeypatch.setattr(probes, "distill", collapses)
    found = tune(trained, few, {"redi": {"train.learning_rate": [1e-4, 1e-3]}}, tmp_path / "tune")
    assert found.collapsed == {"redi_try1": "too far"} and "redi_try1" not in found.comparison.summary
    assert [row.get("collapsed") for row in rows_of(found)["redi"]] == [None, None, "too far"]
    assert "collapsed" in table(found).splitlines()[-1]


def test_only_students_that_are_what_the_params_say_are_compared_with(trained: Params, few: list[Problem], tmp_path: Path) -> None:
    changed = trained.model_dump(by_alias=True)
    changed["students"]["long"]["train"] = {"learning_rate": 5e-4}
    with pytest.raises(StageError, match=r"models/long/0: not trained as params\.yaml says"):
        tune(Params.model_validate(changed), few, GRID, tmp_path / "tune")


def test_students_can_be_compared_as_they_are(trained: Params, few: list[Problem], tmp_path: Path) -> None:
    found = tune(trained, few, {"long": {}, "redi": {}}, tmp_path / "tune")
    assert [point.name for point in found.tried] == ["long", "redi"] and set(found.comparison.summary) == {"base", "long", "redi"}
    rows = rows_of(found)
    assert "vs_long" not in rows["long"][0] and "vs_long" in rows["redi"][0] and rows["redi"][0]["settings"] == {}


def test_points_of_several_days_are_kept_together(tmp_path: Path) -> None:
    keep({"redi": [{"settings": {"a": 1}, "accuracy": 0.5}, {"settings": {"a": 2}, "accuracy": 0.1}]}, tmp_path)
    keep({"redi": [{"settings": {"a": 2}, "accuracy": 0.7}, {"settings": {"a": 3}, "collapsed": "why"}]}, tmp_path)
    assert [row["settings"]["a"] for row in json.loads((tmp_path / "redi.json").read_text())] == [2, 1, 3]


def test_points_differ_from_their_student_in_their_settings_alone(params: Params) -> None:
    both = with_points(params, points_of(GRID))
    assert both.students["redi_try2"].train == {"learning_rate": 1e-3} and both.students["redi"].train == {}
    assert both.students["redi_try2"].objective.model_dump() == {"kind": "redi", "alpha": 0.5}
    assert (
        both.students["redi_try2"].model_copy(update={"train": {}, "objective": both.students["redi"].objective}) == both.students["redi"]
    )


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"nobody": {"train.epochs": [1]}}, "'nobody' is no student of params.yaml that writes; allowed: .'long', 'redi'."),
        ({"redi": {"train.learning_rate": [-1.0]}}, "greater than 0"),
        ({"redi": {"objective.alhpa": [0.5]}}, "Extra inputs are not permitted"),
        ({"redi": {"train.guard": [{"max_drop": 0}]}}, "greater than 0"),
    ],
)
def test_what_no_student_can_be_is_refused(params: Params, grid: command.Grid, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        with_points(params, points_of(grid))


@pytest.mark.parametrize(
    "text", ["", "[1]", "redi: 3", "redi: {train.epochs: 3}", "redi: {train.epochs: []}", "redi: {lessons: [1]}", "a: b: c"]
)
def test_a_file_that_is_no_grid_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"grid\.yaml"):
        read_grid(tmp_path / "grid.yaml")
