import csv
import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.dedup import Drop
from data.errors import RecordError
from data.records import Drawn, Lesson, NumberReference, Outcome, Problem, Recheck, Role, Score, Split, Status, Trace, Verdict
from data.stopping import ENOUGH
from data.tables import write_table
from data.tasks.lab_tokenizer import train_tokenizer
from pipeline.report import _body, _trained, _trained_tokens, report
from pipeline.support import paths, report_plots
from pipeline.support.findings import Findings, Tables, candidates, findings, flat, greedy_only, headline
from pipeline.support.params import Params
from pipeline.support.report_page import Shown, main_table, page
from pipeline.support.report_text import trained_rows
from pipeline.support.stage import Statistics
from pipeline.support.tracking import store_uri
from students.examples import Example, Run
from students.job import Trained

TOKENS = {"base": 80, "long": 200, "post_think": 60, "truncated": 40}
EVERY = {"base": 5, "long": 1000, "post_think": 40, "truncated": 3}
"""Of a student's answers one in so many is wrong (for the base: right)."""


def _params(**report_settings: object) -> Params:
    model = {"path": "nowhere"}
    return Params.model_validate(
        {
            "seeds": [0, 1],
            "prepare": {"source": {"kind": "lab"}, "task": "lab", "train": 2, "validation": 40, "test": 60},
            "sample": {"teacher": model, "draws": 8, "stop": {"kind": "enough", "right": 1, "wrong": 1}},
            "shorten": {"post_think": {"kind": "post_think"}, "truncated": {"kind": "truncated", "like": "post_think", "control": True}},
            "students": {
                name: {"from": "base", "lessons": {name if name != "long" else "teacher": 1}}
                for name in ("long", "post_think", "truncated")
            },
            "distill": {"base": model},
            "evaluate": {"draws": 2, "draw_problems": 10},
            "report": {"resamples": 100, **report_settings},
        }
    )


def _problem(number: int, split: Split) -> Problem:
    return Problem.create(task="t", split=split, question=f"What is {number} | 1?", reference=NumberReference(value=str(number)))


TRAINED = _problem(100, Split.TRAIN)


def _scores(student: str, seed: int, problems: list[Problem]) -> Iterable[Score]:
    for number, problem in enumerate(problems):
        drawn = number < 10 and problem.split is Split.TEST
        for mode, draw in [("greedy", 0), *([("draw", d) for d in range(2)] if drawn else [])]:
            right = ((number + draw + seed) % EVERY[student] != 0) != (student == "base")
            cut = not right and student == "truncated"
            yield Score(
                student=student,
                seed=seed,
                problem_id=problem.id,
                split=problem.split,
                mode=mode,
                draw=draw,
                outcome=Outcome.TRUNCATED if cut else Outcome.RIGHT if right else Outcome.WRONG,
                extracted=None if cut else "1",
                status=Status.TRUNCATED if cut else Status.OK,
                thinking_tokens=TOKENS[student] - 10,
                answer_tokens=10,
                text=f"<think>{student} thinks\nof it</think>The answer is \\boxed{{1}}.",
            )


def _trace(writer: str, draw: int, *parents: str) -> Trace:
    text = f"<think>{writer}</think>The answer is \\boxed{{5}}."
    fields = {
        "problem_id": TRAINED.id,
        "parent_ids": parents,
        "writer": writer,
        "settings_id": "s",
        "draw": draw,
        "text": text,
        "status": "ok",
    }
    return Trace.create(**fields, prompt_tokens=1, completion_tokens=1, tokenizer="t")


LEFT_OUT = Drop(
    problem_id="p",
    place="a.csv:7",
    question="Who | why?",
    reason="overlaps with test",
    match_id="m",
    match="Who | how?",
    detail="similarity 0.90",
)


def _row(*runs: tuple[bool, str], wrong: bool = False) -> Example:
    return Example(trace_id="t7", wrong=wrong, runs=[Run(learnt=learnt, tokens=len(text), text=text) for learnt, text in runs])


ROWS = {
    "long": [_row((False, "<|user|>1 | 1?"), (True, "<think>```py```</think>2<|end|>"))],
    "post_think": [_row((False, "q"), (True, "a" * 99)), _row((False, "q"), (True, "x"), (False, "y"), wrong=True)],
}


def _tables() -> Tables:
    problems = [_problem(i, Split.VALIDATION if i < 40 else Split.TEST) for i in range(100)]
    problems.append(TRAINED)
    parts = [[p for p in problems if p.split is split] for split in (Split.VALIDATION, Split.TEST)]
    scores = [
        score
        for part in parts
        for student in TOKENS
        for seed in ([0] if student == "base" else [0, 1])
        for score in _scores(student, seed, part)
    ]
    long = [_trace("teacher", draw) for draw in range(2)]
    short = [_trace("post_think", draw, long[0].id) for draw in range(4)] + [_trace("truncated", 0, long[0].id)]
    rechecks = [
        Recheck(
            trace_id=trace.id,
            stated=Outcome.RIGHT,
            continued_right=1,
            continued_draws=1,
            empty_right=0,
            empty_draws=1,
            survives=trace.draw < 3,
            reason="survives" if trace.draw < 3 else "continued wrong",
        )
        for trace in short
    ]
    lessons = {
        name: [
            Lesson(
                student=name,
                problem_id=TRAINED.id,
                trace_id="t",
                role=Role.POSITIVE,
                reason="taught",
                question="q",
                completion="x" * length,
            )
        ]
        for name, length in (("long", 100), ("post_think", 30), ("truncated", 32))
    }
    verdicts = [
        Verdict(trace_id=trace.id, verifier="v", version="1", outcome=outcome, extracted=None, detail="")
        for trace, outcome in zip(long, ("right", "wrong"), strict=True)
    ]
    drawn = [Drawn(problem_id=TRAINED.id, draws=2, rule="enough", reason=ENOUGH, prompt_tokens=5, completion_tokens=60)]
    trained = {"long": 5000, "post_think": 1800}
    return Tables(problems, [LEFT_OUT], scores, long, verdicts, short, rechecks, drawn, lessons, trained, ROWS, len)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return _tables()


CURVES = {("long", 0): [{"step": 1.0, "loss": 0.5, "grad_norm": 2.0}]}


@pytest.fixture(scope="module")
def folder(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report(tables, _params(), CURVES, folder=folder)
    return folder


def test_metrics_are_flat_and_rounded_and_named_by_student(tables: Tables) -> None:
    metrics = flat(findings(tables, _params()), long="long")
    assert metrics["long.accuracy"] == pytest.approx(1 - 1 / 120, abs=1e-6)
    assert metrics["long.tokens"] == 200 and metrics["post_think.vs_long_token_ratio"] == pytest.approx(0.3)
    assert metrics["post_think.vs_long_keeps_accuracy"] == "too few problems"
    assert metrics["truncated.unfinished"] > 0.3 and metrics["truncated.accuracy_finished"] == 1.0
    assert metrics["post_think.data_token_ratio"] == pytest.approx(0.3) and metrics["compressor_post_think.survival"] == 0.75
    assert metrics["post_think.trained_tokens"] == 1800 and "truncated.trained_tokens" not in metrics
    assert metrics["best.student"] == "post_think" and metrics["long.validation_tokens"] == 200
    assert {"base.pass_at_1", "base.pass_at_2", "base.maj_at_2_low", "long.vs_base_difference_high"} <= set(metrics)
    assert all(isinstance(value, str) or value == round(value, 6) for value in metrics.values())


def test_votes_stand_beside_the_plain_vote_in_the_page_and_the_metrics(tables: Tables, folder: Path) -> None:
    judge = {"from": "long", "pairs": {"rule": "draws"}, "objective": {"kind": "asc"}}
    values = _params().model_dump(by_alias=True)
    values["students"]["judge"] = judge
    values["evaluate"]["votes"] = {
        "esc": {"kind": "majority", "stop": {"kind": "esc", "window": 2}},
        "asc": {"kind": "asc", "ranker": "judge"},
    }
    drawn = [score for score in tables.scores if score.mode == "draw"]
    ranked = [score.model_copy(update={"ranks": {"judge": 1.0 - 2 * (score.outcome is not Outcome.RIGHT)}}) for score in drawn]
    beside = [score.model_copy(update={"split": Split.VALIDATION}) for score in ranked]
    params = Params.model_validate(values)
    found = findings(replace(tables, scores=[s for s in tables.scores if s.mode == "greedy"] + ranked + beside), params)
    metrics, text = flat(found, long="long"), page(found, params.report, Shown())
    assert metrics["base.ranked_by_judge_pair_accuracy"] == 1.0
    assert metrics["long.vote_asc_at_equal_draws"] >= 0 and metrics["long.vote_majority_at_equal_tokens"] == 0
    assert {"long.vote_esc_agreement", "long.vote_esc_draws", "post_think.vote_asc_accuracy_low"} <= set(metrics)
    assert "## Votes: the draws of 10 test problems" in text and "right above wrong" in text
    assert "| long" in text.partition("## Votes")[2] and "| asc" in text
    assert "## Votes" not in (folder / "report.md").read_text()


def test_dvc_shows_the_headline_and_the_rest_is_beside_it(folder: Path) -> None:
    shown, everything = (json.loads((folder / name).read_text()) for name in ("metrics.json", "measures.json"))
    assert shown == headline(everything) and shown.items() < everything.items()
    of_post_think = [name.partition(".")[2] for name in shown if name.startswith("post_think.")]
    assert of_post_think == [
        "accuracy", "tokens", "vs_long_difference", "vs_long_difference_low", "vs_long_difference_high", "vs_long_token_ratio",
    ]  # fmt: skip
    assert shown["best.student"] == "post_think"


def test_the_report_is_the_same_file_by_file_for_any_order_of_rows(tables: Tables, folder: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    shuffled = replace(tables, scores=rng.sample(tables.scores, len(tables.scores)), short_verdicts=tables.short_verdicts[::-1])
    report(shuffled, _params(), CURVES, folder=tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert [str(file) for file in files] == [
        "best.json", "measures.json", "metrics.json", "plots/pareto.csv", "plots/pareto.png", "plots/training.csv", "report.md",
    ]  # fmt: skip
    assert all((folder / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_the_page_says_what_a_stranger_needs(tables: Tables, folder: Path) -> None:
    text = (folder / "report.md").read_text()
    assert "too few to claim that it keeps the accuracy of `long`" in text and "−3 points on at least 1000 problems" in text
    assert "α = 1, β = 3, γ = 5" in text and "Holm-corrected for 3 comparisons" in text
    assert "continued wrong: 1" in text and "right 50.0 %, wrong 50.0 %" in text and "## Seeds on the test problems" in text
    assert text.count("gold answer") == 3 and "post_think thinks<br>of it&lt;/think>" in text and "What is 40 \\| 1?" in text
    ways = text.partition("### One problem, shortened in every way")[2].partition("##")[0]
    assert "What is 100 \\| 1?" in ways and [
        line.split("|")[1:4] for line in ways.splitlines() if "post_think" in line or "teacher" in line
    ] == [
        [" teacher    ", " 6      ", " –                   "],
        *[[" post_think ", " 9      ", f" {said:<19} "] for said in (*["yes: survives"] * 3, "no: continued wrong")],
    ]
    header, rows = main_table(findings(tables, _params()), _params().report)
    assert [row[0] for row in rows] == ["base", "long", "post_think", "truncated"] and all(len(row) == len(header) for row in rows)
    # A control is asked for the length of what it is like.
    assert any(
        line.split("|")[1:8] == [" truncated  ", " 1    ", " 32.0         ", " –       ", " 0.30  ", " 0.32 ", " 0.20 [0.20, 0.20] "]
        for line in text.splitlines()
    )
    assert " 1,800 " in text
    assert "Its 2 draws of 1 problems cost 60 generated tokens and 10 of prompts." in text
    assert "Stopping early saved 6 draws, about 180 generated tokens (75.0 %) and 30 of prompts." in text
    assert "1 were left out: overlaps with test 1." in text
    assert "| overlaps with test | Who \\| why? (a.csv:7) | Who \\| how?     | similarity 0.90 |" in text
    assert json.loads((folder / "best.json").read_text())["student"] == "post_think"


def test_rows_of_the_trainings_are_shown_with_what_is_supervised_apart(folder: Path) -> None:
    rows = (folder / "report.md").read_text().partition("### Rows of the trainings, decoded\n\n")[2].partition("\n\n##")[0]
    assert rows.startswith(
        "**`long`**, a row (trace `t7`): 45 tokens, 31 of them supervised (68.9 %).\n\n"
        "Read, 14 tokens:\n\n```text\n<|user|>1 | 1?\n```\n\n"
        "Supervised, 31 tokens:\n\n````text\n<think>```py```</think>2<|end|>\n````\n\n**`post_think`**, a row"
    )
    assert "a wrong row (trace `t7`): 3 tokens, 1 of them supervised (33.3 %)" in rows and rows.count("Read, 1 tokens") == 3


@given(st.text(alphabet="`ab\n", max_size=60), st.integers(0, 3000))
def test_a_row_that_is_shown_never_leaves_its_block(text: str, more: int) -> None:
    shown = trained_rows({"s": [_row((True, text + "a" * more + text))]}).partition("Supervised, ")[2].partition("\n\n")[2]
    opening, *inside, closing = shown.split("\n")
    assert opening == f"{closing}text" and not any(line.startswith(closing) for line in inside)
    assert len(shown) < 2000 and ("more characters" in shown) == (2 * len(text) + more > 1500)


def test_without_rows_of_trainings_there_is_no_heading(tables: Tables) -> None:
    assert "decoded" not in page(findings(tables, _params()), _params().report, Shown())


def test_a_training_costs_what_it_goes_on_from_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = _params().model_dump(by_alias=True)
    for name, start in (("second", "long"), ("third", "second"), ("stray", "truncated")):
        values["students"][name] = {"from": start, "lessons": {"post_think": 1}}
    for name, tokens in (("long", 100), ("second", 20), ("third", 3), ("stray", 50)):
        folder = paths.model_of(name, 0)
        folder.mkdir(parents=True)
        Trained(training_id="t", rows=1, dropped={}, steps=1, trained_tokens=tokens, supervised_tokens=1, precision="fp32").write(folder)
    params = Params.model_validate(values)
    assert _trained_tokens(params, _trained(params)) == {"long": 100, "second": 120, "third": 123}


def test_the_pareto_table_has_the_columns_of_the_plot(folder: Path) -> None:
    rows = list(csv.DictReader((folder / "plots/pareto.csv").open()))
    assert [row["student"] for row in rows] == ["truncated", "post_think", "base", "long"]
    assert all(float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) for row in rows)
    assert (folder / "plots/pareto.png").read_bytes().startswith(b"\x89PNG")
    (curve,) = csv.DictReader((folder / "plots/training.csv").open())
    assert curve == {"student": "long", "seed": "0", "step": "1.0", "loss": "0.5", "grad_norm": "2.0"}


def test_controls_and_the_long_student_are_no_candidates_unless_named() -> None:
    params = _params()
    assert candidates(params) == ["post_think"]
    named = params.model_copy(update={"handoff": params.handoff.model_copy(update={"candidates": ["truncated", "gone"]})})
    assert candidates(named) == ["truncated"]


def test_without_draws_there_is_no_table_of_draws(tables: Tables) -> None:
    greedy = replace(tables, scores=[score for score in tables.scores if score.mode == "greedy"])
    found = findings(greedy, _params())
    assert found.draws is None and "pass@" not in page(found, _params().report, Shown())


def test_a_student_whose_draws_are_far_below_its_greedy_answers_is_named(tables: Tables) -> None:
    def with_draws(right: float) -> Findings:
        scores = [
            score.model_copy(update={"outcome": Outcome.RIGHT if number % 100 < 100 * right else Outcome.WRONG})
            if score.mode == "draw" and score.student == "post_think" else score
            for number, score in enumerate(tables.scores)
        ]  # fmt: skip
        return findings(replace(tables, scores=scores), _params())

    assert greedy_only(with_draws(0.0)) == ["post_think"] and greedy_only(with_draws(1.0)) == []
    assert "`post_think` should be asked greedily" in page(with_draws(0.0), _params().report, Shown())
    assert "asked greedily" not in page(with_draws(1.0), _params().report, Shown())


def test_training_curves_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = paths.model_of("long", 0)
    folder.mkdir(parents=True)
    (folder / "training.csv").write_text("step,loss,grad_norm\n1,2.5,\n2,1.5,0.1\n")
    assert report_plots.read_curves(["long", "gone"], [0]) == {
        ("long", 0): [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5, "grad_norm": 0.1}]
    }
    (folder / "training.csv").write_text("step,loss\n1,much\n")
    with pytest.raises(RecordError, match=r"training\.csv: could not convert"):
        report_plots.read_curves(["long"], [0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_stage_reports_to_the_terminal_and_to_mlflow(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    train_tokenizer(documents=200).save_pretrained(tmp_path / "base")
    (tmp_path / "base/config.json").write_text("{}")
    values = _params().model_dump(mode="json", by_alias=True)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**values, "distill": {"base": {"path": "base"}}}))
    for path, rows in (
        (paths.PROBLEMS, tables.problems),
        (paths.DROPS, tables.left_out),
        (paths.SCORES, tables.scores),
        (paths.LONG_TRACES, tables.long),
        (paths.DRAWN, tables.drawn),
        (paths.LONG_VERDICTS, tables.long_verdicts),
        (paths.SHORT_TRACES, tables.short),
        (paths.SHORT_VERDICTS, tables.short_verdicts),
        *((paths.lessons_of(student), rows) for student, rows in tables.lessons.items()),
    ):
        write_table(path, rows)
    for _ in range(2):
        _body(Statistics("report"))
    assert "post_think  97.5 % [" in capsys.readouterr().out
    client = MlflowClient(tracking_uri=store_uri())
    runs = client.search_runs([client.get_experiment_by_name("shortcot").experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert {run.info.run_name for run in runs} - {parent.info.run_name} == {f"{s}-{i}" for s in tables.lessons for i in (0, 1)} | {"base-0"}
    assert parent.data.metrics["post_think.vs_long_token_ratio"] == pytest.approx(0.3)
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {"report", "params.yaml"}
