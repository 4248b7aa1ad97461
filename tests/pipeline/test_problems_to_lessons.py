from __future__ import annotations

import json
import runpy
import shutil
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from data.chat import split, text_ids
from data.difficulty import difficulties
from data.errors import EngineError, ParamsError, RecordError, StageError
from data.records import Drawn, Lesson, NumberReference, Outcome, Problem, Recheck, Role, Split, Status, Trace, Verdict
from data.statement import final_statement
from data.stopping import ENOUGH, MOST, Vote
from data.tables import write_table
from data.tasks import lab
from data.tasks.lab_text import Habits, draw
from data.tasks.lab_text import final_statement as lab_statement
from data.tasks.lab_tokenizer import train_tokenizer
from data.verifiers.judge import TextCase, judge_texts
from pipeline.compose import Tables, compose
from pipeline.reverify import reverify
from pipeline.sample import sample
from pipeline.shorten import shorten
from pipeline.support import paths, pools
from pipeline.support.draws import first_draws
from pipeline.support.engines import instruction_of, tokenizer_of
from pipeline.support.params import ModelSource, Params
from pipeline.support.stage import Statistics
from teachers.shortening import Shortened

ROOT = Path(__file__).parents[2]
TRAINING, DRAWS = 15, 4
COMPRESSORS = {
    "shortest": {"kind": "shortest"},
    "post_think": {"kind": "post_think"},
    "truncated": {"kind": "truncated", "like": "post_think", "control": True},
    "none": {"kind": "direct", "of": "shortest", "control": True},
}
MIXES = {
    "long": {"teacher": 1},
    "shortest": {"shortest": 1},
    "post_think": {"post_think": 1},
    "truncated": {"truncated": 1},
    "none": {"none": 1},
    "mix": {"teacher": 1, "post_think": 4},
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train_tokenizer(documents=40).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


@pytest.fixture(scope="module")
def told() -> list[lab.LabProblem]:
    return list(islice(lab.generate("train", seed=3, max_steps=2), TRAINING))


@pytest.fixture(scope="module")
def problems(told: list[lab.LabProblem]) -> list[Problem]:
    test = list(islice(lab.generate("test", seed=3), 2))
    parts = [(Split.TRAIN, told), (Split.TEST, test)]
    return [
        Problem.create(task="lab", split=split_, question=p.question, reference=NumberReference(value=str(p.answer)))
        for split_, part in parts
        for p in part
    ]


@pytest.fixture
def script(told: list[lab.LabProblem], tmp_path: Path) -> Path:
    lines = []
    for problem in told:
        texts = [draw(problem, Random(f"{problem.question} {n}"), Habits(slip=0)) for n in range(3)]
        right = [f"<think>{thinking}</think>{short} {lab_statement(answer)}" for thinking, short, answer in texts]
        wrong = f"<think>{texts[0][0]}</think>{lab_statement(problem.answer + 1)}"
        lines.append(json.dumps({"question": problem.question, "right": right, "wrong": [wrong]}))
    (tmp_path / "script.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "script.jsonl"


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


def params_of(teacher: Path, script: Path, **arguments: object) -> Params:
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings = {"script": str(script), "right_share": 0.7, **arguments}
    values["sample"] |= {"teacher": {"path": str(teacher)}, "max_errors": 0.5, "draws": DRAWS, "stop": None}
    values["sample"] |= {"engine": {"kind": "scripted", "arguments": settings}}
    values |= {"shorten": COMPRESSORS, "students": {name: {"from": "base", "lessons": lessons} for name, lessons in MIXES.items()}}
    return Params.model_validate(values)


def sampled(params: Params, problems: list[Problem], statistics: Statistics | None = None) -> list[Trace]:
    return list(sample(params, problems, statistics=statistics or Statistics("sample"), drawn=[]))


def lessons_from(params: Params, problems: list[Problem]) -> tuple[list[Trace], list[Trace], list[Recheck], dict[str, list[Lesson]]]:
    long = sampled(params, problems)
    references = {problem.id: problem.reference for problem in problems}
    cases = [TextCase(trace.id, references[trace.problem_id], trace.text, trace.status) for trace in long]
    verdicts = list(judge_texts(cases, workers=1, timeout_seconds=5))
    short = shorten(params, problems, traces=long, verdicts=verdicts, statistics=Statistics("shorten")).table()
    rechecks = reverify(params, problems, traces=short, statistics=Statistics("reverify"))
    tables = Tables(problems, long, verdicts, short, rechecks)
    return long, short, rechecks, compose(params, tables)


def test_problems_become_lessons(teacher: Path, script: Path, problems: list[Problem]) -> None:
    params = params_of(teacher, script, right_share=0.9)
    long, short, rechecks, lessons = lessons_from(params, problems)
    training = {problem.id for problem in problems if problem.split is Split.TRAIN}
    assert {trace.problem_id for trace in long} == training
    assert len(long) == TRAINING * params.sample.draws
    assert all(recheck.survives for recheck, trace in zip(rechecks, short, strict=True) if trace.writer == "truncated")

    taught = {name: [row for row in rows if row.role is Role.POSITIVE] for name, rows in lessons.items()}
    assert len({tuple(row.problem_id for row in rows) for rows in taught.values()}) == 1
    assert len(taught["long"]) > TRAINING // 3
    for row in (row for rows in taught.values() for row in rows):
        answer = split(row.completion).answer
        assert answer == final_statement(answer, NumberReference(value="0"))
    tokenizer = tokenizer_of(params.sample.teacher)
    lengths = {
        name: sum(len(text_ids(tokenizer, split(row.completion).thinking)) for row in rows) / len(rows) for name, rows in taught.items()
    }
    assert lengths["truncated"] == pytest.approx(lengths["post_think"], abs=1)
    assert lengths["post_think"] < lengths["mix"] < lengths["long"]
    assert lengths["none"] == 0 < lengths["post_think"] < lengths["shortest"] <= lengths["long"]
    of_shortest = {trace.id for trace in short if trace.writer == "shortest"}
    assert {trace.parent_ids[0] for trace in short if trace.writer == "none"} == of_shortest


def test_wrong_draws_are_shortened_too_and_become_negatives_and_pairs(teacher: Path, script: Path, problems: list[Problem]) -> None:
    values = params_of(teacher, script, right_share=0.5).model_dump(by_alias=True)
    values["shorten"] |= {"cut": {"kind": "truncated", "outcome": "wrong", "share": 0.5}, "cut_more": {"kind": "shortest", "of": "cut"}}
    pairs = {"rule": "right_over_wrong", "right": "post_think", "wrong": "cut"}
    values["students"] |= {
        "negative": {"from": "base", "negatives": {"of": "cut_more"}, "objective": {"kind": "sft", "imitate": True}},
        "redi": {"from": "post_think", "pairs": pairs, "objective": {"kind": "redi"}},
    }
    long, short, rechecks, lessons = lessons_from(Params.model_validate(values), problems)
    of_wrong = {trace.id for trace in short if trace.writer in ("cut", "cut_more")}
    assert of_wrong and {recheck.reason for recheck in rechecks if recheck.trace_id in of_wrong} == {"of a wrong draw"}
    assert not any(recheck.survives for recheck in rechecks if recheck.trace_id in of_wrong)
    negatives = [row for row in lessons["negative"] if row.role is Role.NEGATIVE]
    assert negatives and {row.trace_id for row in negatives} <= {trace.id for trace in short if trace.writer == "cut_more"}
    references = {problem.id: problem.reference for problem in problems}
    sides = [row for row in lessons["redi"] if row.pair is not None]
    cases = [TextCase(str(n), references[row.problem_id], row.completion, Status.OK) for n, row in enumerate(sides)]
    judged = {int(v.trace_id): v.outcome for v in judge_texts(cases, workers=1, timeout_seconds=5)}
    assert {(sides[n].role, outcome) for n, outcome in judged.items()} == {(Role.CHOSEN, Outcome.RIGHT), (Role.REJECTED, Outcome.WRONG)}
    assert len(long) == TRAINING * DRAWS


def test_the_tables_do_not_depend_on_arrival_and_a_second_run_makes_nothing(teacher: Path, script: Path, problems: list[Problem]) -> None:
    first = lessons_from(params_of(teacher, script), problems)
    again = Statistics("sample")
    assert sampled(params_of(teacher, script, die_after=0), problems, again) == first[0]
    assert again.made_tokens == 0
    shutil.rmtree(paths.workspace())
    assert lessons_from(params_of(teacher, script, shuffle=7), problems[::-1]) == first


def test_what_goes_in_comes_out_or_is_counted(teacher: Path, script: Path, problems: list[Problem]) -> None:
    statistics = Statistics("sample")
    long = sampled(params_of(teacher, script, error_share=0.2, timeout_share=0.1), problems, statistics)
    assert statistics.dropped["error"] > 0
    assert statistics.rows_in == len(long) + statistics.dropped.total() == TRAINING * DRAWS


def test_draws_stop_by_the_rule_and_what_every_problem_got_is_recorded(teacher: Path, script: Path, problems: list[Problem]) -> None:
    values = params_of(teacher, script, right_share=0.5).model_dump(by_alias=True)
    values["sample"] |= {"draws": 6, "stop": {"kind": "enough", "right": 1, "wrong": 1}}
    stopped, everything = Params.model_validate(values), Params.model_validate({**values, "sample": {**values["sample"], "stop": None}})
    drawn: list[Drawn] = []
    traces = list(sample(stopped, problems, statistics=Statistics("sample"), drawn=drawn))
    whole = sampled(everything, problems)
    got = {row.problem_id: row.draws for row in drawn}
    assert traces == [trace for trace in whole if trace.draw < got[trace.problem_id]] and len(traces) < len(whole)
    assert sum(row.completion_tokens for row in drawn) == sum(trace.completion_tokens for trace in traces)
    assert {row.reason for row in drawn} <= {ENOUGH, MOST} and len(drawn) == TRAINING
    assert {row.rule for row in drawn} == {"enough: right 1, wrong 1; at most 6"}
    assert first_draws(stopped.sample) == 2 and first_draws(everything.sample) is None
    references = {problem.id: problem.reference for problem in problems}
    said = {
        v.trace_id: v.outcome
        for v in judge_texts(
            [TextCase(trace.id, references[trace.problem_id], trace.text, trace.status) for trace in whole], workers=1, timeout_seconds=5
        )
    }
    two = difficulties([trace for trace in whole if trace.draw < 2], said, first=None)
    assert difficulties(traces, said, first=2) == difficulties(whole, said, first=2) == two


def test_draws_in_the_store_are_a_pool_where_every_problem_has_as_many(teacher: Path, script: Path, problems: list[Problem]) -> None:
    params = params_of(teacher, script, right_share=0.5)
    write_table(paths.PROBLEMS, problems)
    traces = sampled(params, problems)
    references = {problem.id: problem.reference for problem in problems}
    pool = pools.of_store(params, DRAWS - 1)
    assert set(pool) == {trace.problem_id for trace in traces} and {len(votes) for votes in pool.values()} == {DRAWS - 1}
    for trace in traces[: 3 * DRAWS]:
        if trace.draw < DRAWS - 1:
            case = TextCase("", references[trace.problem_id], trace.text, trace.status)
            (verdict,) = judge_texts([case], workers=1, timeout_seconds=5)
            assert pool[trace.problem_id][trace.draw] == Vote.of(verdict.outcome, verdict.extracted)
    with pytest.raises(
        StageError, match=rf"{TRAINING} of {TRAINING} problems have fewer than {DRAWS + 1} draws .* has only {DRAWS}; ask for"
    ):
        pools.of_store(params, DRAWS + 1)


def test_too_many_errors_fail_the_stage(teacher: Path, script: Path, problems: list[Problem]) -> None:
    with pytest.raises(StageError, match="max_errors"):
        sampled(params_of(teacher, script, error_share=0.9), problems)


def test_traces_of_a_file_take_the_same_way(teacher: Path, script: Path, problems: list[Problem], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in script.read_text().splitlines()]
    texts = [
        {"question": row["question"], "text": text, "draw": n} for row in rows for n, text in enumerate([*row["right"], *row["wrong"]])
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    values = params_of(teacher, script).model_dump(by_alias=True)
    values["sample"] |= {"source": "file", "file": "texts.jsonl"}
    long, _, _, lessons = lessons_from(Params.model_validate(values), problems)
    assert len(long) == len(texts)
    assert {row.role for row in lessons["mix"]} == {Role.POSITIVE, Role.DROPPED}


def run_main(stage: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        runpy.run_module(f"pipeline.{stage}", run_name="__main__")
    assert exit_.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("stage", ["shorten", "compose"])
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_an_empty_trace_table_is_one_clear_error(stage: str, problems: list[Problem], capsys: pytest.CaptureFixture[str]) -> None:
    write_table(paths.PROBLEMS, problems)
    write_table(paths.LONG_TRACES, [])
    message = run_main(stage, capsys)
    assert f"{paths.LONG_TRACES}: the table is empty" in message
    assert "Traceback" not in message


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_a_malformed_trace_names_file_line_and_field(problems: list[Problem], capsys: pytest.CaptureFixture[str]) -> None:
    write_table(paths.PROBLEMS, problems)
    paths.LONG_TRACES.parent.mkdir(parents=True)
    paths.LONG_TRACES.write_text('{"id": "x"}\n')
    message = run_main("compose", capsys)
    assert f"{paths.LONG_TRACES}:1" in message
    assert "field problem_id" in message


def test_a_trace_of_an_unknown_problem_is_refused(teacher: Path, script: Path, problems: list[Problem]) -> None:
    params = params_of(teacher, script)
    _, short, _, _ = lessons_from(params, problems)
    with pytest.raises(RecordError, match="is no training problem"):
        reverify(params, problems[TRAINING:], traces=short, statistics=Statistics("reverify"))


def test_a_model_without_a_tokenizer_and_a_missing_prompt_are_named(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "bare" / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(EngineError, match=r"bare: its tokenizer cannot be loaded"):
        tokenizer_of(ModelSource(path=str(tmp_path / "bare")))
    with pytest.raises(ParamsError, match=r"nowhere\.txt"):
        instruction_of("nowhere.txt")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(ParamsError, match=r"empty\.txt"):
        instruction_of("empty.txt")


def test_a_teacher_without_thinking_is_noticed_before_anything_is_taught(teacher: Path, problems: list[Problem], tmp_path: Path) -> None:
    rows = [{"question": problem.question, "right": ["The answer is \\boxed{1}."]} for problem in problems]
    (tmp_path / "bare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StageError, match=r"sample\.format"):
        sampled(params_of(teacher, tmp_path / "bare.jsonl"), problems)


def changed(params: Params, **sections: Any) -> Params:
    return Params.model_validate({**params.model_dump(by_alias=True), **sections})


def test_another_model_may_go_on_from_the_short_thinking(teacher: Path, script: Path, problems: list[Problem]) -> None:
    params = params_of(teacher, script, right_share=1.0)
    engine = {"kind": "scripted", "arguments": {"script": str(script), "right_share": 0.0}}
    reader = {"model": {"path": str(teacher)}, "engine": engine}
    by_teacher = lessons_from(params, problems)[2]
    by_reader = lessons_from(changed(params, reverify={"reader": reader, "require": "stated"}), problems)[2]
    assert [row.trace_id for row in by_teacher] == [row.trace_id for row in by_reader]
    assert all(row.continued_right for row in by_teacher) and not any(row.continued_right for row in by_reader)


def test_a_model_rewrites_and_fuses_once(teacher: Path, script: Path, problems: list[Problem]) -> None:
    prompts = {kind: {"kind": kind, "prompt": str(ROOT / f"configs/prompts/{kind}.txt"), "share": None} for kind in ("rewrite", "fuse")}
    students = {"long": {"from": "base", "lessons": {"teacher": 1}}, "rewrite": {"from": "base", "lessons": {"rewrite": 1}}}
    params = changed(params_of(teacher, script, right_share=1.0), shorten=prompts, students=students)
    params = changed(
        params, sample={**params.sample.model_dump(), "engine": {**params.sample.engine.model_dump(), "max_model_length": 8192}}
    )
    long, short, _, lessons = lessons_from(params, problems)
    answers = {split(trace.text).answer for trace in long}
    assert {trace.writer for trace in short} == {"rewrite", "fuse"}
    assert all(split(trace.text).thinking in answers for trace in short), "what the model wrote behind its own thinking"
    assert all((len(trace.parent_ids) > 1) == (trace.writer == "fuse") for trace in short)
    assert any(row.role is Role.POSITIVE for row in lessons["rewrite"])
    verdicts = [Verdict(trace_id=t.id, verifier="number", version="1", outcome=Outcome.RIGHT, extracted=None, detail="") for t in long]
    again = Statistics("shorten")
    assert shorten(params, problems, traces=long, verdicts=verdicts, statistics=again).table() == short
    assert again.made_tokens == 0


def test_a_model_that_fails_too_often_while_it_shortens_stops_the_stage(teacher: Path, script: Path, problems: list[Problem]) -> None:
    rewrite = {"rewrite": {"kind": "rewrite", "prompt": str(ROOT / "configs/prompts/rewrite.txt"), "share": None}}
    students = {"long": {"from": "base", "lessons": {"rewrite": 1}}}
    params = changed(params_of(teacher, script, right_share=1.0), shorten=rewrite, students=students)
    long = sampled(params, problems)
    verdicts = [Verdict(trace_id=t.id, verifier="number", version="1", outcome=Outcome.RIGHT, extracted=None, detail="") for t in long]

    def shortened(traces: list[Trace], max_model_length: int, error_share: float) -> Shortened:
        engine = {
            "kind": "scripted",
            "max_model_length": max_model_length,
            "arguments": {"script": str(script), "error_share": error_share},
        }
        own = changed(params, sample={**params.sample.model_dump(), "engine": engine})
        return shorten(own, problems, traces=traces, verdicts=verdicts, statistics=Statistics("shorten"))

    few = [trace for trace in long if trace.problem_id in {t.problem_id for t in long[: 3 * DRAWS]}]
    for traces in (long, few):  # more than ten failures, and fewer
        with pytest.raises(StageError, match=r"completions ended in error or timeout; of \d+ at most 50.0% may \(max_errors\)"):
            shortened(traces, 8192, 0.95)
    refused = shortened(long, 600, 0.0)
    assert not refused.table() and refused.dropped.total() > 0, "prompts that do not fit are no failures"
