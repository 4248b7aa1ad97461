"""Verifier of answers that are one number: exact, pure and of linear time, so it runs in the stage's own process.

The last explicit statement wins (data.verifiers.statements); numbers are read as data.verifiers.quantity says and compared as fractions,
never as floats: 3.33 is not 10/3. "50%" answers 50 as well as 0.5.
"""

from __future__ import annotations

import re

from data.records import NumberReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.marks import has_decimal_comma
from data.verifiers.number_words import NUMBER_WORD
from data.verifiers.quantity import Quantity, read_quantity
from data.verifiers.settling import settle
from data.verifiers.statements import Statement, final_statements

NAME = "number"
VERSION = "4"
INLINE = True
NUMERAL = re.compile(rf"\d|{NUMBER_WORD.pattern}", re.IGNORECASE)
BY_LANGUAGE = re.compile(r"[,，．]|\.(?![0-9]{1,2}(?![0-9\\]|[^\x00-\x7f])|[0-9]{4})")
"""Marks that may mean one thing or another; a point before one, two or four digits parts decimals everywhere."""
OR = re.compile(r",?\s+or\s+(?:equivalently,?\s+)?")
BRACKETED = re.compile(r"(?P<before>[^()]*)\((?P<inside>[^()]+)\)(?P<behind>[^()]*)")
"""A second spelling of the same number: "1/4, or 25%", "eighteen (18) dollars"."""
SENTENCE = re.compile(
    r"(?P<subject>[A-Z][^\W\d]*(?:['’]s)?(?:\s[^\W\d][\w'’]*){1,11}?)\s(?P<number>(?:\\?[$€£¥₹]\s?|(?:only|about|exactly)\s|a\s+total\s+of\s)*-?\d[^\n]*)"
)
"""A sentence that says a number of somebody, as some models write behind "Answer:"."""
NO_VALUE = re.compile(
    r"\b(?:step|option|question|part|problem|example|equation|case|chapter|page|line|section|figure|not|never|no|if|than|least|most|over|under"
    r"|between|from|cannot|or|either)\b|n['’]t\b",
    re.IGNORECASE,
)
"""In a sentence before a number: what names, bounds or denies it."""


def judge(reference: NumberReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking."""
    gold = read_quantity(reference.value)
    if gold is None:
        return Judgement(Outcome.ERROR, None, f"the gold answer {reference.value!r} is not one number")

    def verdict(_: Statement, number: Quantity) -> Judgement:
        return Judgement(Outcome.RIGHT if gold.answered_by(number) else Outcome.WRONG, str(number), f"last statement, gold {gold}"[:300])

    stated = statements(reference, answer_text)
    comma = any(BY_LANGUAGE.search(statement.text) for statement in stated) and has_decimal_comma(answer_text)
    finals = [(statement, _read(statement.text, comma)) for statement in stated]
    return settle(finals, "one number", same=Quantity.answered_by, judge=verdict)


def statements(reference: NumberReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer."""
    return final_statements(answer_text[-MAX_ANSWER_CHARACTERS:])


def gold_text(reference: NumberReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _read(text: str, comma: bool) -> Quantity | None:
    """The number that a statement says, once or several times over."""
    whole = read_quantity(text, comma=comma)
    bracketed = BRACKETED.fullmatch(text)
    if bracketed and "=" not in bracketed["behind"] and NUMERAL.search(bracketed["inside"]):
        outside = bracketed["before"] + bracketed["behind"]
        spellings = [*([outside] if re.search(r"\w", outside) else []), bracketed["inside"]]
    else:
        spellings = OR.split(text)
    if spellings == [text]:
        return whole or _of_sentence(text, comma)
    first, *others = [read_quantity(spelling, comma=comma) for spelling in spellings]
    same = first is not None and all(other and (first.answered_by(other) or other.answered_by(first)) for other in others)
    return first if same else None


def _of_sentence(text: str, comma: bool) -> Quantity | None:
    """The only number of a sentence."""
    found = SENTENCE.fullmatch(text.replace("**", ""))
    if found is None or NO_VALUE.search(found["subject"]) or NUMERAL.search(found["subject"]):
        return None
    return read_quantity(found["number"], comma=comma)
