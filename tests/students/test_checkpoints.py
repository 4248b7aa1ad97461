import json

import pytest

from students.checkpoints import folder_hash, last_complete, mark_complete, publish, remove_incomplete, training_id
from students.job import Job
from students.settings import Nat, Redi, Training, Unlikelihood


@pytest.fixture
def inputs(tmp_path):
    base, lessons = tmp_path / "base", tmp_path / "lessons.jsonl"
    base.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        (base / name).write_text(name)
    lessons.write_text("{}\n")
    return {"base": base, "base_name": "b", "lessons": lessons, "work": tmp_path, "training": Training(), "seed": 0}


def training(**inputs):
    return training_id(Job(**inputs))


def test_equal_inputs_have_equal_hashes_wherever_they_lie(inputs, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in inputs["base"].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "README.md").write_text("a card")
    assert training(**inputs) == training(**{**inputs, "base": copy})


def test_an_adapter_to_go_on_with_counts(inputs, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_text("x")
    with_adapter = training(**inputs, start=adapter)
    assert with_adapter != training(**inputs)
    (adapter / "adapter_model.safetensors").write_text("y")
    assert training(**inputs, start=adapter) != with_adapter


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_another_start_is_another_training(inputs, name):
    before = training(**inputs)
    (inputs["base"] / name).write_text("changed")
    assert training(**inputs) != before


def test_other_lessons_settings_seed_or_prompt_are_another_training(inputs):
    before = training(**inputs)
    others = [
        {"training": Training(learning_rate=2e-3)},
        {"training": Training(precision="fp32")},
        {"seed": 1},
        {"instruction": "Be brief."},
        {"objective": Redi(kind="redi")},
        {"objective": Redi(kind="redi", alpha=0.5)},
        {"objective": Unlikelihood(kind="unlikelihood")},
    ]
    assert all(training(**{**inputs, **other}) != before for other in others)
    nat = Nat(kind="nat")
    assert training(**inputs, objective=nat) == training(**inputs, objective=nat.model_copy(update={"upon": "any"})), "a permission alone"
    assert training_id(Job(**inputs), code="other") != before
    inputs["lessons"].write_text('{"a": 1}\n')
    assert training(**inputs) != before


def test_a_file_in_a_subfolder_counts(inputs):
    before = folder_hash(inputs["base"])
    (inputs["base"] / "sub").mkdir()
    (inputs["base"] / "sub/weights.safetensors").write_text("x")
    assert folder_hash(inputs["base"]) != before


def test_only_complete_checkpoints_are_found_and_the_last_by_number(tmp_path):
    for step in (2, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_complete(tmp_path) is None
    mark_complete(tmp_path / "checkpoint-2")
    mark_complete(tmp_path / "checkpoint-10")
    assert last_complete(tmp_path).name == "checkpoint-10"
    remove_incomplete(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-2"]


def test_publish_replaces_what_was_there_and_what_a_killed_move_left(tmp_path):
    source, destination = tmp_path / "work/model", tmp_path / "models/long/0"
    source.mkdir(parents=True)
    (source / "config.json").write_text(json.dumps({"new": 1}))
    for old in (destination, destination.with_name(".0.part")):
        old.mkdir(parents=True)
        (old / "stale").write_text("")
    publish(source, destination)
    assert [p.name for p in destination.iterdir()] == ["config.json"]
    assert [p.name for p in destination.parent.iterdir()] == ["0"]
    assert not source.exists()
