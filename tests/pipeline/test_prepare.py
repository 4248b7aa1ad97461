from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from data.dedup import Drop
from data.errors import RecordError, StageError
from data.records import Problem, Split
from data.tables import read_all
from pipeline.prepare import prepare
from pipeline.support.params import Prepare, Verify, load
from pipeline.support.stage import Statistics

NAMES = ("Ana", "Ben", "Cid", "Dora", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun")


def lab(**changes: object) -> Prepare:
    return Prepare.model_validate(
        {
            "source": {"kind": "lab", "seed": 1},
            "task": "lab",
            "train": 60,
            "validation": 10,
            "test": 30,
            "decontaminate": "exact",
            **changes,
        }
    )


def from_files(folder: Path, train: list[dict[str, str]], test: list[dict[str, str]], **changes: object) -> Prepare:
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "file", "train": str(folder / "train.jsonl"), "test": str(folder / "test.jsonl")}
    return Prepare.model_validate({"source": source, "task": "words", "train": 5, "validation": 2, "test": 3, **changes})


def row(number: int, *, answer: str | None = None) -> dict[str, str]:
    question = f"{NAMES[number % 10]} counts {number} shells, then {number * 7 + 3} pens. How many?"
    return {"question": question, "answer": answer if answer is not None else f"{number} + ...\n#### {number * 8 + 3}"}


def run(settings: Prepare, folder: Path) -> tuple[list[Problem], Statistics]:
    statistics = Statistics("prepare")
    prepare(settings, verify=Verify(), problems=folder / "problems.jsonl", drops=folder / "drops.jsonl", statistics=statistics)
    return read_all(folder / "problems.jsonl", Problem), statistics


def test_the_lab_gives_what_is_asked_sorted_and_the_same_again(tmp_path: Path) -> None:
    problems, statistics = run(lab(), tmp_path)
    first = (tmp_path / "problems.jsonl").read_bytes()
    assert Counter(p.split for p in problems) == {Split.TRAIN: 60, Split.VALIDATION: 10, Split.TEST: 30}
    assert [(p.split.value, p.id) for p in problems] == sorted((p.split.value, p.id) for p in problems)
    assert (statistics.rows_in, statistics.rows_out, +statistics.dropped) == (100, 100, Counter())
    run(lab(), tmp_path)
    assert (tmp_path / "problems.jsonl").read_bytes() == first


def test_the_shipped_settings_ask_for_a_thousand_test_problems() -> None:
    assert load().prepare.test >= 1000


def test_files_are_checked_deduplicated_and_split_with_every_row_accounted_for(tmp_path: Path) -> None:
    train = [*(row(n) for n in range(20)), row(30, answer="some or none"), {**row(3), "question": row(3)["question"].upper()}, row(102)]
    test = [*(row(n) for n in range(100, 104)), {"question": row(5)["question"] + " ", "answer": "another"}]
    settings = from_files(tmp_path, train, [*test[:4], {**row(5), "answer": row(5)["answer"] + " "}])
    problems, statistics = run(settings, tmp_path)
    assert Counter(p.split for p in problems) == {Split.TRAIN: 5, Split.VALIDATION: 2, Split.TEST: 3}
    assert {p.split for p in problems if p.question == row(5)["question"]} <= {Split.TEST}
    assert statistics.dropped == {"gold answer is error": 1, "duplicate": 3, "more than asked for": 28 - 4 - 10}
    assert statistics.rows_in == 28 == statistics.rows_out + statistics.dropped.total()
    drops = read_all(tmp_path / "drops.jsonl", Drop)
    assert Counter(drop.reason for drop in drops) == {"gold answer is error": 1, "duplicate": 3}
    assert all(drop.match or drop.detail for drop in drops)


def test_training_problems_that_share_words_with_evaluation_are_dropped(tmp_path: Path) -> None:
    story = "bought seven boxes of red pens at the market"
    tainted = {"question": f"Zoe {story} and lost 2. How many boxes are left?", "answer": "5"}
    held = {"question": f"Yan {story}. What did each cost?", "answer": "3"}
    settings = from_files(tmp_path, [*(row(n) for n in range(20)), tainted], [*(row(n) for n in range(100, 102)), held], ngram_words=6)
    for seed in range(8):  # in every shuffle the tainted one is dropped, or plays validation
        shuffled = settings.model_copy(update={"source": settings.source.model_copy(update={"seed": seed}), "max_dropped": 1.0})
        problems, statistics = run(shuffled, tmp_path)
        part = {p.split for p in problems if p.question == tainted["question"]}
        assert part == ({Split.VALIDATION} if not statistics.dropped["overlaps with test"] else set())
        assert statistics.dropped["overlaps with test"] <= 1


def test_the_stage_fails_above_the_share_of_drops_and_names_the_first(tmp_path: Path) -> None:
    train = [*(row(n) for n in range(10)), *(row(n, answer="unclear") for n in range(20, 25))]
    settings = from_files(tmp_path, train, [row(n) for n in range(100, 103)])
    with pytest.raises(StageError, match=r"5 of 18 problems are dropped, more than the 20%.*'unclear'"):
        run(settings, tmp_path)
    assert not (tmp_path / "problems.jsonl").exists()
    assert len(read_all(tmp_path / "drops.jsonl", Drop)) == 5


def test_too_few_problems_and_a_bad_line_fail_without_a_table(tmp_path: Path) -> None:
    rows = [row(n) for n in range(6)], [row(n) for n in range(100, 103)]
    with pytest.raises(StageError, match=r"prepare.train: 5 problems are asked for, 4 remain"):
        run(from_files(tmp_path, *rows), tmp_path)
    with pytest.raises(RecordError, match=r"test.jsonl:3: field question: the same problem as at .*test.jsonl:1"):
        run(from_files(tmp_path, [row(n) for n in range(9)], [row(100), row(101), row(100)]), tmp_path)
    assert not (tmp_path / "problems.jsonl").exists()
