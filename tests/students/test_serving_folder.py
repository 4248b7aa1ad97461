from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from data.errors import PreflightError
from data.tasks.lab_tokenizer import train_tokenizer
from students.serving_folder import finish

TEXT = "<think>2 + 3 = 5</think>The answer is \\boxed{5}."


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as trainers leave it: think tags are special tokens. Its weights play no part here."""
    folder = tmp_path_factory.mktemp("base")
    train_tokenizer(documents=200).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"eos_token_id": 1}))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    for file in base.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_every_end_token_is_named_and_no_sampling_default(base: Path, folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 5], "temperature": 0.7, "repetition_penalty": 1.1}))
    finish(folder, base=base)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    values = json.loads((folder / "generation_config.json").read_text())
    assert values == {"eos_token_id": [tokenizer.eos_token_id, 5], "pad_token_id": tokenizer.pad_token_id}


def test_the_base_end_tokens_are_kept(base: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 9]}))
    finish(folder, base=other)
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [1, 7, 9]


def test_decoding_keeps_the_think_tags_and_tokens_stay_the_same(base: Path, folder: Path) -> None:
    before = AutoTokenizer.from_pretrained(folder)
    ids = before(TEXT, add_special_tokens=False)["input_ids"]
    assert "<think>" not in before.decode(ids, skip_special_tokens=True)
    finish(folder, base=base)
    after = AutoTokenizer.from_pretrained(folder)
    assert after(TEXT, add_special_tokens=False)["input_ids"] == ids
    said = after.decode([*ids, after.eos_token_id], skip_special_tokens=True)
    assert "<think>" in said
    assert "</think>" in said
    assert after.eos_token not in said


def test_weights_can_be_read_by_the_user_of_a_server(base: Path, folder: Path) -> None:
    (folder / "model.safetensors").chmod(0o600)
    finish(folder, base=base)
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_finishing_twice_changes_nothing(base: Path, folder: Path) -> None:
    finish(folder, base=base)
    once = {file.name: file.read_bytes() for file in folder.iterdir()}
    finish(folder, base=base)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == once


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("tokenizer.json", "tokenizer.json missing"),
        ("model.safetensors", r"\*\.safetensors missing"),
        ("chat_template.jinja", "no chat template"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused(base: Path, folder: Path, gone: str, said: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(PreflightError, match=said):
        finish(folder, base=base)
