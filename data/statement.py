r"""The final statement of an answer as its writer wrote it: the sentence of what its verifier reads as the last explicit statement.

Display mathematics around it and a lead that ends in a colon belong to it, so that what stands before it is whole.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from data.chat import join, split
from data.errors import TextFormatError
from data.records import Reference, Trace
from data.verifiers.judge import VERIFIERS
from data.verifiers.statements import BOX, Statement

BEGINS = re.compile(r"(?:[.!?][*_)\"'$\]]*[ \t]+|\n)(?=\S)")
ENDS = re.compile(r"[.!?][*_)\"'$\]]*(?=\s|\Z)|(?=\n)|\Z")
OPENED = re.compile(r"(?:\\\[|\$\$)\s*\Z")
CLOSED = re.compile(r"\s*(?:\\\]|\$\$)[.]?")


class SplitAnswer(NamedTuple):
    """An answer text in two: what comes before the final statement, and the statement; what follows it is left out."""

    before: str
    statement: str


def final_statement(answer: str, reference: Reference) -> str | None:
    """The last explicit statement of an answer text, or None where nothing states an answer that can be read; never a guess."""
    parts = split_answer(answer, reference)
    return parts.statement if parts else None


def split_answer(answer: str, reference: Reference) -> SplitAnswer | None:
    """An answer text split at its last explicit statement, or None where it has none."""
    finals = VERIFIERS[reference.kind].statements(reference, answer)
    if not finals or not all(_readable(statement) for statement in finals):
        return None
    begin, end = _sentence(answer, finals[0].start, finals[-1].end)
    begin, end = _display(answer, begin, end)
    begin = _with_lead(answer, begin)
    return SplitAnswer(answer[:begin].strip(), answer[begin:end].strip())


def lesson_text(trace: Trace, reference: Reference) -> str | None:
    """The completion that a trace teaches: its thinking and its final statement alone. None where it has no statement of its own."""
    parts = split(trace.text)
    statement = final_statement(parts.answer, reference)
    if statement is None:
        return None
    try:
        return join(parts.thinking, statement)
    except TextFormatError:
        return None


def _readable(statement: Statement) -> bool:
    return bool(statement.text.strip()) or not statement.firm


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    begun = [found.end() for found in BEGINS.finditer(text, 0, start + 1) if found.end() <= start]
    ended = ENDS.search(text, end)
    return (begun[-1] if begun else 0), (ended.end() if ended else len(text))


def _display(text: str, begin: int, end: int) -> tuple[int, int]:
    """Take in the delimiters of display mathematics where one of them, or both, lie outside."""
    closed = CLOSED.match(text, end)
    if closed is None:
        return begin, end
    if _is_open(text[begin:end]):
        return begin, closed.end()
    opened = OPENED.search(text, 0, begin)
    return (opened.start(), closed.end()) if opened else (begin, end)


def _with_lead(text: str, begin: int) -> int:
    """Where the line before starts if it ends in a colon and holds no box of its own; else `begin`."""
    lead = text[:begin].rstrip()
    line = lead[lead.rfind("\n") + 1 :]
    return len(lead) - len(line) if line.rstrip("*_ \t").endswith(":") and not BOX.search(line) else begin


def _is_open(text: str) -> bool:
    return text.count(r"\[") > text.count(r"\]") or text.count("$$") % 2 == 1
