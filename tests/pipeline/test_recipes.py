from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline.commands.doctor import recipes_in
from pipeline.support.params import ModelSource, Params, load, training_of
from pipeline.support.prepare_settings import FileSource, HubSource

RECIPES = recipes_in()
COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_names(params: Params) -> list[tuple[str, str | None]]:
    models: list[ModelSource] = [params.sample.teacher, params.distill.base]
    named = [(model.path, model.revision) for model in models if model.path[0].isupper()]
    source = params.prepare.source
    return [*named, (source.name, source.revision)] if isinstance(source, HubSource) else named


@pytest.mark.parametrize("path", [Path("params.yaml"), *RECIPES], ids=lambda path: path.name)
def test_a_recipe_is_a_whole_valid_run(path: Path) -> None:
    params = load(path)
    assert all(COMMIT.fullmatch(revision or "") for _, revision in hub_names(params)), "hub names are pinned by commit"
    for file in (params.sample.instruction, params.distill.instruction, params.evaluate.base_instruction):
        assert file is None or Path(file).read_text().strip(), f"{file} holds no text"
    longest = params.sample.sampling.max_tokens
    assert params.sample.engine.max_model_length > longest
    assert params.evaluate.engine.max_model_length > params.evaluate.sampling.max_tokens
    for student in params.students:
        training = training_of(params, student)
        assert training.max_length >= longest, "long traces would be dropped as too long"
        assert training.batch_rows % (training.micro_batch_rows * training.launch.processes) == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_a_recipe_says_what_it_costs_and_whether_that_was_measured(path: Path) -> None:
    params = load(path)
    assert params.plan.cost
    if params.plan.gpus:
        head = path.read_text().partition("seeds:")[0]
        assert "ot yet measured" in head
        assert not params.plan.measured


def test_the_cpu_recipe_reads_local_files_and_fetched_models() -> None:
    params = load(Path("configs/gsm8k-cpu.yaml"))
    assert isinstance(params.prepare.source, FileSource)
    assert {params.sample.teacher.path, params.distill.base.path} == {
        "models/qwen2.5-coder-1.5b-instruct",
        "models/qwen2.5-coder-0.5b-instruct",
    }


def test_no_setting_has_a_name_that_yaml_reads_as_something_else() -> None:
    schema = Params.model_json_schema(by_alias=True)
    names = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", {})}
    assert len(names) > 100
    assert {name for name in names if not isinstance(yaml.safe_load(name), str)} == set()
