from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.adapters import is_adapter
from data.errors import ParamsError, StageError
from data.records import Lesson, Role
from data.tables import write_table
from pipeline.distill import _body, distill
from pipeline.support import paths
from pipeline.support.params import Params, load
from pipeline.support.stage import Statistics

TRAINING = {"epochs": 1, "batch_rows": 4, "micro_batch_rows": 4, "max_length": 64, "max_overlong": 0.5, "precision": "fp32"}


@pytest.fixture
def params(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The lab with a tiny base, and a workspace of its own."""
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    values = load().model_dump(by_alias=True)
    values["distill"] = {"base": {"path": str(tiny_base)}, "training": TRAINING}
    return Params.model_validate(values)


def lessons(path: Path) -> Path:
    texts = [f"<think>{n} + 1 = {n + 1}</think>{n + 1}" for n in range(8)] + ["<think>" + "1 + 1 = 2. " * 60 + "</think>2", "dropped"]
    roles = [Role.POSITIVE] * 9 + [Role.DROPPED]
    write_table(
        path,
        (
            Lesson(student="long", problem_id="p", trace_id=f"t{n}", role=role, reason="test", question="What is it?", completion=text)
            for n, (text, role) in enumerate(zip(texts, roles, strict=True))
        ),
    )
    return path


def test_a_student_is_trained_into_its_place_and_leaves_no_checkpoints(params: Params, tmp_path: Path) -> None:
    output = tmp_path / "models/long/0"
    finished = distill(params, lessons(tmp_path / "long.jsonl"), output, student="long", seed=0)
    assert {"model.safetensors", "config.json", "tokenizer.json", "training.csv", "generation_config.json"} <= {
        f.name for f in output.iterdir()
    }
    assert finished.trained.rows == 8
    assert list(paths.checkpoints().iterdir()) == []
    assert [f.name for f in output.parent.iterdir()] == ["0"]


def test_rows_and_tokens_are_counted(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lessons(paths.lessons_of("long"))
    statistics = Statistics("distill")
    _body(statistics, params, "long")
    assert (statistics.rows_in, statistics.rows_out) == (9, 8)
    assert statistics.dropped == Counter({"longer than max_length": 1})
    assert statistics.made_tokens > 8 * 10
    assert paths.model_of("long", 0).is_dir()


def test_an_unknown_student_is_refused(params: Params) -> None:
    with pytest.raises(ParamsError, match="'nobody' is not in params"):
        _body(Statistics("distill"), params, "nobody")


def test_a_new_seed_is_trained_beside_those_that_are_there(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lessons(paths.lessons_of("long"))
    first, more = Statistics("distill"), Statistics("distill")
    _body(first, params, "long")
    before = (paths.model_of("long", 0) / "model.safetensors").stat()
    _body(more, params.model_copy(update={"seeds": [0, 1]}), "long")
    assert (paths.model_of("long", 0) / "model.safetensors").stat() == before
    assert first.made_tokens == more.made_tokens > 0, "one training each time"
    paths.CODE.write_text('{"distill": "other code"}')
    _body(again := Statistics("distill"), params, "long")
    assert again.made_tokens == first.made_tokens, "weights of other code are made again"


@pytest.mark.slow
def test_a_student_goes_on_from_another(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for student in ("long", "next"):
        lessons(paths.lessons_of(student))
    chain = {"long": {"from": "base", "lessons": {"teacher": 1}}, "next": {"from": "long", "lessons": {"teacher": 1}}}
    for adapter in ("none", "lora"):
        values = params.model_dump(by_alias=True) | {"students": chain}
        values["distill"]["training"]["adapter"] = adapter
        own = Params.model_validate(values)
        with pytest.raises(StageError, match="models/long/0: no trained student"):
            _body(Statistics("distill"), own, "next")
        _body(Statistics("distill"), own, "long")
        _body(Statistics("distill"), own, "next")
        assert is_adapter(paths.model_of("next", 0)) == (adapter == "lora")
        name = "adapter_model.safetensors" if adapter == "lora" else "model.safetensors"
        assert not same(paths.model_of("long", 0) / name, paths.model_of("next", 0) / name)
        shutil.rmtree(paths.MODELS)


def same(one: Path, other: Path) -> bool:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)
