from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from data.errors import ParamsError, RecordError, StageError
from data.records import Drawn, Outcome, Score, Split, Trace, Verdict
from data.stopping import ENOUGH, MOST
from data.tables import write_table
from pipeline.commands.stopping import ALL, grid, predicted, rules_of
from pipeline.support import paths, pools

ANSWERS = {"p": ["4", "4", "4", "4"], "q": ["4", "5", None, "5"], "r": ["5", "5", "4", "5"]}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pool(place: Path) -> Path:
    rows = [{"problem_id": name, "answers": answers, "gold": "5" if name == "r" else "4"} for name, answers in ANSWERS.items()]
    (place / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place / "pool.jsonl"


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stopping", *arguments])
    runpy.run_module("pipeline.commands.stopping", run_name="__main__")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_prediction_and_replay_of_a_file(pool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("predict", "--pool", str(pool), "--pilot", "4", "--windows", "2", "4", "--most", "4", "--risk", "1", "--plot", "risk.png",
        monkeypatch=monkeypatch)  # fmt: skip
    said = capsys.readouterr().out
    assert "Of 4 draws, cheapest under a risk of 100.00%: stop: {kind: esc, window: 2}" in said
    assert Path("risk.png").read_bytes().startswith(b"\x89PNG")
    run("replay", "--pool", str(pool), "--rule", "{kind: esc, window: 2}", "--shuffles", "3", monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert ALL in said and "kind: esc, window: 2" in said and "4.0 [4.0, 4.0]" in said
    run("predict", "--pool", str(pool), "--pilot", "4", "--windows", "2", "--most", "4", "--risk", "0", monkeypatch=monkeypatch)
    assert "no window changes at most 0.00%" in capsys.readouterr().out
    pool.write_text('{"problem_id": "p", "answers": ["4", "4", "5"]}\n')
    run("replay", "--pool", str(pool), "--rule", "{kind: esc, window: 2}", "--shuffles", "3", monkeypatch=monkeypatch)
    assert "100.0 % [100.0, 100.0]" in capsys.readouterr().out, "without right answers there is agreement"


def test_a_prediction_stands_beside_unanimous_windows_of_pools_of_equal_length(pool: Path) -> None:
    rules = rules_of(["{kind: esc, window: 2}", "{kind: esc, window: 2, agreement: 0.8}", "{kind: enough}"])
    assert list(rules) == [ALL, "kind: esc, window: 2", "kind: esc, window: 2, agreement: 0.8", "kind: enough"]
    assert list(predicted(pools.of_file(pool), rules)) == ["kind: esc, window: 2"]
    assert predicted(pools.of_file(pool), rules_of(["{kind: esc, window: 8}"])) == {}, "it never stops"
    assert predicted({**pools.of_file(pool), "s": []}, rules) == {}


def test_bad_rules_pilots_and_lines_are_named(pool: Path) -> None:
    for text in ("{kind: esk}", "{kind: esc, window: 1}", "{kind: [}"):
        with pytest.raises(ParamsError, match="--rule"):
            rules_of([text])
    with pytest.raises(ParamsError, match="--pilot 5: no problem has so many draws; the most is 4"):
        grid(pools.of_file(pool), pilot=5, windows=[2], most=[4])
    with pytest.raises(ParamsError, match=r"--windows \[5\] are all more than --most \[4\]"):
        grid(pools.of_file(pool), pilot=4, windows=[5], most=[4])
    pool.write_text(pool.read_text() * 2)
    with pytest.raises(RecordError, match=r"pool\.jsonl:4: problem_id 'p' stands in an earlier line too"):
        pools.of_file(pool)
    pool.write_text('{"problem_id": "p", "answers": [], "gold": "4"}\n')
    with pytest.raises(RecordError, match=r"pool\.jsonl:1: .*answers"):
        pools.of_file(pool)


def test_the_draws_of_the_last_run_are_pools(place: Path) -> None:
    traces = [
        Trace.create(problem_id="p", parent_ids=(), writer="teacher", settings_id="s", draw=draw, text=str(draw), status="ok",
                     prompt_tokens=1, completion_tokens=1, tokenizer="t")
        for draw in range(2)
    ]  # fmt: skip
    verdicts = [
        Verdict(trace_id=t.id, verifier="number", version="1", outcome=o, extracted=e, detail="")
        for t, o, e in zip(traces, (Outcome.RIGHT, Outcome.UNPARSED), ("4", None), strict=True)
    ]
    write_table(paths.LONG_TRACES, traces)
    write_table(paths.LONG_VERDICTS, verdicts)

    def drawn(reason: str) -> Drawn:
        return Drawn(problem_id="p", draws=3, rule="at most 3", reason=reason, prompt_tokens=1, completion_tokens=3)

    write_table(paths.DRAWN, [drawn(MOST)])
    assert pools.of_teacher() == {"p": [("4", True, 1.0), (None, False, 1.0), (None, False, 1.0)]}, "the third has no trace"
    write_table(paths.DRAWN, [drawn(ENOUGH)])
    with pytest.raises(StageError, match=r"a rule stopped the draws .*stop: null"):
        pools.of_teacher()
    scores = [
        Score(student="long", seed=seed, problem_id="p", split=Split.TEST, mode=mode, draw=0, outcome=Outcome.WRONG, extracted="5",
              status="ok", thinking_tokens=1, answer_tokens=1, text="5")
        for seed in (0, 1) for mode in ("greedy", "draw")
    ]  # fmt: skip
    write_table(paths.SCORES, scores)
    assert pools.of_student("long") == {f"p/{seed}": [("5", False, 1.0)] for seed in (0, 1)}
    with pytest.raises(StageError, match=r"'short' in .*'long'. have draws: no draws"):
        pools.of_student("short")
