"""The lab's cards say what was measured."""

import pytest

from data.records import NumberReference, Outcome, Status
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.lab_card import Attempt, Built, card, measure

GOLD = NumberReference(value="8")
RIGHT = "<think>Ana has 5. Check: wait, 9 is wrong. Again, 5 + 3 = 8.</think>5 + 3 = 8. The answer is \\boxed{8}."
WRONG = "<think>Ana has 5.</think>5 + 3 = 9. The answer is \\boxed{9}."


def test_the_card_counts_draws_problems_and_tokens():
    attempts = [
        Attempt("a", GOLD, RIGHT, Status.OK, Outcome.RIGHT),
        Attempt("a", GOLD, WRONG, Status.OK, Outcome.WRONG),
        Attempt("b", GOLD, RIGHT, Status.OK, Outcome.RIGHT),
        Attempt("b", GOLD, "<think>Ana", Status.TRUNCATED, Outcome.TRUNCATED),
        Attempt("c", GOLD, WRONG, Status.OK, Outcome.WRONG),
        Attempt("c", GOLD, WRONG, Status.OK, Outcome.WRONG),
    ]
    measured = measure(attempts, train_tokenizer(documents=200))
    assert (measured.problems, measured.draws) == (3, 2)
    assert measured.right == pytest.approx(2 / 6)
    assert measured.mixed == pytest.approx(2 / 3)
    assert measured.unfinished == pytest.approx(1 / 6)
    assert measured.recoveries == pytest.approx(2 / 6)
    assert measured.short_tokens == 6  # "5 + 3 = 8" and the full stop
    text = card("teacher", measured, Built(parameters=1_000_000, layers=6, width=128, tokens=9_000_000))
    assert "| right answers, share of draws | 33.3% (2 draws of each problem, temperature 1) |" in text
    assert "1,000,000 parameters: 6 layers" in text and "66.7%" in text
