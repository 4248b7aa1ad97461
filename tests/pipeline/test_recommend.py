from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import ParamsError
from data.records import Outcome, Problem, Recheck, Split, Status, Trace, Verdict
from pipeline.commands import recommend as command
from pipeline.commands.recommend import Options, reason, recommend, table
from pipeline.compose import Tables
from pipeline.support.params import Params, load

OPTIONS = Options(share=0.5, seeds=1, long_shares=(0.0, 0.5))


def trace(problem: Problem, writer: str, thinking: str, of: tuple[Trace, ...] = ()) -> Trace:
    text = f"<think>{thinking}</think>The answer is \\boxed{{{problem.reference.value}}}."
    fields = {
        "problem_id": problem.id,
        "parent_ids": tuple(parent.id for parent in of),
        "writer": writer,
        "settings_id": "s",
        "draw": 0,
        "text": text,
    }
    return Trace.create(**fields, status=Status.OK, prompt_tokens=1, completion_tokens=1, tokenizer="t")


@pytest.fixture
def params(scripted_lab: Params) -> Params:
    return scripted_lab


@pytest.fixture
def tables(few: list[Problem]) -> Tables:
    training = [problem for problem in few if problem.split is Split.TRAIN]
    long = [trace(problem, "teacher", "We add one and check it again.") for problem in training]
    pairs = list(zip(training, long, strict=True))
    short = [trace(problem, writer, "Add.", (parent,)) for problem, parent in pairs for writer in ("post_think", "truncated")]
    verdicts = [Verdict(trace_id=t.id, verifier="number", version="1", outcome=Outcome.RIGHT, extracted=None, detail="") for t in long]
    counts = {"continued_right": 1, "continued_draws": 1, "empty_right": 0, "empty_draws": 1}
    rechecks = [Recheck(trace_id=t.id, stated=Outcome.RIGHT, survives=True, reason="continued", **counts) for t in short]
    return Tables(few, long, verdicts, short, rechecks)


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

    monkeypatch.setattr("pipeline.support.probes.distill", lambda *_, **__: pytest.fail("trained a second time"))
    again = recommend(params, tables, OPTIONS._replace(jobs=2), folder)
    assert again.choice == found.choice


@pytest.mark.slow
def test_the_files_that_are_written_run(params: Params, tables: Tables, tmp_path: Path) -> None:
    found = recommend(params, tables, OPTIONS, tmp_path / "recommend")
    path = command._write(found, OPTIONS, tmp_path / "recommend")
    assert load(path) == found.params and path.read_text().startswith("# post_think")
    assert (path.parent / "pareto.png").stat().st_size > 10_000


@pytest.mark.slow
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
