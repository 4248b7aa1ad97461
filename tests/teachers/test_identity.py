from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import EngineError
from teachers.engine import EngineSpec, ModelRef
from teachers.identity import adapter_hash, model_hash, template_hash, writer_of


def spec(folder: Path, kind: str = "hf", **arguments: object) -> EngineSpec:
    return EngineSpec(kind, ModelRef(folder), dtype="float32", arguments=arguments)


def identity(spec: EngineSpec, model: ModelRef) -> str:
    return writer_of(spec, model).identity


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def test_a_copy_elsewhere_is_the_same_model(model_folder: Path, tmp_path: Path) -> None:
    there = copy(model_folder, tmp_path / "copy")
    (there / "README.md").write_text("notes")
    assert model_hash(there) == model_hash(model_folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_every_file_that_decides_texts_counts_even_when_changed_in_place(model_folder: Path, tmp_path: Path, name: str) -> None:
    there = copy(model_folder, tmp_path / "copy")
    assert model_hash(there) == model_hash(model_folder)
    (there / name).write_bytes((there / name).read_bytes() + b" ")
    assert model_hash(there) != model_hash(model_folder)


def test_engine_kind_dtype_and_arguments_count_where_they_change_texts(model_folder: Path, adapter_folder: Path) -> None:
    base = spec(model_folder)
    model = base.model
    others = [
        identity(replace(base, kind="vllm"), model),
        identity(replace(base, dtype="bfloat16"), model),
        identity(spec(model_folder, "vllm", quantization="fp8"), model),
        identity(base, ModelRef(model_folder, adapter_folder)),
    ]
    assert len({identity(base, model), *others}) == 5
    assert identity(spec(model_folder, "vllm", gpu_memory_utilization=0.5), model) == identity(spec(model_folder, "vllm"), model)
    assert identity(replace(base, batch=1, max_model_length=99), model) == identity(base, model)


def test_a_script_counts_by_its_content(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)
    found = [identity(spec(tmp_path, "scripted", script=str(tmp_path / name)), ModelRef(tmp_path)) for name in "abc"]
    assert found[0] == found[1] != found[2]


def test_an_adapter_does_not_depend_on_where_its_base_lies(adapter_folder: Path, tmp_path: Path) -> None:
    there = copy(adapter_folder, tmp_path / "copy")
    settings = json.loads((there / "adapter_config.json").read_text())
    (there / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "elsewhere"}))
    assert adapter_hash(there) == adapter_hash(adapter_folder)
    (there / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 99}))
    assert adapter_hash(there) != adapter_hash(adapter_folder)


def test_folders_without_a_model_are_named(tmp_path: Path) -> None:
    for broken in (lambda: model_hash(tmp_path), lambda: adapter_hash(tmp_path)):
        with pytest.raises(EngineError, match=str(tmp_path)):
            broken()


def test_a_template_is_the_same_wherever_the_folder_keeps_it(model_folder: Path, tmp_path: Path) -> None:
    there = copy(model_folder, tmp_path / "copy")
    template = (there / "chat_template.jinja").read_text()
    (there / "chat_template.jinja").unlink()
    assert template_hash(there) is None
    settings = there / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": template}))
    assert template_hash(there) == template_hash(model_folder)
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": template + " "}))
    assert template_hash(there) != template_hash(model_folder)
