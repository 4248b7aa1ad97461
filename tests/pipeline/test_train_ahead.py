from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from data.errors import ParamsError, StageError
from data.records import Lesson, Role
from data.tables import write_table
from pipeline.commands.train_ahead import Place, stale, train_ahead
from pipeline.distill import distill
from pipeline.support import paths
from pipeline.support.params import load

ROOT = Path(__file__).parents[2]
TRAINING = {"epochs": 1, "batch_rows": 4, "micro_batch_rows": 4, "max_length": 64, "precision": "fp32"}


def test_only_changed_trainings_are_taken() -> None:
    status = {"code": ["always changed"], "distill@long-0": [{}], "dvc.yaml:distill@post_think-12": [{}], "report": [{}]}
    assert stale(status) == [Place("long", 0), Place("post_think", 12)]


def test_a_model_that_was_trained_ahead_is_only_published(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    values = load().model_dump(mode="json", by_alias=True)
    values["distill"] = {"base": {"path": str(tiny_base)}, "training": TRAINING}
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(values))
    rows = (
        Lesson(student="long", problem_id="p", trace_id=f"{n}", role=Role.POSITIVE, reason="", question="?", completion=f"{n} is {n}")
        for n in range(4)
    )
    write_table(paths.lessons_of("long"), rows)
    with pytest.raises(StageError, match=r"1 of 2 trainings failed \(post_think, seed 3\)"):  # it has no lessons
        train_ahead([Place("long", 1), Place("post_think", 3)], jobs=2)
    finished = distill(load(), paths.lessons_of("long"), paths.model_of("long", 1), student="long", seed=1)
    assert finished.new_tokens == 0 < finished.trained.trained_tokens
    assert (paths.model_of("long", 1) / "model.safetensors").is_file()


def test_no_jobs_are_refused() -> None:
    with pytest.raises(ParamsError, match="--jobs 0"):
        train_ahead([], jobs=0)
