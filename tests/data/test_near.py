from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dedup import spoken
from data.near import marks, similarity, without_near, words
from data.records import NumberReference, Problem, Split

STORY = (
    "Every morning the baker on the corner sells {} loaves of fresh bread to her neighbours and gives {} more to the school kitchen. "
    "How many loaves leave the shop in a week?"
)
WORDS = "ana ben bakes sells pens shells red blue each day week how many are left and then gives the to of".split()  # noqa: SIM905
TEXTS = st.lists(st.sampled_from([*WORDS[:3], "3", "three"]), min_size=1, max_size=24).map(" ".join)


def problem(question: str, *, answer: str = "1", split: Split = Split.TRAIN) -> Problem:
    return Problem.create(task="t", split=split, question=question, reference=NumberReference(value=answer))


def test_one_other_word_of_many_is_a_near_duplicate() -> None:
    first, second = problem(STORY.format(20, 5)), problem(STORY.format(20, 5).replace("morning", "evening"))
    kept, (drop,) = without_near([first, second], threshold=0.8)
    assert kept == [first]
    assert (drop.problem_id, drop.match_id, drop.reason, drop.detail) == (second.id, first.id, "near-duplicate of train", "similarity 0.88")


@pytest.mark.parametrize(
    "numbers",
    [
        (20, 6),
        (5, 20),
        (21, 5),
        ("20.5", 5),
        ("twenty", "six"),
        ("20 + 1", 5),
        ("20", "fifteen"),
        (20, "half"),
        ("20,5", 5),
        (20, "a fifth"),
        (20, "a pair"),
    ],
)
def test_other_numbers_make_another_problem(numbers: tuple[object, object]) -> None:
    pair = [problem(STORY.format(20, 5)), problem(STORY.format(*numbers))]
    assert without_near(pair, threshold=0.7)[0] == pair


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2 + 3?", "What is 2 + 4?"),
        ("What is 2 + 3?", "What is 2 - 3?"),
        ("What is 12 * 5?", "What is 12 - 5?"),
        ("What is the capital of Spain?", "What is the capital of France?"),
        ("Who wrote Emma?", "Who read Emma?"),
        ("Do you charge for physical cards", "What do you charge for physical cards?"),
    ],
)
def test_short_questions_are_near_no_other(one: str, other: str) -> None:
    assert without_near([problem(one), problem(other)], threshold=0.8)[1] == []


def test_numbers_in_words_and_digits_and_hyphens_are_read_alike() -> None:
    for text in ("three well-known 20-page books cost 1,200", "3 well known 20 page books cost 1200"):
        assert marks(words(text)) == ["3", "20", "1200"]
    assert marks(words("x-3")) == marks(words("x - 3")) != marks(words("x + 3"))
    pair = [problem(STORY.format("twenty", 5)), problem(STORY.format(20, "five"))]
    assert len(without_near(pair, threshold=0.8)[0]) == 1


def test_commas_are_left_out_before_three_digits_alone() -> None:
    assert words("cost 1,5 and 1,200 and 1,234,567.5 and 12,3456") == ["cost", "1,5", "and", "1200", "and", "1234567.5", "and", "12,3456"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("sixth", "tenth"), ("pair", "score"), ("more", "less"), ("increase", "decrease"), ("fifths", "tenths"), ("twice", "thrice")],
)
def test_ordinals_quantities_and_directions_make_another_problem(one: str, other: str) -> None:
    story = f"{STORY.format(20, 5)} Think of the {{}} of that before you answer, please."
    pair = [problem(story.format(word)) for word in (one, other)]
    assert without_near(pair, threshold=0.7)[0] == pair


def test_evaluation_is_looked_at_first_and_another_answer_is_named() -> None:
    held = problem(STORY.format(20, 5), split=Split.TEST)
    train = [problem(STORY.format(20, 5).replace("morning", word), answer="2") for word in ("evening", "night")]
    kept, drops = without_near(train, threshold=0.8, against=[held])
    assert (kept, {drop.reason for drop in drops}) == ([], {"near-duplicate of test with another answer"})


def test_of_many_questions_every_changed_one_is_found() -> None:
    rng = Random(0)
    questions = [[rng.choice(WORDS) + rng.choice("abcdef") for _ in range(30)] for _ in range(150)]
    changed = [[*own[:15], "quince", *own[16:]] for own in questions]
    against = [problem(" ".join(own), split=Split.TEST) for own in questions]
    train = [problem(" ".join(own)) for own in changed]
    _, drops = without_near(train, threshold=0.8, against=against)
    assert [drop.match_id for drop in drops] == [p.id for p in against]


@settings(deadline=None, max_examples=30)
@given(st.lists(TEXTS, max_size=12, unique=True), st.sampled_from([0.5, 0.8, 1.0]))
def test_what_is_dropped_is_near_and_what_is_kept_stays(texts: list[str], threshold: float) -> None:
    problems, held = [problem(text) for text in texts], [problem(text, split=Split.TEST) for text in texts[::3]]
    kept, drops = without_near(problems, threshold=threshold, against=held)
    assert sorted([p.id for p in kept] + [d.problem_id for d in drops]) == sorted(p.id for p in problems)
    assert without_near(kept, threshold=threshold, against=held) == (kept, [])
    for drop in drops:
        assert similarity(words(drop.question), words(drop.match)) >= threshold
        assert marks(words(drop.question)) == marks(words(drop.match))
        assert min(len(spoken(words(text))) for text in (drop.question, drop.match)) >= 8
