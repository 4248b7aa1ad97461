"""A ranker through the graph: trained on pairs, it scores the draws of students, and votes are counted with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data.chat import prompt_ids
from data.records import Lesson, NumberReference, Problem, Role, Split
from data.tables import write_table
from pipeline.distill import distill
from pipeline.evaluate import evaluate
from pipeline.support import paths
from pipeline.support.findings import candidates
from pipeline.support.params import Params
from pipeline.support.stage import Statistics

PROBLEMS = [
    Problem.create(task="t", split=split, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
    for i, split in enumerate([*[Split.VALIDATION] * 3, *[Split.TEST] * 4])
]
RIGHT, WRONG = "<think>I add.</think>The answer is \\boxed{%s}.", "<think>Hm.</think>The answer is \\boxed{77}."
PAIRS = {"rule": "draws"}
RANKER = {"from": "base", "pairs": PAIRS, "objective": {"kind": "asc", "width": 8}}
VOTES = {"asc": {"kind": "asc", "ranker": "judge", "weight": "s", "stop": {"kind": "esc", "window": 2, "agreement": 0.9}}}


def settings(base: Path, **changes: Any) -> dict[str, Any]:
    engine = {"kind": "scripted", "max_model_length": 200, "arguments": {"script": "script.jsonl", "right_share": 0.6}}
    training = {"epochs": 2, "batch_rows": 4, "micro_batch_rows": 4, "precision": "fp32"}
    return {
        "seeds": [3],
        "prepare": {"source": {"kind": "lab"}, "task": "lab", "train": 1, "validation": 3, "test": 4},
        "sample": {"teacher": {"path": str(base)}},
        "shorten": {},
        "students": {"long": {"from": "base", "lessons": {"teacher": 1}}, "judge": RANKER},
        "distill": {"base": {"path": str(base)}, "training": training},
        "evaluate": {"engine": engine, "sampling": {"max_tokens": 60}, "draws": 4, "draw_problems": 2, "votes": VOTES},
        "report": {"resamples": 100},
        **changes,
    }


@pytest.fixture
def params(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    lines = [{"question": p.question, "right": [RIGHT % p.reference.value], "wrong": [WRONG, "<think>Hm"]} for p in PROBLEMS]
    Path("script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Params.model_validate(settings(tiny_base))


def trained(params: Params) -> None:
    for student, roles in (("long", [Role.POSITIVE] * 8), ("judge", [Role.CHOSEN, Role.REJECTED] * 4)):
        rows = [
            Lesson(student=student, problem_id="p", trace_id=f"t{n}", role=role, reason="test", question=f"How many is {n}?",
                   completion=RIGHT % n if role is not Role.REJECTED else WRONG, pair=n // 2 if student == "judge" else None)
            for n, role in enumerate(roles)
        ]  # fmt: skip
        write_table(paths.lessons_of(student), rows)
        distill(params, paths.lessons_of(student), paths.model_of(student, 3), student=student, seed=3)


def test_it_scores_the_draws_that_have_an_answer_and_writes_none_itself(params: Params) -> None:
    from students.ranker import Ranker, Read
    from teachers.engine import ModelRef
    from teachers.evaluation import tokenizer_of

    trained(params)
    scores = evaluate(params, PROBLEMS, statistics=Statistics("evaluate"))
    assert {score.student for score in scores} == {"base", "long"}
    drawn = [score for score in scores if score.mode == "draw"]
    assert {(score.student, score.split) for score in drawn} == {(s, p) for s in ("base", "long") for p in (Split.VALIDATION, Split.TEST)}
    assert len(drawn) == 2 * 2 * 2 * 4
    assert all(set(score.ranks) == ({"judge"} if score.outcome.votes else set()) for score in drawn)
    assert not any(score.ranks for score in scores if score.mode == "greedy")

    base = Path(params.distill.base.path)
    tokenizer, judge = tokenizer_of(ModelRef(base)), Ranker(paths.model_of("judge", 3), base, None)
    shown = next(score for score in drawn if score.ranks and score.student == "long")
    question = next(problem.question for problem in PROBLEMS if problem.id == shown.problem_id)
    end = tokenizer.eos_token_id
    answer = [*tokenizer(shown.text, add_special_tokens=False)["input_ids"], end]
    assert judge.logits([Read(prompt_ids(tokenizer, question), answer)])[0] == pytest.approx(shown.ranks["judge"], abs=1e-3)
    again = evaluate(params, PROBLEMS, statistics=Statistics("evaluate"))
    assert again == scores


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("evaluate", {"votes": {"asc": {"kind": "asc", "ranker": "long"}}}, "'long' is no student with objective asc; allowed: .'judge'."),
        ("evaluate", {"draws": 0}, "votes need draws"),
        ("evaluate", {"votes": {"majority": {"kind": "majority"}}}, "votes.majority: this is the plain vote"),
        ("students", {"judge": {**RANKER, "pairs": {"rule": "right_over_wrong"}}}, "give `pairs: .rule: draws"),
        (
            "evaluate",
            {"votes": {"esc": {"kind": "majority", "stop": {"kind": "esc", "window": 5}}}},
            "votes.esc.stop.window: 5 is more than draws: 4",
        ),
        ("evaluate", {"variants": {"other": {"of": "judge"}}}, "'judge' is no student that writes; allowed: .'long'."),
        ("report", {"long": "judge"}, "'judge' is no student that writes"),
        ("handoff", {"candidates": ["judge"]}, "'judge' has objective asc, so it cannot be served"),
        ("students", {"next": {"from": "judge", "lessons": {"teacher": 1}}}, "'judge' is a ranker, which nothing goes on with"),
        ("students", {"judge": {**RANKER, "pairs": None, "lessons": {"teacher": 1}}}, "objective asc learns from `pairs`"),
    ],
)
def test_what_makes_no_sense_is_refused(tiny_base: Path, section: str, change: dict[str, Any], said: str) -> None:
    values = settings(tiny_base)
    with pytest.raises(ValidationError, match=said):
        Params.model_validate({**values, section: {**values.get(section, {}), **change}})


def test_it_is_never_handed_off(params: Params) -> None:
    assert "judge" not in candidates(params) and list(params.writers) == ["long"]
