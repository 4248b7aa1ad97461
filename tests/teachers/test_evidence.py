from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.difficulty import Difficulty
from data.records import NumberReference, Problem, Split, Status, Trace
from teachers.compressors.settings import AnyCompression, PruneStepsSettings, PruneTokensSettings
from teachers.engine import ModelRef
from teachers.evidence import Sources, gather
from teachers.reading import Case, Reader
from teachers.scores import Scorer

STATEMENT = "The answer is \\boxed{5}."
THINKING = "Ana has 3. So 3 + 2 = 5."


def problem(question: str) -> Problem:
    return Problem.create(task="t", split=Split.TRAIN, question=question, reference=NumberReference(value="5"))


def trace(of: Problem, thinking: str) -> Trace:
    fields = {"problem_id": of.id, "parent_ids": (), "writer": "teacher", "settings_id": "s", "draw": 0, "status": Status.OK}
    return Trace.create(**fields, text=f"<think>{thinking}</think>{STATEMENT}", prompt_tokens=1, completion_tokens=1, tokenizer="t")


def watch(items: Iterator[Any], *, label: str, total: int) -> Iterator[Any]:
    found = list(items)
    assert len(found) == total, label
    yield from found


def of(by: str) -> dict[str, AnyCompression]:
    if by == "answer":
        return {"steps": PruneStepsSettings(kind="prune_steps", by="answer", share=0.5)}
    return {"words": PruneTokensSettings(kind="prune_tokens", by=by, share=0.5)}


FIRST = [(each, trace(each, thinking)) for each in (problem("How much has Ana?"), problem("Ana?")) for thinking in (THINKING, "So 5.")]


@pytest.mark.parametrize("by", ["nll", "blind", "contrast", "answer"])
def test_every_trace_gets_the_scores_of_its_own_text_with_and_without_its_question(by: str, model_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    bands = {each.id: Difficulty.EASY for each, _ in FIRST}
    with Scorer(Reader(ModelRef(model_folder), AutoTokenizer.from_pretrained(model_folder)), tmp_path) as scorer:
        evidence = gather(of(by), FIRST, bands, Sources(scorer, lambda *_: pytest.fail("no other model is needed")), watch=watch)
        ids = {trace.id for _, trace in FIRST}
        assert evidence.difficulties == bands
        assert set(evidence.tokens) == (ids if by in ("nll", "contrast") else set())
        assert set(evidence.blind) == (ids if by in ("blind", "contrast") else set())
        assert set(evidence.steps) == (ids if by == "answer" else set())
        for asked, own in FIRST:
            thinking = own.text.removeprefix("<think>").partition("</think>")[0]
            for found, question in ((evidence.tokens, asked.question), (evidence.blind, "")):
                if found:
                    ((_, alone),) = scorer.tokens([Case(question, thinking, STATEMENT)])
                    assert found[own.id] == alone
    if by == "contrast":
        one, other = ([evidence.tokens[t.id].nll for p, t in FIRST if p is each] for each in (FIRST[0][0], FIRST[2][0]))
        assert one != other and evidence.blind[FIRST[0][1].id] == evidence.blind[FIRST[2][1].id] != evidence.tokens[FIRST[0][1].id]
        parts = ["Ana has 3.", " So 3 + 2 = 5."]
        lacking, known = (scores[FIRST[0][1].id].means(parts, by="nll") for scores in (evidence.blind, evidence.tokens))
        assert evidence.importance(FIRST[0][1], parts, by="contrast") == pytest.approx([b - a for a, b in zip(known, lacking, strict=True)])
