from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from data.errors import ParamsError
from data.records import Split
from data.tasks import lab
from pipeline.commands.confirm import confirm, fresh_problems, table
from pipeline.support import paths
from pipeline.support.findings import flat_comparison
from pipeline.support.params import Params
from pipeline.support.prepare_settings import FileSource


@pytest.fixture
def params(scripted_lab: Params, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The scripted lab, which knows the answers to the first fresh problems, and two trained students."""
    monkeypatch.chdir(tmp_path)
    values = scripted_lab.model_dump(by_alias=True)
    values["students"]["short"] = {"from": "base", "lessons": {"post_think": 1}}
    params = Params.model_validate(values)
    with (tmp_path / "script.jsonl").open("a") as script:
        for problem in fresh_problems(params, 12, seed=5):
            text = f"<think>So.</think>The answer is \\boxed{{{problem.reference.value}}}."
            script.write(json.dumps({"question": problem.question, "right": [text], "wrong": ["No."]}) + "\n")
            script.write(json.dumps({"question": f"Base: {problem.question}", "right": ["No."], "wrong": ["No."]}) + "\n")
    for student in ("long", "short"):
        for seed in params.seeds:
            paths.model_of(student, seed).parent.mkdir(parents=True)
            paths.model_of(student, seed).symlink_to(tiny_base)
    return params


def test_students_are_compared_on_problems_that_no_run_takes(params: Params) -> None:
    comparison = confirm(params, ["short"], problems=12, seed=5)
    assert comparison.problems == 12 and set(comparison.summary) == {"base", "long", "short"}
    flat = flat_comparison(comparison, long="long")
    assert flat["long.accuracy"] == 1.0 and flat["base.accuracy"] == 0.0
    assert flat["short.vs_long_difference"] == 0.0 and flat["short.vs_long_keeps_accuracy"] == "too few problems"
    assert len(table(comparison, "long").splitlines()) == 2 + 3


def test_fresh_problems_lie_in_no_other_split(params: Params) -> None:
    fresh = {problem.question for problem in fresh_problems(params, 50, seed=1)}
    splits = [split for split in Split if split is not Split.FRESH]
    others = {made.question for split in splits for made in islice(lab.generate(split.value, seed=1), 300)}
    assert len(fresh) == 50 and not fresh & others


def test_what_cannot_be_confirmed_is_refused(params: Params) -> None:
    with pytest.raises(ParamsError, match=r"'nobody'. are no students of params.yaml that write; allowed: .'long', 'short'."):
        confirm(params, ["nobody"])
    prepare = params.prepare.model_copy(update={"source": FileSource(train="a.jsonl", test="b.jsonl")})
    with pytest.raises(ParamsError, match=r"prepare\.source\.kind: file"):
        fresh_problems(params.model_copy(update={"prepare": prepare}), 5, seed=1)
