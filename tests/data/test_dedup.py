from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dedup import tokens, without_duplicates, without_overlap
from data.records import ChoiceReference, NumberReference, Problem, Split

SHARED = "bought stamps at the post office on a rainy day"


def problem(question: str, *, answer: str = "1", split: Split = Split.TRAIN) -> Problem:
    return Problem.create(task="t", split=split, question=question, reference=NumberReference(value=answer))


def test_case_spacing_and_speech_marks_do_not_tell_questions_apart() -> None:
    first, second = problem("How many eggs has Ana?"), problem("  how many  EGGS has “Ana” ")
    kept, (drop,) = without_duplicates([first, second])
    assert kept == [first]
    assert (drop.problem_id, drop.match_id, drop.reason) == (second.id, first.id, "duplicate")
    assert (drop.question, drop.match) == (second.question, first.question)


def test_another_answer_to_the_same_question_is_named() -> None:
    _, (drop,) = without_duplicates([problem("Who?", answer="1"), problem("who", answer="2")])
    assert drop.reason == "duplicate with another answer"


def test_numbers_signs_and_operators_tell_questions_apart() -> None:
    questions = ["What is 3.5 + 1?", "What is 35 + 1?", "What is 3.5 - 1?", "What is 3.5 * 1?", "What is 3,5 + 1?", "What is 3.5**1?"]
    questions += ["What is (2 + 3) * 4?", "What is 2 + (3 * 4)?", "What is 2 + 3 * 4?", "What is 2 + 3*(4)?"]
    kept, drops = without_duplicates(map(problem, questions))
    assert (len(kept), drops) == (len(questions), [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 5! + 1?", "What is 5 + 1?"),
        ("What is (2 + 1)! now?", "What is (2 + 1) now?"),
        ("Is x != 3 true?", "Is x = 3 true?"),
        ("Given f, find f'(2).", "Given f, find f(2)."),
        ("Find f''(2).", "Find f'(2)."),
        ("Find f’(2).", "Find f(2)."),
        ("Solve y' + y = 0.", "Solve y + y = 0."),
        ("What is .5 / 5?", "What is 5 / 5?"),
        ("What is -.5 plus 1?", "What is -5 plus 1?"),
        ("Mix them 3:4.", "Mix them 3 4."),
        ("Mix them 3 : 4.", "Mix them 3 4."),
        ("Mix a:b evenly.", "Mix a b evenly."),
        ("Sort a,b,c now.", "Sort a b c now."),
        ("Sort a, b now.", "Sort a b now."),
        ("What is f(x,-2)?", "What is f(x -2)?"),
        ("What is a.b here?", "What is a b here?"),
        ("What is A . B here?", "What is A B here?"),
    ],
)
def test_signs_that_may_be_operators_tell_questions_apart(one: str, other: str) -> None:
    assert tokens(one) != tokens(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ana has 5. Ben has 3, Cid has 4: how many?", "ana has 5 ben has 3 cid has 4 how many"),
        ("It's Ana's; isn't it so good!", "it's ana's isn't it so good"),
        ("'How many?', she asks, and \"why\".", "How many she asks and why"),
        ("The first is x. How many are y?", "The first is x how many are y"),
        ("What is .5 + 1?", "What is 0.5 + 1?"),
        ("Sort a, b now.", "Sort a,b now."),
        ("Mix them 3:4.", "Mix them 3 : 4"),
    ],
)
def test_signs_of_speech_do_not_tell_questions_apart(one: str, other: str) -> None:
    assert tokens(one) == tokens(other)


def test_stars_of_markdown_do_not_tell_questions_apart() -> None:
    assert tokens("**How** many *red* pens?") == tokens("How many red pens")
    assert tokens("3*4") == tokens("3 * 4") == tokens("3 × 4") != tokens("3 4")


def test_boards_are_told_apart_by_every_sign() -> None:
    boards = ["Solve it:\nQ _ _\n_ . *", "Solve it:\n_ Q _\n_ . *", "Solve it:\nQ _ _\n_ * ."]
    assert len(without_duplicates(map(problem, boards))[0]) == 3
    assert tokens("solve it\n\nq  _ _\n_ . *") == tokens(boards[0])


def test_of_options_the_text_is_the_answer_not_the_letter() -> None:
    one, other = (ChoiceReference(options=options, value=value) for options, value in ((("x", "y"), "A"), (("y", "x"), "B")))
    first, second = (Problem.create(task="t", split=Split.TRAIN, question="Which?", reference=own) for own in (one, other))
    assert without_duplicates([first, second])[1][0].reason == "duplicate"


def test_a_shared_run_of_words_is_an_overlap_and_one_word_less_is_none() -> None:
    test = problem(f"Max {SHARED}. How many?", split=Split.TEST)
    train = problem(f"Yesterday Bella {SHARED.upper()} with her aunt. What did she pay?")
    kept, (drop,) = without_overlap([train], [test], words=9)
    assert kept == []
    assert (drop.reason, drop.match_id) == ("overlaps with test", test.id)
    short = problem("Bella bought stamps at the post office on a sunny day.")
    assert without_overlap([short], [test], words=9) == ([short], [])
    assert without_overlap([short], [test], words=8)[0] == []


def test_a_short_question_is_compared_whole() -> None:
    test = problem("What is 2 + 3?", split=Split.TEST)
    same, other = problem("what is 2 + 3"), problem("What is 2 - 3?")
    kept, (drop,) = without_overlap([same, other], [test])
    assert (kept, drop.problem_id) == ([other], same.id)


def test_exact_ignores_shared_sentences() -> None:
    test = problem(f"Max {SHARED}. How many?", split=Split.VALIDATION)
    near, same = problem(f"Bella {SHARED}. How many?"), problem(f"max {SHARED}; how many")
    kept, (drop,) = without_overlap([near, same], [test], mode="exact")
    assert (kept, drop.problem_id, drop.reason) == ([near], same.id, "overlaps with validation")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "A.", "b", " b?", "(b)", "1", "1,", "2"]), max_size=20))
def test_duplicates_are_kept_once_whatever_the_order(texts: list[str]) -> None:
    problems = [problem(text, answer=str(place)) for place, text in enumerate(texts)]
    kept, drops = without_duplicates(problems)
    assert without_duplicates(kept) == (kept, [])
    assert [p.id for p in kept] == sorted((p.id for p in kept), key=[p.id for p in problems].index)
    assert len(kept) + len(drops) == len(problems)
    backwards, _ = without_duplicates(problems[::-1])
    assert {tokens(p.question) for p in kept} == {tokens(p.question) for p in backwards}


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), max_size=20, unique=True), st.integers(2, 9))
def test_every_problem_is_kept_or_dropped_once_and_nothing_kept_overlaps(texts: list[str], words: int) -> None:
    problems = [problem(text) for text in texts]
    evaluation = [problem(text, split=Split.TEST) for text in texts[::2]]
    kept, drops = without_overlap(problems, evaluation, words=words)
    assert sorted([p.id for p in kept] + [d.problem_id for d in drops]) == sorted(p.id for p in problems)
    assert without_overlap(kept, evaluation, words=words) == (kept, [])
    assert not {tokens(p.question) for p in kept} & {tokens(p.question) for p in evaluation}
