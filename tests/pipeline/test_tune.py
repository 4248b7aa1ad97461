from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import ParamsError
from data.records import Lesson, Problem, Role, Split
from data.tables import write_table
from pipeline.commands import tune as command
from pipeline.commands.tune import findings, points_of, read_grid, table, tune, with_points
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
    values["distill"]["training"]["guard"] = {"looks": 0}
    return Params.model_validate(values)


@pytest.fixture
def trained(params: Params, few: list[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The folder of a run that ended: lessons and models."""
    monkeypatch.chdir(tmp_path)
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
    return params


def test_every_combination_is_tried_on_validation_and_compared_with_the_student_itself(
    trained: Params, few: list[Problem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, comparison = tune(trained, few, GRID, tmp_path / "tune")
    assert [point.name for point in tried] == ["redi_0", "redi_1", "redi_2", "redi_3"]
    assert set(comparison.summary) == {"base", "redi", *(point.name for point in tried)} and comparison.problems == 4
    found = findings(tried, comparison)
    assert {json.dumps(row["settings"]) for row in found["redi"]} == {json.dumps(dict(point.settings)) for point in tried}
    assert all(row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] and row["problems"] == 4 for row in found["redi"])
    assert len(table(tried, comparison).splitlines()) == 2 + 4
    command._write(found, tmp_path / "results")
    assert json.loads((tmp_path / "results/redi.json").read_text()) == found["redi"]

    monkeypatch.setattr("pipeline.support.probes.distill", lambda *_, **__: pytest.fail("trained a second time"))
    assert tune(trained, few, GRID, tmp_path / "tune")[1].summary == comparison.summary


def test_points_differ_from_their_student_in_their_settings_alone(params: Params) -> None:
    both = with_points(params, points_of(GRID))
    assert both.students["redi_2"].train == {"learning_rate": 1e-3} and both.students["redi"].train == {}
    assert both.students["redi_2"].objective.model_dump() == {"kind": "redi", "alpha": 0.5}
    assert both.students["redi_2"].model_copy(update={"train": {}, "objective": both.students["redi"].objective}) == both.students["redi"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"nobody": {"train.epochs": [1]}}, "'nobody' is no student of params.yaml; allowed: .'long', 'redi'."),
        ({"redi": {"train.learning_rate": [-1.0]}}, "greater than 0"),
        ({"redi": {"objective.alhpa": [0.5]}}, "Extra inputs are not permitted"),
    ],
)
def test_what_no_student_can_be_is_refused(params: Params, grid: command.Grid, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        with_points(params, points_of(grid))


@pytest.mark.parametrize(
    "text", ["", "[1]", "redi: 3", "redi: {}", "redi: {train.epochs: 3}", "redi: {train.epochs: []}", "redi: {lessons: [1]}", "a: b: c"]
)
def test_a_file_that_is_no_grid_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"grid\.yaml"):
        read_grid(tmp_path / "grid.yaml")
