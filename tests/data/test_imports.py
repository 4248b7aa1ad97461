from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.chat import Format
from data.errors import RecordError
from data.imports import FORMAT, NO_PROBLEM, TextImport, import_traces
from data.records import NumberReference, Problem, Split, Status, Trace
from data.tables import write_table
from data.tasks.lab_tokenizer import train_tokenizer

PROBLEMS = [
    Problem.create(task="t", split=Split.TRAIN, question=f"How much is {n} + 1?", reference=NumberReference(value=str(n + 1)))
    for n in range(3)
]


@pytest.fixture(scope="module")
def how() -> TextImport:
    return TextImport(train_tokenizer(documents=40), Format.THINK)


def line(question: str, text: str, **more: object) -> str:
    return json.dumps({"question": question, "text": text, **more}) + "\n"


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "texts.jsonl"
    path.write_text("".join(lines))
    return path


def test_texts_are_matched_by_question_and_numbered_in_the_order_of_the_file(tmp_path: Path, how: TextImport) -> None:
    path = file_of(
        tmp_path,
        line("How much is 1 + 1?", "<think>b</think>2", source="x"),
        line("  How much\nis 1 + 1? ", "<think>a</think>2"),
        line("How much is 0 + 1?", "<think>c</think>1"),
        line("Who are you?", "<think>c</think>1"),
        line("How much is 2 + 1?", "<think>never closed"),
        line("How much is 2 + 1?", "<think>cut", status="truncated"),
    )
    result = import_traces(path, PROBLEMS, how=how)
    assert {(t.problem_id, t.draw, t.text) for t in result.traces} == {
        (PROBLEMS[1].id, 0, "<think>b</think>2"),
        (PROBLEMS[1].id, 1, "<think>a</think>2"),
        (PROBLEMS[0].id, 0, "<think>c</think>1"),
        (PROBLEMS[2].id, 1, "<think>cut"),
    }
    assert result.traces == sorted(result.traces, key=lambda t: (t.problem_id, t.draw))
    assert result.dropped == {NO_PROBLEM: 1, FORMAT: 1}
    assert all(trace.prompt_tokens and trace.completion_tokens for trace in result.traces)


def test_sections_become_the_think_format(tmp_path: Path, how: TextImport) -> None:
    path = file_of(tmp_path, line("How much is 1 + 1?", "Working:\n1 + 1 = 2\nShort solution:\nThe answer is \\boxed{2}."))
    result = import_traces(path, PROBLEMS, how=TextImport(how.tokenizer, Format.SECTIONS))
    assert [trace.text for trace in result.traces] == ["<think>1 + 1 = 2</think>The answer is \\boxed{2}."]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["empty"]),
        ([line("Who?", "x")], ["none of 1 lines", NO_PROBLEM]),
        ([line("How much is 1 + 1?", "x"), '{"question": "How much'], [":2", "(line)"]),
        ([line("How much is 1 + 1?", "x"), '{"question": "q"}\n'], [":2", "field text"]),
        ([line("", "x")], [":1", "field question"]),
        ([line("How much is 1 + 1?", "x"), line("How much is  1 + 1?", "x")], [":2", "duplicate of", ":1", "question, text and draw"]),
        ([line("How much is 1 + 1?", "x", draw=1), line("How much is 1 + 1?", "y", draw=1)], [":2", "question and draw"]),
    ],
)
def test_bad_lines_are_errors_that_name_them(tmp_path: Path, how: TextImport, lines: list[str], words: list[str]) -> None:
    with pytest.raises(RecordError) as error:
        import_traces(file_of(tmp_path, *lines), PROBLEMS, how=how)
    assert all(word in str(error.value) for word in words)


def test_equal_texts_with_their_own_draws_are_two_draws(tmp_path: Path, how: TextImport) -> None:
    path = file_of(tmp_path, line("How much is 1 + 1?", "x", draw=0), line("How much is 1 + 1?", "x", draw=7))
    assert [trace.draw for trace in import_traces(path, PROBLEMS, how=how).traces] == [0, 7]


def table_trace(**changes: object) -> Trace:
    fields: dict[str, object] = {
        "problem_id": PROBLEMS[0].id,
        "parent_ids": (),
        "writer": "teacher",
        "settings_id": "s",
        "draw": 0,
        "text": "<think>a</think>1",
        "status": Status.OK,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "tokenizer": "t",
    }
    return Trace.create(**{**fields, **changes})


def test_a_table_of_traces_comes_back_as_it_is(tmp_path: Path, how: TextImport) -> None:
    traces = sorted((table_trace(problem_id=p.id, draw=d) for p in PROBLEMS for d in range(2)), key=lambda t: (t.problem_id, t.draw))
    write_table(tmp_path / "traces.jsonl.zst", [*reversed(traces), table_trace(problem_id="unknown")])
    result = import_traces(tmp_path / "traces.jsonl.zst", PROBLEMS, how=how)
    assert result.traces == traces
    assert result.dropped == {NO_PROBLEM: 1}


def test_a_table_is_not_imported_for_problems_with_ids_of_their_own(tmp_path: Path, how: TextImport) -> None:
    write_table(tmp_path / "traces.jsonl", [table_trace(problem_id="q7")])
    with pytest.raises(RecordError, match="an id of one's own such as 'q7'"):
        import_traces(tmp_path / "traces.jsonl", [PROBLEMS[0].model_copy(update={"id": "q7"})], how=how)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (table_trace(), [":2", "duplicate of", "the same id"]),
        (table_trace(text="<think>b</think>1"), [":2", "the same problem and draw"]),
        (table_trace(draw=1, writer="shortest", parent_ids=("p",)), [":2", "field writer"]),
        (table_trace(draw=1).model_copy(update={"id": "0" * 16}), [":2", "field id"]),
    ],
)
def test_bad_traces_are_errors_that_name_them(tmp_path: Path, how: TextImport, second: Trace, words: list[str]) -> None:
    path = file_of(tmp_path, table_trace().model_dump_json() + "\n", second.model_dump_json() + "\n")
    with pytest.raises(RecordError) as error:
        import_traces(path, PROBLEMS, how=how)
    assert all(word in str(error.value) for word in words)
