from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from data.dedup import Drop
from data.errors import RecordError, StageError
from data.records import Problem, Split
from data.tables import read_all
from pipeline.prepare import prepare
from pipeline.support.params import Verify, load
from pipeline.support.prepare_settings import Prepare
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
    found = {(drop.place.rpartition("/")[2], drop.match_place.rpartition("/")[2]) for drop in drops}
    assert found == {
        ("train.jsonl:21", ""),
        ("train.jsonl:6", "test.jsonl:5"),
        ("train.jsonl:22", "train.jsonl:4"),
        ("train.jsonl:23", "test.jsonl:3"),
    }


def test_own_ids_stand_in_the_table_and_are_unique_over_both_files(tmp_path: Path) -> None:
    train, test = ([{**row(n), "name": f"{part} {n}"} for n in own] for part, own in (("a", range(10)), ("b", range(100, 103))))
    problems, _ = run(_with_ids(from_files(tmp_path, train, test)), tmp_path)
    assert {problem.id for problem in problems if problem.split is Split.TEST} == {"b 100", "b 101", "b 102"}
    with pytest.raises(RecordError, match=r"test\.jsonl:3: field name: 'a 4' is the id of .*train\.jsonl:5, too"):
        run(_with_ids(from_files(tmp_path, train, [*test[:2], {**test[2], "name": "a 4"}])), tmp_path)


def _with_ids(settings: Prepare) -> Prepare:
    return settings.model_copy(update={"source": settings.source.model_copy(update={"id": "name"})})


def test_a_row_that_repeats_another_is_a_duplicate(tmp_path: Path) -> None:
    settings = from_files(tmp_path, [row(n % 10) for n in range(11)], [row(n) for n in range(100, 103)])
    problems, statistics = run(settings, tmp_path)
    assert (len(problems), statistics.dropped) == (10, {"duplicate": 1, "more than asked for": 3})


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
    with pytest.raises(StageError, match=r"5 of 18 problems are dropped, more than the 20%.*'unclear'.*train\.jsonl:11\. "):
        run(settings, tmp_path)
    assert not (tmp_path / "problems.jsonl").exists()
    assert len(read_all(tmp_path / "drops.jsonl", Drop)) == 5


def test_where_most_drops_overlap_the_setting_for_it_is_named(tmp_path: Path) -> None:
    story = "{} is a number between four and ninety million in this question. What is it plus {}?"
    train, test = ([{"question": story.format(n, n), "answer": str(2 * n)} for n in own] for own in (range(10, 20), range(100, 103)))
    unclear = [row(n, answer="unclear") for n in range(20, 22)]
    with pytest.raises(
        StageError, match=r"\(\d+\), gold answer is error \(2\)\. The first: overlaps .* prepare\.decontaminate: exact compares"
    ):
        run(from_files(tmp_path, [*unclear, *train], test), tmp_path)
    run(from_files(tmp_path, [*unclear, *train], test, decontaminate="exact"), tmp_path)


def test_problems_of_a_generator_are_compared_whole_where_nothing_else_is_said() -> None:
    gym = {"kind": "reasoning_gym", "name": "chain_sum"}
    counts = {"task": "t", "train": 1, "validation": 1, "test": 1}
    sources = {"lab": {"kind": "lab"}, "gym": gym, "file": {"kind": "file", "train": "a.jsonl", "test": "b.jsonl"}}
    found = {name: Prepare.model_validate({"source": source, **counts}).decontaminate for name, source in sources.items()}
    assert found == {"lab": "exact", "gym": "exact", "file": "ngram"}
    assert Prepare.model_validate({"source": gym, **counts, "decontaminate": "ngram"}).decontaminate == "ngram"


def test_too_few_problems_and_a_bad_line_fail_without_a_table(tmp_path: Path) -> None:
    rows = [row(n) for n in range(6)], [row(n) for n in range(100, 103)]
    with pytest.raises(StageError, match=r"prepare.train: 5 problems are asked for, 4 remain"):
        run(from_files(tmp_path, *rows), tmp_path)
    with pytest.raises(RecordError, match=r"test.jsonl:3: field answer: '' is no text"):
        run(from_files(tmp_path, [row(n) for n in range(9)], [row(100), row(101), row(102, answer="")]), tmp_path)
    assert not (tmp_path / "problems.jsonl").exists()


def test_near_duplicates_are_dropped_where_asked_for_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    story = "walks along the beach and counts {} shells, then she walks back home to her old house by the sea and counts {} pens. How many?"
    train = [{"question": f"{name} {story.format(n, 7)}", "answer": str(n + 7)} for n in range(8) for name in ("Ana", "Bea", "Ida")]
    settings = from_files(tmp_path, train, [row(n) for n in range(100, 103)], decontaminate="exact", max_dropped=1)
    assert +run(settings, tmp_path)[1].dropped == {"more than asked for": 27 - 10}
    problems, statistics = run(settings.model_copy(update={"near": 0.8}), tmp_path)
    near = {reason: number for reason, number in statistics.dropped.items() if reason.startswith("near-duplicate of")}
    # Of eight stories under three names one each is left, and none of those that validation holds.
    assert sum(near.values()) >= 14 and set(near) <= {"near-duplicate of train", "near-duplicate of validation"}
    assert len({p.question.partition(" ")[2] for p in problems if p.split is Split.TRAIN}) == settings.train
    assert statistics.rows_in == 27 == statistics.rows_out + statistics.dropped.total()


@pytest.mark.slow
def test_a_generator_of_reasoning_gym_gives_what_is_asked(tmp_path: Path) -> None:
    source = {"kind": "reasoning_gym", "name": "leg_counting", "seed": 3, "arguments": {"max_animals": 4}}
    settings = Prepare.model_validate({"source": source, "task": "legs", "train": 20, "validation": 5, "test": 10})
    problems, statistics = run(settings, tmp_path)
    assert Counter(p.split for p in problems) == {Split.TRAIN: 20, Split.VALIDATION: 5, Split.TEST: 10}
    assert len({p.question for p in problems}) == 35
    assert statistics.dropped == {"more than asked for": statistics.rows_in - 35}


def test_columns_stand_flat_in_the_source_and_seed_and_size_are_no_arguments() -> None:
    source = {"kind": "file", "train": "a.csv", "test": "b.parquet", "verifier": "choice", "options": ["a", "b"], "gold": "index_from_0"}
    read = lab(source=source, decontaminate="ngram").source
    assert (read.options, read.gold, read.train) == (("a", "b"), "index_from_0", "a.csv")
    with pytest.raises(ValidationError, match=r"arguments: .* cannot be given"):
        lab(source={"kind": "reasoning_gym", "name": "chain_sum", "arguments": {"size": 3}})
    with pytest.raises(ValidationError, match="only for `verifier: choice`"):
        lab(source={**source, "verifier": "number"})
