"""Verifier of answers that are compared as written: names, dates, identifiers, words in any script. Pure and of linear time.

Case, spaces, quotes and markup around a value, and one full stop at its end do not count. Whatever else is stated is wrong, since there is
no set of allowed answers; a text that states nothing is unparsed, unless it is nothing but the gold answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.records import ExactReference
from data.verifiers.contract import Judgement
from data.verifiers.statements import Statement
from data.verifiers.texts import CONTRAST_AFTER_COMMA, HEDGE, grammar, settled, stated_or_whole, undressed

NAME = "exact"
VERSION = "5"
INLINE = True
GRAMMAR = grammar(holding=r"\"answer\"\s*:\s*\"(?P<value>[^\"\n]*)\"")
REASON = re.compile(r",\s+(?:because|since|which|weil|puisque|porque|ya que|perché)\s|，\s*(?:因为|因為)", re.IGNORECASE)


def judge(reference: ExactReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking."""
    gold = _plain(reference.value)
    return settled([(statement, _stated(statement, gold)) for statement in statements(reference, answer_text)], gold, "a value")


def statements(reference: ExactReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer: its whole text where that is nothing but the gold answer."""
    return stated_or_whole(answer_text, GRAMMAR, lambda text: _plain(reference.value) in (_plain(text), _plain(text.strip("()[]"))))


def gold_text(reference: ExactReference) -> str:
    """The gold answer and nothing else: a sentence might read as a question or a reason."""
    return reference.value


def _stated(statement: Statement, gold: str) -> str | None:
    """The gold value if any reading of the statement is it, else the statement without its reason; None where it is empty."""
    readings = [reading for reading in _readings(statement) if reading]
    return gold if gold in readings else next(iter(readings), None)


def _readings(statement: Statement) -> Iterator[str]:
    """Shortened by reason and contrast, as it stands, and with what follows in the line, since a value may hold full stops."""
    for cut in (REASON, CONTRAST_AFTER_COMMA):
        yield _plain(HEDGE.sub("", cut.split(statement.text, maxsplit=1)[0], count=1))
    yield _plain(statement.text)
    yield _plain(statement.text.strip("()[]"))
    yield _plain(statement.line)


def _plain(text: str) -> str:
    return undressed(text).casefold()
