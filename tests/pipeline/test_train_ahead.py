from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from data.errors import StageError
from data.records import Lesson, Role
from data.tables import write_table
from pipeline.commands import train_ahead
from pipeline.commands.train_ahead import stale
from pipeline.distill import _body
from pipeline.support import paths
from pipeline.support.params import Params, load
from pipeline.support.stage import Statistics, run_stage

ROOT = Path(__file__).parents[2]
TRAINING = {"epochs": 1, "batch_rows": 4, "micro_batch_rows": 4, "max_length": 64, "precision": "fp32"}


def test_only_changed_trainings_are_taken() -> None:
    students = {
        name: {"from": start, "lessons": {"teacher": 1}}
        for name, start in (("long", "base"), ("next", "long"), ("last", "next"), ("other", "base"))
    }
    params = Params.model_validate({**load().model_dump(by_alias=True), "students": students})
    status = {"code": ["always changed"], "distill@long": [{}], "dvc.yaml:distill@other": [{}], "report": [{}]}
    assert stale(status, params) == (["long", "other"], [])
    assert stale({"distill@long": [{}], "distill@next": [{}]}, params) == (["long"], ["next"]), "what starts from one of these comes later"
    assert stale({"distill@next": [{}]}, params) == (["next"], [])
    assert stale({"distill@last": [{}], "distill@long": [{}]}, params) == (["long"], ["last"]), "though the one between is not listed"


@pytest.mark.parametrize("stuck", [False, True])
def test_generations_are_trained_one_after_the_other(monkeypatch: pytest.MonkeyPatch, stuck: bool) -> None:
    students = {name: {"from": start, "lessons": {"teacher": 1}} for name, start in (("long", "base"), ("next", "long"), ("last", "next"))}
    params = Params.model_validate({**load().model_dump(by_alias=True), "students": students})
    changed, log = ["long", "next", "last"], list[tuple[str, list[str]]]()

    def publish(names: list[str]) -> None:
        log.append(("published", names))
        if not stuck:
            changed[:] = [name for name in changed if name not in names]

    for replaced, stand_in in {
        "load": lambda: params,
        "check_current": lambda _: None,
        "_status": lambda: {f"distill@{name}": [{}] for name in changed},
        "waiting": lambda _, names: names,
        "train_all": lambda names, at_once: log.append(("trained", names)),
        "_publish": publish,
    }.items():
        monkeypatch.setattr(train_ahead, replaced, stand_in)
    if stuck:
        with pytest.raises(StageError, match="still changed"):
            train_ahead._main(jobs=2)
        return
    train_ahead._main(jobs=2)
    assert log == [("trained", ["long"]), ("published", ["long"]), ("trained", ["next"]), ("published", ["next"]), ("trained", ["last"])]


@pytest.mark.slow
def test_a_model_that_was_trained_ahead_is_published_with_what_it_cost(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    values = load().model_dump(mode="json", by_alias=True)
    values["distill"] = {"base": {"path": str(tiny_base)}, "training": TRAINING}
    values["seeds"] = [1]
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(values))
    rows = (
        Lesson(student="long", problem_id="p", trace_id=f"{n}", role=Role.POSITIVE, reason="", question="?", completion=f"{n} is {n}")
        for n in range(4)
    )
    write_table(paths.lessons_of("long"), rows)
    monkeypatch.setattr(train_ahead, "check_current", lambda _: None)
    monkeypatch.setattr(train_ahead, "_status", lambda: {"distill@long": [{}], "evaluate": [{}]})
    train_ahead._main(jobs=2)
    assert not paths.model_of("long", 1).exists()

    statistics = Statistics("distill")
    monkeypatch.setattr("students.training.train", lambda _: pytest.fail("trained a second time"))
    run_stage("distill", lambda _: _body(statistics, load(), "long"))
    assert (paths.model_of("long", 1) / "model.safetensors").is_file()
    assert statistics.made_tokens > 4 * 3 and statistics.seconds_before > 0
    assert train_ahead.waiting(load(), ["long"]) == []


def test_seconds_of_work_done_ahead_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path))

    def body(statistics: Statistics) -> None:
        statistics.seconds_before = 1000.0

    run_stage("distill", body)
    written = json.loads((paths.stage_statistics() / "distill.json").read_text())
    assert 1000 <= written["seconds"] < 1100
