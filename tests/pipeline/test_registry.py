from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.support.registry import register
from pipeline.support.tracking import store_uri


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / "workspace").mkdir()
    (tmp_path / "student").mkdir()
    (tmp_path / "student/model.safetensors").write_bytes(b"weights")
    return tmp_path / "student"


@pytest.mark.slow
def test_a_folder_becomes_a_version_once_and_the_alias_follows_the_newest(folder: Path) -> None:
    from mlflow import MlflowClient

    first = register(folder, name="student", alias="candidate", tags={"student": "post_think"})
    (folder / "README.md").write_text("A card alone makes no new model.")
    again = register(folder, name="student", alias="candidate", tags={})
    (folder / "model.safetensors").write_bytes(b"other weights")
    second = register(folder, name="student", alias="candidate", tags={})
    assert [(r.version, r.new) for r in (first, again, second)] == [("1", True), ("1", False), ("2", True)]
    client = MlflowClient(tracking_uri=store_uri(), registry_uri=store_uri())
    found = client.get_model_version_by_alias("student", "candidate")
    assert str(found.version) == "2"
    assert found.source == folder.as_uri()
    assert client.get_model_version("student", "1").tags["student"] == "post_think"
