import json
import shutil
from pathlib import Path

import pytest
import yaml

from data.errors import StageError
from pipeline.code import check_current, code, part_of, remove_strangers, settings_of
from pipeline.support.closure import ROOMS, Sources
from pipeline.support.params import load

ROOT = Path(__file__).parents[2]
STAGES = sorted(path.stem for path in (ROOT / "pipeline").glob("*.py") if path.stem not in ("__init__", "code"))


@pytest.fixture
def copy(tmp_path):
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=lambda folder, names: [n for n in names if not _is_source(Path(folder) / n)])
    return tmp_path


def _is_source(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name not in ("__pycache__", "store"))


def hashes(root: Path) -> dict[str, str]:
    sources = Sources(root)
    return {stage: sources.closure_hash(f"pipeline.{stage}") for stage in STAGES}


@pytest.fixture(scope="module")
def before():
    return hashes(ROOT)


def changed_by(edit: dict[str, tuple[str, str]], root: Path, before: dict[str, str]) -> set[str]:
    """Stages whose hash changes when `edit` (file → old text, new text) is made in the copy at `root`."""
    for file, (old, new) in edit.items():
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))
    after = hashes(root)
    return {stage for stage in STAGES if before[stage] != after[stage]}


def test_docstrings_comments_and_positions_change_no_hash(copy, before):
    edits = {
        "data/records.py": ('"""A question with its gold answer."""', '"""Another\n    docstring."""\n    # and a comment'),
        "pipeline/support/stage.py": ("import sys\n", "\n\n# moved\nimport sys\n"),
    }
    assert changed_by(edits, copy, before) == set()


def test_a_change_of_behaviour_in_records_reaches_every_stage_that_imports_it(copy, before):
    sources = Sources(copy)
    importing = {stage for stage in STAGES if "data.records" in sources.closure(f"pipeline.{stage}")}
    assert {"prepare", "sample", "verify", "report"} <= importing
    assert changed_by({"data/records.py": ("[:16]", "[:18]")}, copy, before) == importing


def test_an_edit_in_one_compressor_changes_shorten_alone(copy, before):
    first_line = "from __future__ import annotations"
    assert changed_by({"teachers/compressors/truncated.py": (first_line, f"{first_line}\nADDED = 1")}, copy, before) == {"shorten"}


def write(root: Path, files: dict[str, str]) -> Sources:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Sources(root)


def test_what_is_only_measured_makes_nothing_again():
    sources = Sources(ROOT)
    for stage in ("prepare", "sample", "verify", "shorten", "reverify", "compose", "base", "distill"):
        assert not [name for name in sources.closure(f"pipeline.{stage}") if name.startswith("data.metrics")]


def test_the_closure_follows_every_way_to_name_a_module(tmp_path):
    sources = write(
        tmp_path,
        {
            "pipeline/__init__.py": "",
            "pipeline/go.py": "from data import plain\ndef f():\n    from data.inside import thing\nCOMMAND = 'students.worker'",
            "data/__init__.py": "",
            "data/plain.py": "from . import sibling\nfrom .sibling import x",
            "data/sibling.py": "",
            "data/inside.py": "thing = 1",
            "data/unused.py": "",
            "students/__init__.py": "",
            "students/worker.py": "",
        },
    )
    reached = {"pipeline", "pipeline.go", "data", "data.plain", "data.sibling", "data.inside", "students", "students.worker"}
    assert set(sources.closure("pipeline.go")) == reached


def test_what_only_type_checkers_read_is_not_followed(tmp_path):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from data.heavy import Thing\n"
    sources = write(tmp_path, {"data/a.py": text, "data/heavy.py": ""})
    assert sources.closure("data.a") == ["data.a"]  # data.heavy is never imported at run time


def test_files_that_settings_name_belong_to_a_stages_inputs(tmp_path, monkeypatch):
    params = load(ROOT / "params.yaml")
    write(
        tmp_path,
        {"pipeline/sample.py": "", "pipeline/verify.py": "", "teachers/lab/model.safetensors": "weights", "teachers/lab/README.md": "card"},
    )
    monkeypatch.chdir(tmp_path)
    graph = {"sample": {"params": ["sample"]}, "verify": {"params": ["verify"]}}
    before = code(graph, params, Sources())
    write(tmp_path, {"teachers/lab/README.md": "a better card"})
    assert code(graph, params, Sources()) == before
    write(tmp_path, {"teachers/lab/model.safetensors": "other weights"})
    after = code(graph, params, Sources())
    assert (after["sample"] != before["sample"], after["verify"] == before["verify"]) == (True, True)


def test_models_that_params_do_not_name_are_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = load(ROOT / "params.yaml")
    for name in ("long/0", "long/7", "gone/0"):
        write(tmp_path, {f"data/store/models/{name}/weights": ""})
    remove_strangers(params)
    assert sorted(str(path.parent) for path in Path("data/store/models").rglob("weights")) == ["data/store/models/long/0"]


def test_the_settings_of_a_stage_are_the_parts_that_dvc_names():
    stage = {"params": ["distill", "sample.teacher", "students.${item.student}", {"data/store/code.json": ["distill"]}]}
    assert settings_of(stage) == ["distill", "sample.teacher", "students.${item.student}"]
    values = {"sample": {"teacher": {"path": "a"}, "draws": 4}, "students": {"long": 1}}
    assert part_of(values, "sample.teacher") == {"path": "a"}
    assert part_of(values, "students.${item.student}") == {"long": 1}


def test_commands_beside_the_graph_refuse_code_that_the_graph_has_not_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("pipeline.support.paths.CODE", tmp_path / "code.json")
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    (tmp_path / "code.json").write_text(json.dumps(code(graph, load(), Sources(ROOT))))
    check_current(load())
    (tmp_path / "code.json").write_text('{"distill": "older"}')
    with pytest.raises(StageError, match="changed since the last run; `dvc repro` first"):
        check_current(load())
