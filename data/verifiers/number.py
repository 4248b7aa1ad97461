"""Verifier of answers that are one number: exact, pure and of linear time, so it runs in the stage's own process.

The last explicit statement wins (data.verifiers.statements); numbers are read as data.verifiers.quantity says and compared as fractions,
never as floats: 3.33 is not 10/3. "50%" answers 50 as well as 0.5.
"""

from __future__ import annotations

from data.records import NumberReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.quantity import Quantity, read_quantity
from data.verifiers.statements import Statement, final_statements

NAME = "number"
VERSION = "1"
INLINE = True


def judge(reference: NumberReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking."""
    gold = read_quantity(reference.value)
    if gold is None:
        return Judgement(Outcome.ERROR, None, f"the gold answer {reference.value!r} is not one number")
    finals = final_statements(answer_text[-MAX_ANSWER_CHARACTERS:])
    if not finals:
        return Judgement(Outcome.UNPARSED, None, "no explicit statement of an answer")
    return _compare(gold, [(statement, read_quantity(statement.text)) for statement in finals])


def gold_text(reference: NumberReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _compare(gold: Quantity, finals: list[tuple[Statement, Quantity | None]]) -> Judgement:
    for statement, read in finals:
        if read is None and statement.firm:
            return Judgement(Outcome.UNPARSED, None, f"the last statement is not one number: {statement.text[:80]!r}")
    numbers = [read for _, read in finals if read is not None]
    if not numbers:
        return Judgement(Outcome.UNPARSED, None, "the last statement is not one number")
    if not all(numbers[-1].answered_by(other) or other.answered_by(numbers[-1]) for other in numbers):
        return Judgement(Outcome.UNPARSED, None, "contradicting final statements: " + ", ".join(map(str, numbers))[:200])
    last = numbers[-1]
    outcome = Outcome.RIGHT if gold.answered_by(last) else Outcome.WRONG
    return Judgement(outcome, str(last), f"last statement, gold {gold}"[:300])
