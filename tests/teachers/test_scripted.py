from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import RecordError
from data.records import Status
from teachers.engine import EngineSpec, Listed, ModelRef, Request, SamplingSettings
from teachers.scripted import ScriptedEngine

SETTINGS = SamplingSettings(1.0, 1.0, 100)


def engine(tmp_path: Path, **arguments: object) -> ScriptedEngine:
    script = tmp_path / "script.jsonl"
    lines = [
        {"question": "one?", "right": ["<think>a</think>1", "<think>b</think>1"], "wrong": ["<think>c</think>2"]},
        {"question": "and one?", "right": ["<think>d</think>3"]},
    ]
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ScriptedEngine(EngineSpec("scripted", ModelRef(tmp_path), batch=3, arguments={"script": str(script), **arguments}))


def ask(engine: ScriptedEngine, prompt: str, *, draws: int = 1, settings: SamplingSettings = SETTINGS) -> list[str]:
    requests = [Request(tuple(prompt.encode()), settings, draw) for draw in range(draws)]
    return [c.text for c in sorted(engine.generate(Listed(requests)), key=lambda c: c.request.draw)]


def test_draws_walk_through_the_texts_of_the_longest_question_in_the_prompt(tmp_path: Path) -> None:
    assert ask(engine(tmp_path), "User: one?", draws=3) == ["<think>a</think>1", "<think>b</think>1", "<think>a</think>1"]
    assert ask(engine(tmp_path), "User: and one?") == ["<think>d</think>3"]


def test_a_prompt_that_holds_the_thinking_gets_the_answer_alone(tmp_path: Path) -> None:
    assert ask(engine(tmp_path), "one?<think>short</think>") == ["1"]


def test_shares_of_wrong_and_truncated_texts_are_met(tmp_path: Path) -> None:
    answers = ask(engine(tmp_path, right_share=0.7), "one?", draws=400)
    assert 0.6 < sum(text.endswith("1") for text in answers) / 400 < 0.8
    cut = ask(engine(tmp_path, truncated_share=0.5), "one?", draws=400)
    assert 0.4 < sum("</think>1" not in text for text in cut) / 400 < 0.6


def test_texts_end_at_max_tokens_and_say_so(tmp_path: Path) -> None:
    (completion,) = engine(tmp_path).generate(Listed([Request(tuple(b"one?"), SamplingSettings(0.0, 1.0, 4), 0)]))
    assert (completion.status, completion.finish_reason, completion.text) == (Status.TRUNCATED, "length", "<thi")


def test_short_texts_arrive_first_within_a_batch(tmp_path: Path) -> None:
    free = ScriptedEngine(EngineSpec("scripted", ModelRef(tmp_path), batch=50))
    lengths = [len(c.token_ids) for c in free.generate(Listed(Request((1,), SamplingSettings(1.0, 1.0, 500), i) for i in range(50)))]
    assert lengths == sorted(lengths) and len(set(lengths)) > 20


def test_unknown_questions_are_errors_and_bad_scripts_name_the_line(tmp_path: Path) -> None:
    (completion,) = engine(tmp_path).generate(Listed([Request(tuple(b"two?"), SETTINGS, 0)]))
    assert completion.status is Status.ERROR and "script.jsonl" in completion.detail
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "x", "right": []}\n')
    with pytest.raises(RecordError, match=r"bad.jsonl:1.*right"):
        engine(tmp_path, script=str(bad))
