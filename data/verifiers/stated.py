r"""Is the right answer stated in a thinking, as its last stated result?

For numbers the last number counts, or the last box that holds it; if its sentence has equations, the number after the last `=`
("4 + 5 = 9 points in 40 minutes" states 9). For expressions the last box, "the answer is …" or `= …` counts, whichever stands
last. This is weaker evidence than an answer: a thinking need not state anything explicitly. Of all other kinds only explicit statements
count, as in an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Unpack

from data.records import ExpressionReference, NumberReference, Outcome, Reference, Status
from data.verifiers.contract import MAX_ANSWER_CHARACTERS
from data.verifiers.judge import VERIFIERS, PoolArguments, TextCase, judge_texts
from data.verifiers.quantity import SCALES
from data.verifiers.statements import SENTENCE_END, statements

DIGITS = r"(?:[0-9]{1,3}(?:[, ][0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
TOKEN = re.compile(
    rf"(?:(?<![\w)}}\]])[-−])?\$?(?:\\[dt]?frac\{{{DIGITS}\}}\{{{DIGITS}\}}|(?<![A-Za-z_]){DIGITS}(?:\ ?/\ ?{DIGITS})?)"
    rf"(?:\ ?(?:\\?%|percent\b)|\ (?:{'|'.join(SCALES)})\b)?"
)
EQUALS = re.compile(r"(?<![<>!=\\])=(?!=)")
STOPS = re.compile(r"\n|\$|\\\)|\\\]|[.!?;](?=\s|$)|,(?=\s)|[(\[{]|[)\]}]")


class Thinking(NamedTuple):
    """A thinking to look into; `key` comes back with its outcome."""

    key: str
    reference: Reference
    text: str


def stated(reference: Reference, thinking: str) -> Outcome:
    """Right, wrong or unparsed (nothing stated); for expressions also timeout or error. For many thinkings call `stated_all`."""
    return next(stated_all([Thinking("", reference, thinking)], workers=1, timeout_seconds=5))[1]


def stated_all(thinkings: Iterable[Thinking], **pool: Unpack[PoolArguments]) -> Iterator[tuple[str, Outcome]]:
    """Yield (key, outcome) for every thinking, in any order; expressions are judged by the pool."""
    cases = (TextCase(item.key, item.reference, _as_answer(item), Status.OK) for item in thinkings)
    for verdict in judge_texts(cases, **pool):
        yield verdict.trace_id, verdict.outcome


def last_stated(reference: Reference, thinking: str) -> str | None:
    """The last result that a thinking states, as written."""
    text = thinking[-MAX_ANSWER_CHARACTERS:]
    match reference:
        case NumberReference():
            return _last_number(text)
        case ExpressionReference():
            return _last_expression(text)
        case _:
            finals = VERIFIERS[reference.kind].statements(reference, text)
            return finals[-1].text if finals else None


def _as_answer(item: Thinking) -> str:
    """A text that is judged as the thinking is to be: of numbers and expressions the last result as an explicit answer."""
    if not isinstance(item.reference, NumberReference | ExpressionReference):
        return item.text
    found = last_stated(item.reference, item.text)
    return "" if found is None else f"\\boxed{{{found}}}"


def _last_number(text: str) -> str | None:
    numbers = list(TOKEN.finditer(text))
    for statement in reversed(statements(text)):
        if statement.firm and text.startswith("\\", statement.start) and (not numbers or numbers[-1].start() < statement.end):
            return statement.text
    if not numbers:
        return None
    begin = max((stop.end() for stop in SENTENCE_END.finditer(text, 0, numbers[-1].start())), default=0)
    equations = list(EQUALS.finditer(text, begin))
    if equations and (after := TOKEN.search(text, equations[-1].end())):
        return after[0]
    return numbers[-1][0]


def _last_expression(text: str) -> str | None:
    found = [(statement.start, statement.text) for statement in statements(text) if statement.text]
    equations = list(EQUALS.finditer(text))
    if equations:
        side = text[equations[-1].end() : _end_of_side(text, equations[-1].end())].strip()
        found.extend([(equations[-1].start(), side)] if side else [])
    return max(found)[1] if found else None


def _end_of_side(text: str, begin: int) -> int:
    """Where the right side of an equation ends: at a stop that stands in no bracket, or at a bracket that it did not open."""
    depth = 0
    for stop in STOPS.finditer(text, begin):
        if stop[0] in "([{":
            depth += 1
        elif stop[0] in ")]}" and depth:
            depth -= 1
        elif depth == 0 or stop[0] == "\n":
            return stop.start()
    return len(text)
