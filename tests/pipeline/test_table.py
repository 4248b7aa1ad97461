from pathlib import Path

import pytest

from pipeline.commands.table import instances, table
from pipeline.support.history import Run, all_runs, instance_of, last, record
from pipeline.support.params import load
from pipeline.support.stage import Statistics, run_stage
from pipeline.support.text_table import duration, render, size


@pytest.fixture(autouse=True)
def _workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))


def run(**changes):
    return Run(
        **{"stage": "sample", "instance": "sample", "seconds": 4.0, "made_tokens": 800, "rows_in": 10, "rows_out": 7, "dropped": {}}
        | changes
    )


def test_a_stage_leaves_its_statistics_under_its_name_in_the_graph(monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "distill@long")

    def body(statistics: Statistics) -> None:
        statistics.rows_in, statistics.made_tokens = 3, 50
        statistics.dropped["over-length"] += 2

    run_stage("distill", body)
    kept = last("distill@long")
    assert (kept.stage, kept.rows_in, kept.made_tokens, kept.dropped) == ("distill", 3, 50, {"over-length": 2})
    assert all_runs() == [kept]


def test_a_failed_stage_leaves_no_statistics_and_no_traceback(capsys):
    def body(statistics: Statistics) -> None:
        load(Path("nowhere.yaml"))

    with pytest.raises(SystemExit) as stopped:
        run_stage("verify", body)
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("verify: ParamsError: nowhere.yaml: no such file")
    assert last("verify") is None


def test_the_table_shows_every_stage_its_rate_and_its_drops():
    record(run(dropped={"wrong": 1, "truncated": 2}))
    record(run(stage="distill", instance="distill@long", seconds=100.0, made_tokens=0))
    lines = table({"sample": {}, "distill": {"foreach": "${students}"}, "report": {}}, load()).splitlines()
    assert "800" in lines[2] and "200" in lines[2] and lines[2].endswith("truncated 2, wrong 1")
    assert [line.split()[0] for line in lines[3:-2]] == [f"distill@{s}" for s in load().students]
    assert "not yet" in lines[-2] and "104 s" in lines[-1]


def test_only_what_runs_for_each_student_has_instances():
    assert instances("report", {}, load()) == ["report"]


def test_the_instance_is_what_dvc_says(monkeypatch):
    assert instance_of("sample") == "sample"
    monkeypatch.setenv("DVC_STAGE", "folder/dvc.yaml:sample")
    assert instance_of("sample") == "sample"


def test_columns_are_aligned():
    assert render(("a", "b"), [("long", "1"), ("x", "100")]).splitlines() == ["a       b", "----  ---", "long    1", "x     100"]


@pytest.mark.parametrize(("value", "text"), [(3.21, "3.2 s"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(value, text):
    assert duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(12, "12 B"), (1500, "1.5 kB"), (34e6, "34 MB"), (2.5e12, "2.5 TB")])
def test_sizes(value, text):
    assert size(value) == text
