from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from data.errors import ParamsError, RecordError
from data.records import ExpressionReference, NumberReference, Problem, Split, Status
from data.sources import files, hub, lab
from data.sources.columns import Columns
from data.sources.rows import Layout, check_ids
from data.splits import gold_cases, with_right_gold
from data.tables import read_all, write_table
from data.verifiers.judge import judge_texts

LAYOUT = Layout("words")
ROWS = [
    {"question": "Tom has 3 apples and buys 4. How many has he?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
    {"question": "What is 2 times 600?", "answer": "1,200"},
]


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_becomes_problems_with_the_gold_behind_the_mark(tmp_path: Path) -> None:
    problems = files.load(write(tmp_path / "a.jsonl", ROWS[0], "", ROWS[1]), LAYOUT, split=Split.TRAIN)
    assert [p.question for p in problems] == [row["question"] for row in ROWS]
    assert [p.reference for p in problems] == [NumberReference(value="7"), NumberReference(value="1,200")]
    assert {(p.task, p.split) for p in problems} == {("words", Split.TRAIN)}


def test_columns_and_verifier_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"problem": "Solve x + 1 = 2.", "solution": "x=1", "more": None})
    (problem,) = files.load(path, Layout("algebra", Columns(question="problem", answer="solution", verifier="math")), split=Split.TEST)
    assert problem.reference == ExpressionReference(value="x=1")


def test_a_number_in_the_answer_column_is_read(tmp_path: Path) -> None:
    (problem,) = files.load(write(tmp_path / "a.jsonl", {"question": "What is 3 + 4?", "answer": 7}), LAYOUT, split=Split.TEST)
    assert problem.reference == NumberReference(value="7")


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ("{not json", "(line)", "not JSON"),
        ('["a"]', "(line)", "a JSON object is needed"),
        ("[" * 100_000, "(line)", "not JSON"),
        ({"answer": "7"}, "question", "missing"),
        ({"question": "Who?", "gold": "7"}, "answer", "missing"),
        ({"question": "Who?", "answer": ""}, "answer", "no text"),
        ({"question": "Who?", "answer": None}, "answer", "no text"),
        ({"question": "Who?", "answer": True}, "answer", "no text"),
        ({"question": "  ", "answer": "7"}, "question", "no text"),
        ({"question": "Who?", "answer": "a rationale\n####"}, "answer", "gold answer is needed"),
    ],
)
def test_a_bad_line_names_file_line_and_field(tmp_path: Path, line: object, field: str, says: str) -> None:
    path = write(tmp_path / "bad.jsonl", *ROWS, line)
    with pytest.raises(RecordError, match=says) as caught:
        files.load(path, LAYOUT, split=Split.TRAIN)
    assert f"{path}:3: field {field}: " in str(caught.value)


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"question": "caf\xe9", "answer": "1"}\n')
    with pytest.raises(RecordError, match=r"bad.jsonl:1: field \(line\): not UTF-8"):
        files.load(tmp_path / "bad.jsonl", LAYOUT, split=Split.TRAIN)


def test_csv_and_parquet_give_the_same_problems_as_jsonl(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(ROWS)
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    write(tmp_path / "a.jsonl", *ROWS)
    found = {suffix: files.load(tmp_path / f"a.{suffix}", LAYOUT, split=Split.TEST) for suffix in ("jsonl", "csv", "parquet")}
    shown = [[problem.model_dump() for problem in problems] for problems in found.values()]
    assert shown == 3 * [shown[0]]
    places = [[problem.place.rpartition(":") for problem in problems] for problems in found.values()]
    numbers = {"jsonl": "12", "csv": "34", "parquet": "12"}  # a row's line, the last one of a CSV's
    assert places == [[(str(tmp_path / f"a.{suffix}"), ":", line) for line in lines] for suffix, lines in numbers.items()]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("question,answer\nWho?,7\nWhat?\n", r"a\.csv:3: field \(line\): 1 fields, but the first line names 2"),
        ('question,answer\nWho?,7\n"What"?,8\n', r"a\.csv:3: field \(line\): not CSV"),
        ("question,gold\nWho?,7\n", r"a\.csv:2: field answer: missing"),
        ('question,answer\n"Who\nis it?",7\n"Who\nis it?",\n', r"a\.csv:5: field answer: '' is no text"),
        ("", r"a\.csv: no problem"),
        ("question,answer\n", r"a\.csv: no problem"),
    ],
)
def test_a_bad_csv_names_file_and_line(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(RecordError, match=says):
        files.load(tmp_path / "a.csv", LAYOUT, split=Split.TRAIN)


def test_what_is_no_csv_and_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"question,answer\ncaf\xe9,1\n")
    with pytest.raises(RecordError, match=r"a\.csv: field \(file\): not UTF-8"):
        files.load(tmp_path / "a.csv", LAYOUT, split=Split.TRAIN)
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(RecordError, match=r"a\.parquet: field \(file\): not Parquet"):
        files.load(tmp_path / "a.parquet", LAYOUT, split=Split.TRAIN)


OWN_IDS = Layout("words", Columns(id="name"))


def test_the_own_ids_of_a_file_stay_and_no_table_holds_a_place(tmp_path: Path) -> None:
    rows = [{**row, "name": name} for row, name in zip(ROWS, ("gsm/7", 8), strict=True)]
    problems = files.load(write(tmp_path / "a.jsonl", *rows), OWN_IDS, split=Split.TEST)
    assert [problem.id for problem in problems] == ["gsm/7", "8"]
    check_ids(problems, "name")
    write_table(tmp_path / "table.jsonl", problems)
    again = read_all(tmp_path / "table.jsonl", Problem)
    assert [problem.model_dump() for problem in again] == [problem.model_dump() for problem in problems]
    assert str(tmp_path) not in (tmp_path / "table.jsonl").read_text()


def test_an_id_that_two_rows_have_is_named_with_both_lines(tmp_path: Path) -> None:
    rows = [{**row, "name": "7"} for row in ROWS]
    train, test = (
        files.load(write(tmp_path / f"{name}.jsonl", row), OWN_IDS, split=Split.TRAIN) for name, row in zip("ab", rows, strict=True)
    )
    with pytest.raises(RecordError, match=r"b\.jsonl:1: field name: '7' is the id of .*a\.jsonl:1, too"):
        check_ids([*train, *test], "name")


@pytest.mark.parametrize(("name", "says"), [("", "no text"), (None, "no text"), ("0123456789abcdef", "16 hex digits")])
def test_what_can_be_no_id_is_named(tmp_path: Path, name: str | None, says: str) -> None:
    path = write(tmp_path / "a.jsonl", {**ROWS[0], "name": "fine"}, {**ROWS[1], "name": name})
    with pytest.raises(RecordError, match=rf"a\.jsonl:2: field name: .*{says}"):
        files.load(path, OWN_IDS, split=Split.TEST)


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_no_file_and_an_empty_file_are_errors(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(RecordError, match=r"a\.jsonl: no "):
        files.load(tmp_path / "a.jsonl", LAYOUT, split=Split.TRAIN)


def test_the_lab_gives_disjoint_splits_with_gold_that_holds() -> None:
    counts = {Split.TRAIN: 120, Split.VALIDATION: 30, Split.TEST: 60}
    problems = lab.load("lab", counts, seed=1)
    assert {split: sum(p.split is split for p in problems) for split in counts} == counts
    assert len({p.question for p in problems}) == len(problems)
    assert problems == lab.load("lab", counts, seed=1) != lab.load("lab", counts, seed=2)
    assert _dropped(problems) == []


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "words"
    folder.mkdir()
    write(folder / "train.jsonl", ROWS[0])
    write(folder / "test.jsonl", ROWS[1])
    return folder


def test_a_local_folder_is_read_like_a_hub_data_set(hub_folder: Path) -> None:
    (train,) = hub.load(str(hub_folder), LAYOUT, split=Split.TRAIN)
    (test,) = hub.load(str(hub_folder), LAYOUT, split=Split.TEST)
    assert (train.reference.value, test.reference.value) == ("7", "1,200")
    with pytest.raises(RecordError, match=r"part 'validation' cannot be loaded"):
        hub.load(str(hub_folder), LAYOUT, split=Split.VALIDATION)
    with pytest.raises(RecordError, match=r"words\[train\]:1: field gold: missing"):
        hub.load(str(hub_folder), Layout("words", Columns(answer="gold")), split=Split.TRAIN)


@pytest.mark.parametrize("revision", [None, "main", "v1.0"])
def test_a_hub_name_needs_a_pinned_commit(revision: str | None) -> None:
    with pytest.raises(ParamsError, match="does not pin 'owner/name'"):
        hub.load("owner/name", LAYOUT, split=Split.TRAIN, revision=revision)


def test_a_folder_has_no_revision(hub_folder: Path) -> None:
    with pytest.raises(ParamsError, match="local folder"):
        hub.load(str(hub_folder), LAYOUT, split=Split.TRAIN, revision="0" * 40)


@pytest.mark.skipif("SHORTCOT_GSM8K" not in os.environ, reason="SHORTCOT_GSM8K names the folder of GSM8K's train.jsonl and test.jsonl")
def test_every_gold_answer_of_gsm8k_is_right() -> None:
    folder = Path(os.environ["SHORTCOT_GSM8K"])
    problems = [
        problem
        for split in (Split.TRAIN, Split.TEST)
        for problem in files.load(folder / f"{split.value}.jsonl", Layout("gsm8k"), split=split)
    ]
    assert len(problems) == 8792
    assert _dropped(problems) == []


def _dropped(problems: list[Problem]) -> list[str]:
    cases = gold_cases(problems)
    assert {case.status for case in cases} == {Status.OK}
    return [drop.reason for drop in with_right_gold(problems, judge_texts(cases, workers=1, timeout_seconds=5))[1]]
