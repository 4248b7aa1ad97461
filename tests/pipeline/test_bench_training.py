from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import ParamsError
from data.records import Lesson, Problem, Role, Split
from data.tables import write_table
from pipeline.commands.bench_training import bench, in_formats, table
from pipeline.support.params import Params


@pytest.fixture
def lessons(few: list[Problem], tmp_path: Path) -> Path:
    file = tmp_path / "lessons.jsonl"
    text = "<think>Add.</think>The answer is 1."
    known = {"student": "s", "trace_id": "t", "role": Role.POSITIVE, "reason": "", "completion": text}
    write_table(file, [Lesson(problem_id=p.id, question=p.question, **known) for p in few if p.split is Split.TRAIN])
    return file


@pytest.mark.slow
def test_a_student_is_trained_and_asked_in_every_format(scripted_lab: Params, few: list[Problem], lessons: Path, tmp_path: Path) -> None:
    own = in_formats(scripted_lab, "long", ["fp32", "bf16"])
    measured = bench(own, few, lessons, tmp_path / "models")
    assert list(measured.training) == list(measured.evaluation) == ["fp32", "bf16"] and measured.comparison.problems == 4
    runs = [run for of_format in measured.training.values() for run in of_format]
    assert len(runs) == 2 and len({run.tokens for run in runs}) == 1 and runs[0].tokens > 0
    assert all(made.tokens > 0 and made.rate > 0 for made in measured.evaluation.values())
    head, _, *rows = table(measured).splitlines()
    assert "accuracy" in head and [row.split()[0] for row in rows] == ["fp32", "bf16"]


def test_every_format_is_a_student_of_its_own(scripted_lab: Params) -> None:
    own = in_formats(scripted_lab, "long", ["bf16", "fp32"])
    assert {name: student.train["precision"] for name, student in own.students.items()} == {"bf16": "bf16", "fp32": "fp32"}
    assert own.evaluate.engine.kind == "hf" and own.evaluate.draws == 0 and own.report.long == "bf16"


def test_a_student_of_another_is_refused(scripted_lab: Params) -> None:
    with pytest.raises(ParamsError, match=r"'no_such' is no student .* allowed: \['long'\]"):
        in_formats(scripted_lab, "no_such", ["fp32"])
