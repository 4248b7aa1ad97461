from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.chat import Format, begin_answer, prompt_ids, text_ids
from data.steps import steps
from teachers import reading
from teachers.engine import ModelRef
from teachers.hf import load_model
from teachers.reading import Case, Reader
from teachers.scores import Scorer

THINKINGS = ["We want Ana. Ana has 3. So 3 + 2 = 5. Check: 5 - 2 = 3.", "One step", "", "é 日本. 3.5 is it.\n\nNo.", "Ana has 3. " * 20]
CASES = [Case(f"How many has {index}?", thinking, "The answer is \\boxed{5}.") for index, thinking in enumerate(THINKINGS)]


@pytest.fixture(params=[Format.THINK, Format.SECTIONS])
def reader(request: pytest.FixtureRequest, model_folder: Path) -> Reader:
    from transformers import AutoTokenizer

    return Reader(ModelRef(model_folder), AutoTokenizer.from_pretrained(model_folder), None, request.param)


def log_probabilities(reader: Reader, ids: list[int]) -> torch.Tensor:
    model = load_model(reader.model, dtype="float32")
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]).to(model.device)).logits[0].log_softmax(-1).cpu()


def parts(reader: Reader, case: Case) -> tuple[list[int], list[int], list[int]]:
    """Tokens before the thinking, of what closes it, of the statement; found another way than the scorer does."""
    begun = begin_answer("X", reader.written)
    head, close = begun[: begun.index("X")], begun[begun.index("X") + 1 :]
    own = reader.tokenizer
    return [*prompt_ids(own, case.question), *text_ids(own, head)], text_ids(own, close), text_ids(own, case.statement)


def statement_logprob(reader: Reader, case: Case, thinking: list[int]) -> float:
    before, close, statement = parts(reader, case)
    ids = [*before, *thinking, *close, *statement]
    logp = log_probabilities(reader, ids)
    return sum(float(logp[index - 1, ids[index]]) for index in range(len(ids) - len(statement), len(ids)))


def test_token_scores_are_those_of_a_plain_reading(reader: Reader, tmp_path: Path) -> None:
    with Scorer(reader, tmp_path) as scorer:
        found = dict(scorer.tokens(CASES))
    assert set(found) == set(CASES)
    for case, scored in found.items():
        thinking = reader.tokenizer(case.thinking, add_special_tokens=False)["input_ids"]
        before, _, _ = parts(reader, case)
        logp = log_probabilities(reader, [*before, *thinking])
        rows = range(len(before) - 1, len(before) + len(thinking) - 1)
        assert scored.nll == pytest.approx([-float(logp[row, token]) for row, token in zip(rows, thinking, strict=True)], abs=1e-3)
        assert scored.entropy == pytest.approx([-float((logp[row].exp() * logp[row]).sum()) for row in rows], abs=1e-3)
        assert len(scored.begins) == len(thinking)


@pytest.mark.parametrize("branch_tokens", [1, 100, 4096])
def test_step_scores_are_those_of_reading_each_shorter_text(
    reader: Reader, tmp_path: Path, branch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BRANCH_TOKENS", branch_tokens)
    with Scorer(reader, tmp_path) as scorer:
        found = dict(scorer.steps(CASES))
    for case in CASES[:4]:
        encoded = reader.tokenizer(case.thinking, add_special_tokens=False, return_offsets_mapping=True)
        ids, begins = encoded["input_ids"], [begin for begin, _ in encoded["offset_mapping"]]
        whole, end, expected = statement_logprob(reader, case, ids), 0, []
        for step in steps(case.thinking):
            begin, end = end, end + len(step)
            kept = [token for token, at in zip(ids, begins, strict=True) if not begin <= at < end]
            expected.append(whole - statement_logprob(reader, case, kept))
        assert found[case].importance == pytest.approx(expected, abs=2e-3)


def test_scores_are_kept_by_content(model_folder: Path, other_model_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    reader = Reader(ModelRef(model_folder), tokenizer)
    with Scorer(reader, tmp_path) as scorer:
        first, steps_first = dict(scorer.tokens(CASES[:2])), dict(scorer.steps(CASES[:2]))
    (tmp_path / "TokenScores.jsonl").open("ab").write(b'{"schema_version":1,"key":"torn')
    with Scorer(reader, tmp_path) as scorer:
        assert (dict(scorer.tokens(CASES[:2])), dict(scorer.steps(CASES[:2]))) == (first, steps_first)
        assert scorer.made_tokens == 0
        assert set(dict(scorer.tokens(CASES))) == set(CASES)
        assert scorer.made_tokens > 0
    with Scorer(Reader(ModelRef(other_model_folder), tokenizer), tmp_path) as scorer:
        assert dict(scorer.tokens(CASES[:2])) != first
    with Scorer(replace(reader, dtype="bfloat16"), tmp_path) as scorer:
        rough, rough_steps = dict(scorer.tokens(CASES[:1])), dict(scorer.steps(CASES[:1]))
        assert scorer.made_tokens > 0
    assert rough[CASES[0]].nll == pytest.approx(first[CASES[0]].nll, abs=0.2) and rough != {CASES[0]: first[CASES[0]]}
    assert rough_steps[CASES[0]].importance == pytest.approx(steps_first[CASES[0]].importance, abs=0.5)
