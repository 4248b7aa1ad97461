from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

import pytest

from data.chat import completion_ids, prompt_ids
from data.errors import StageError
from data.records import NumberReference, Outcome, Problem, Score, Split, Status
from data.tasks.lab_tokenizer import train_tokenizer
from pipeline.support.params import Handoff, Verify
from pipeline.support.serve_check import expected_answers, serve_and_check, serve_settings, tools_for
from students.serving_folder import finish
from teachers.decoding import Decoder
from teachers.engine import EngineSpec, ModelRef
from teachers.serve_check import Bounds

TEXTS = {number: f"<think>2 + {number - 2} = {number}.</think>The answer is \\boxed{{{number}}}." for number in range(3, 7)}


def problem(number: int, split: Split = Split.TEST) -> Problem:
    reference = NumberReference(value=str(number))
    return Problem.create(task="lab", split=split, question=f"Tom has 2 apples and gets {number - 2} more.", reference=reference)


def score(asked: Problem, text: str, tokens: int, **other: object) -> Score:
    fields = {
        "student": "short", "seed": 0, "problem_id": asked.id, "split": asked.split, "mode": "greedy", "draw": 0, "outcome": Outcome.RIGHT,
        "extracted": asked.reference.value, "status": Status.OK, "thinking_tokens": 1, "answer_tokens": tokens - 1, "text": text,
    }  # fmt: skip
    return Score.model_validate({**fields, **other})


def scores_of(problems: Iterable[Problem], decoder: Decoder) -> list[Score]:
    """Scores whose texts are what engines make of the tokens that were taught."""
    rows = [(asked, completion_ids(decoder.tokenizer, TEXTS[int(asked.reference.value)])) for asked in problems]
    return [score(asked, decoder.text(token_ids), len(token_ids)) for asked, token_ids in rows]


def test_answers_that_ended_are_asked_again_validation_first(tmp_path: Path) -> None:
    train_tokenizer(documents=200).save_pretrained(tmp_path)
    decoder = Decoder(tmp_path)
    tokenizer = decoder.tokenizer
    asked = [problem(3), problem(4, Split.VALIDATION), problem(5), problem(6)]
    scores = scores_of(asked, decoder)
    cut = scores[2].model_copy(update={"status": Status.TRUNCATED})
    drawn = scores[3].model_copy(update={"mode": "draw"})
    by_id = {p.id: p for p in asked}
    found = expected_answers([scores[0], scores[1], cut, drawn], by_id, tokenizer, count=2, instruction="Be brief.")
    assert [answer.problem_id for answer in found] == [asked[1].id, asked[0].id]
    assert found[0].prompt_ids == tuple(prompt_ids(tokenizer, asked[1].question, "Be brief."))
    assert found[0].tokens == len(completion_ids(tokenizer, TEXTS[4]))
    with pytest.raises(StageError, match=r"only 2 of 3 greedy answers end by themselves, 3 are needed"):
        expected_answers([scores[0], scores[1], cut, drawn], by_id, tokenizer, count=3, instruction=None)


def overfitted(folder: Path, problems: list[Problem]) -> Path:
    """A two-layer Llama that has learnt the texts of `problems` by heart."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(documents=200)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512}
    tokens = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **sizes, **tokens))
    rows = [(prompt_ids(tokenizer, p.question), completion_ids(tokenizer, TEXTS[int(p.reference.value)])) for p in problems]
    width = max(len(prompt) + len(completion) for prompt, completion in rows)
    input_BT, labels_BT = torch.full((len(rows), width), tokenizer.pad_token_id), torch.full((len(rows), width), -100)
    for row, (prompt, completion) in enumerate(rows):
        end = len(prompt) + len(completion)
        input_BT[row, :end] = torch.tensor(prompt + completion)
        labels_BT[row, len(prompt) : end] = torch.tensor(completion)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(300):
        loss = model(input_ids=input_BT, labels=labels_BT).loss
        if loss.item() < 2e-3:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05, "the texts were not learnt"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.timeout(1800)
def test_a_served_folder_answers_as_it_was_evaluated_and_other_weights_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    problems = [problem(number) for number in TEXTS]
    folder = overfitted(tmp_path / "student", problems)
    finish(folder, base=folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = EngineSpec("vllm", ModelRef(folder), "float32", 4, 256)
    settings = serve_settings(Handoff(problems=4, port=port, start_seconds=1500), spec)
    decoder = Decoder(folder)
    expected = expected_answers(scores_of(problems, decoder), {p.id: p for p in problems}, decoder.tokenizer, count=4, instruction=None)
    tools = tools_for(folder, [p for answer in expected for p in problems if p.id == answer.problem_id], Verify(workers=1))
    bounds = Bounds(exact=True, logprob_difference=0.01)
    found = serve_and_check(folder, settings, expected, bounds, tools)
    assert (found.problems, found.equal_texts, found.equal_answers) == (4, 4, 4)
    other = [answer._replace(text=answer.text.replace("</think>", " Yes.</think>")) for answer in expected]
    with pytest.raises(StageError, match="4 fault"):
        serve_and_check(folder, settings, other, bounds, tools)
