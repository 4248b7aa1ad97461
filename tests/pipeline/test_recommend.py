from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import ParamsError
from data.records import NumberReference, Outcome, Problem, Recheck, Split, Status, Trace, Verdict
from pipeline.commands import recommend as command
from pipeline.commands.recommend import Options, reason, recommend, table
from pipeline.compose import Tables
from pipeline.support.params import Params, load

OPTIONS = Options(share=0.5, seeds=1, long_shares=(0.0, 0.5))
PROBLEMS = [
    Problem.create(task="t", split=split, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
    for i, split in enumerate([*[Split.TRAIN] * 12, *[Split.VALIDATION] * 4, Split.TEST])
]
TRAINING = {"epochs": 1, "batch_rows": 4, "micro_batch_rows": 4, "max_length": 128, "precision": "fp32"}


@pytest.fixture
def params(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The lab with a tiny base; what it would say is scripted."""
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    texts = {problem.question: f"<think>So.</think>The answer is \\boxed{{{problem.reference.value}}}." for problem in PROBLEMS}
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


def trace(problem: Problem, writer: str, thinking: str) -> Trace:
    text = f"<think>{thinking}</think>The answer is \\boxed{{{problem.reference.value}}}."
    fields = {"problem_id": problem.id, "parent_ids": (), "writer": writer, "settings_id": "s", "draw": 0, "text": text}
    return Trace.create(**fields, status=Status.OK, prompt_tokens=1, completion_tokens=1, tokenizer="t")


@pytest.fixture
def tables() -> Tables:
    training = [problem for problem in PROBLEMS if problem.split is Split.TRAIN]
    long = [trace(problem, "teacher", "We add one and check it again.") for problem in training]
    short = [trace(problem, writer, "Add.") for problem in training for writer in ("post_think", "truncated")]
    verdicts = [Verdict(trace_id=t.id, verifier="number", version="1", outcome=Outcome.RIGHT, extracted=None, detail="") for t in long]
    counts = {"continued_right": 1, "continued_draws": 1, "empty_right": 0, "empty_draws": 1}
    rechecks = [Recheck(trace_id=t.id, stated=Outcome.RIGHT, survives=True, reason="continued", **counts) for t in short]
    return Tables(PROBLEMS, long, verdicts, short, rechecks)


def test_probes_are_trained_once_and_one_is_recommended(
    params: Params, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recommend"
    found = recommend(params, tables, OPTIONS, folder)
    assert set(found.comparison.summary) == {"base", "long", "post_think", "post_think_long50"}
    assert found.comparison.problems == 4, "validation problems alone"
    assert len(list((folder / "models").iterdir())) == 3
    assert len((folder / "lessons/post_think.jsonl").read_text().splitlines()) == 6, "half of the training problems"
    best = str(found.choice.student)
    assert best.startswith("post_think") and set(found.params.students) == {"long", best}
    assert found.params.handoff.candidates == [best] and found.params.seeds == params.seeds
    assert best in reason(found, OPTIONS) and len(table(found)[1]) == 4

    monkeypatch.setattr(command, "distill", lambda *_, **__: pytest.fail("trained a second time"))
    again = recommend(params, tables, OPTIONS._replace(jobs=2), folder)
    assert again.choice == found.choice


def test_the_files_that_are_written_run(params: Params, tables: Tables, tmp_path: Path) -> None:
    found = recommend(params, tables, OPTIONS, tmp_path / "recommend")
    path = command._write(found, OPTIONS, tmp_path / "recommend")
    assert load(path) == found.params and path.read_text().startswith("# post_think")
    assert (path.parent / "pareto.png").stat().st_size > 10_000


def test_probes_that_learnt_nothing_recommend_nothing(params: Params, tables: Tables, tmp_path: Path) -> None:
    as_good_as_base = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"base_instruction": None})})
    with pytest.raises(ParamsError, match=r"the long probe is \+0\.0 .* points above the untrained base on 4 validation problems"):
        recommend(as_good_as_base, tables, OPTIONS, tmp_path)


def test_nothing_to_choose_from_is_said(params: Params, tables: Tables, tmp_path: Path) -> None:
    controls = params.model_copy(update={"shorten": {"truncated": params.shorten["truncated"]}})
    with pytest.raises(ParamsError, match="no compressor but controls"):
        recommend(controls, tables, OPTIONS, tmp_path)
    with pytest.raises(ParamsError, match="allowed are a share"):
        recommend(params, tables, OPTIONS._replace(share=0.0), tmp_path)
