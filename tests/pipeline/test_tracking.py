import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.support.tracking import Child, Execution, clean, flattened, mirror, short, store_uri


def _execution(report: Path, **changes: object) -> Execution:
    values = {
        "experiment": "lab",
        "params": {"seeds": [0], "students": {"long": {"from": "base", "lessons": {"teacher": 1.0}}}, "text": "x" * 9000},
        "metrics": {"long.accuracy": 0.75, "long.keeps": "yes", "odd name/ü": 1.0},
        "children": [Child("long", 0, {"accuracy": 0.75}, [{"step": s, "loss": 1.0 / s} for s in (1, 2, 3)])],
        "artifacts": [report, report / "missing.txt"],
        **changes,
    }
    return Execution(**values)  # type: ignore[arg-type]


def test_settings_are_flattened() -> None:
    assert flattened({"a": {"b": [1, 2], "c": {"d": None, "e": {}}}, "f": "x"}) == {
        "a.b": "[1, 2]",
        "a.c.d": "null",
        "a.c.e": "{}",
        "f": "x",
    }


@given(st.text(max_size=400))
def test_names_and_values_fit_the_store(text: str) -> None:
    assert all(c.isascii() and (c.isalnum() or c in "_-.") for c in clean(text)) and len(clean(text)) <= 250
    assert short(text) == text
    assert short(text + "x" * 501).startswith("sha256:") and short(text + "x" * 501) != short(text + "y" * 501)


def test_only_the_first_process_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("RANK", "1")
    assert mirror(_execution(tmp_path)) is None
    assert not (tmp_path / "workspace").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_parent_run_per_execution_with_a_child_per_student_and_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.md").write_text("# Report\n")
    parent = mirror(_execution(report))
    assert parent is not None and mirror(_execution(report)) == parent
    other = mirror(_execution(report, metrics={"long.accuracy": 0.5}))
    assert other not in (None, parent)

    client = MlflowClient(tracking_uri=store_uri())
    experiment = client.get_experiment_by_name("lab")
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 4 and all(run.info.status == "FINISHED" for run in runs.values())
    assert runs[parent].data.metrics == {"long.accuracy": 0.75, "odd_name__": 1.0}
    assert runs[parent].data.params["students.long.lessons.teacher"] == "1.0"
    assert runs[parent].data.params["text"].startswith("sha256:")
    assert runs[parent].data.tags["long.keeps"] == "yes" and runs[parent].data.tags["dvc.exp"] == "brave-newt"
    assert len(runs[parent].data.tags["git.sha"]) in (4, 40) and runs[parent].info.run_name == "brave-newt"
    assert [file.path for file in client.list_artifacts(parent, "report")] == ["report/report.md"]
    (child,) = (run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") == parent)
    assert child.info.run_name == "long-0" and child.data.metrics["accuracy"] == 0.75
    history = sorted((m.step, m.value) for m in client.get_metric_history(child.info.run_id, "train.loss"))
    assert history == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_report_that_was_killed_is_logged_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path))
    execution = _execution(tmp_path / "none", artifacts=[])
    first = mirror(execution)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", [first])
    second = mirror(execution)
    assert second not in (None, first) and mirror(execution) == second
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone() == (2,)


def test_importing_the_module_does_not_import_mlflow() -> None:
    code = "import sys, pipeline.support.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
