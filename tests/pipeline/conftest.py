"""What the pipeline's tests share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.records import NumberReference, Problem, Split
from data.tasks.lab_tokenizer import train_tokenizer
from pipeline.support.params import Params, load

TRAINING = {"epochs": 1, "batch_rows": 4, "micro_batch_rows": 4, "max_length": 128, "precision": "fp32", "guard": {"ends_from": 0}}


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of one layer, which trains in a second."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer, folder = train_tokenizer(documents=50), tmp_path_factory.mktemp("tiny")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 256}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes, **ends)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def few() -> list[Problem]:
    """Twelve training problems, four for validation and one test problem."""
    splits = [*[Split.TRAIN] * 12, *[Split.VALIDATION] * 4, Split.TEST]
    return [
        Problem.create(task="t", split=split, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
        for i, split in enumerate(splits)
    ]


@pytest.fixture
def scripted_lab(few: list[Problem], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The lab with a tiny base; what it would say to `few` is scripted."""
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    texts = {problem.question: f"<think>So.</think>The answer is \\boxed{{{problem.reference.value}}}." for problem in few}
    answers = [{"question": question, "right": [text], "wrong": ["No."]} for question, text in texts.items()]
    answers += [{"question": f"Base: {question}", "right": ["No."], "wrong": ["No."]} for question in texts]
    (tmp_path / "base.txt").write_text("Base: {question}")
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    values = load().model_dump(by_alias=True)
    values["distill"] = {"base": {"path": str(tiny_base)}, "training": TRAINING}
    script = {"script": str(tmp_path / "script.jsonl")}
    values["evaluate"] = {"engine": {"kind": "scripted", "max_model_length": 256, "arguments": script}, "sampling": {"max_tokens": 64}}
    values["evaluate"]["base_instruction"] = str(tmp_path / "base.txt")
    values["shorten"] = {"post_think": {"kind": "post_think"}, "truncated": {"kind": "truncated", "like": "post_think", "control": True}}
    values["students"] = {"long": {"from": "base", "lessons": {"teacher": 1}}}
    return Params.model_validate(values)
