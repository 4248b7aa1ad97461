r"""Verifier of mathematical expressions: `\frac{1}{2}` is 0.5, `(x+1)^2` is `x^2+2x+1`, sets have no order, a set is no pair.

What a text says is read by data.verifiers.formula.reading (structure, then Math-Verify's parser) and compared by
data.verifiers.formula.sameness. Two plain numbers are compared exactly and need neither. SymPy may run for ever or eat all memory, so
`judge` runs in the worker processes of data.verifiers.pool alone. Which text is judged is decided here as for numbers: the last explicit
statement; of a gold answer with several values, boxes that stand together or one per part are one list.
"""

from __future__ import annotations

import re

from data.records import ExpressionReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement, Limits
from data.verifiers.formula.reading import read
from data.verifiers.formula.same_lists import UNORDERED
from data.verifiers.formula.sameness import same
from data.verifiers.formula.values import Group, Named, Scalar, Value
from data.verifiers.marks import has_decimal_comma
from data.verifiers.quantity import read_quantity
from data.verifiers.settling import settle
from data.verifiers.statements import BOX, NUMERIC, Statement, final_statements
from data.verifiers.statements import statements as all_statements

NAME = "math"
VERSION = "6+math-verify-0.9.0"
INLINE = False
IN_WORDS = re.compile(r"(?:\\text\{)?[A-Za-z][A-Za-z' -]+\}?")
WORDS = re.compile(r"\s*[A-Za-z][A-Za-z -]*\W*")
"""What may be a number in words."""
WORDED = NUMERIC._replace(may_be_value=lambda text: NUMERIC.may_be_value(text) or read(text.strip(" .*_")) is not None)
"""What states an answer where that is a word, or words."""
PART = re.compile(r"[\s.,;:*_$)\]\\]*\n\s*[*_#(]*\s*(?:part\s*)?\(?(?:[a-h]|[ivx]{1,4}|[1-9])[).:][\s).:*_$\\\[(]*", re.IGNORECASE)


def judge(reference: ExpressionReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking. Raises MemoryError and RecursionError; may not return: call it in a worker."""
    gold = _read(reference.value, comma=False)
    if gold is None:
        return Judgement(Outcome.ERROR, None, f"the gold answer {reference.value[:80]!r} is not an expression")
    text = answer_text[-MAX_ANSWER_CHARACTERS:]
    finals = statements(reference, answer_text)
    comma = any("," in statement.text for statement in finals) and has_decimal_comma(text)
    boxes = _boxes_of_parts(text, finals) if finals and _is_plural(gold) else []
    if len(boxes) > 1 and not _agree([read(box.text) for box in boxes]):
        finals, comma = [Statement(", ".join(box.text for box in boxes), boxes[0].start, boxes[-1].end)], False

    def verdict(statement: Statement, value: Value) -> Judgement:
        found = same(gold, value)
        if found is None:
            return Judgement(Outcome.UNPARSED, None, f"it cannot be told whether {statement.text[:80]!r} is the gold answer")
        return Judgement(Outcome.RIGHT if found else Outcome.WRONG, statement.text, "last statement, compared with the gold answer")

    stated = _with_names([(statement, _read(statement.text, comma=comma)) for statement in finals])
    return settle(stated, "an expression", same=_same, judge=verdict)


def statements(reference: ExpressionReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer."""
    return final_statements(answer_text[-MAX_ANSWER_CHARACTERS:], WORDED if IN_WORDS.fullmatch(reference.value) else NUMERIC)


def gold_text(reference: ExpressionReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _read(text: str, *, comma: bool) -> Value | None:
    """What a statement says; in a language with a decimal comma 0,5 is no list."""
    if not text.strip():
        return None
    number = read_quantity(text, comma=True) if (comma and "," in text) or WORDS.fullmatch(text) else None
    return read(text if number is None else str(number))


def _with_names(stated: list[tuple[Statement, Value | None]]) -> list[tuple[Statement, Value | None]]:
    r"""A name alone that leads to a value is that value's name: "the answer is x = \boxed{2}"."""
    merged: list[tuple[Statement, Value | None]] = []
    name: str | None = None
    for statement, value in stated:
        if not statement.firm and isinstance(value, Scalar) and value.letters is not None:
            name = value.letters
            continue
        merged.append((statement, value if name is None or value is None or isinstance(value, Named) else Named(name, value)))
        name = None
    return merged or stated


def _same(one: Value, other: Value) -> bool:
    return same(one, other) is True


def _agree(values: list[Value | None]) -> bool:
    """Whether all of them were read and say the same as the last."""
    known = [value for value in values if value is not None]
    return len(known) == len(values) and all(_same(known[-1], own) or _same(own, known[-1]) for own in known[:-1])


def _is_plural(gold: Value) -> bool:
    inner = gold.value if isinstance(gold, Named) else gold
    return isinstance(inner, Group) and inner.brackets in UNORDERED and len(inner.items) > 1


def _boxes_of_parts(text: str, finals: list[Statement]) -> list[Statement]:
    """The last boxes that are made together, or follow each other as the answers of parts; empty where the last is no box."""
    found = all_statements(text)
    first = found.index(finals[0]) if finals[0] in found else 0  # what is taken back is none of them
    while first > 0 and PART.fullmatch(text, found[first - 1].end, found[first].start):
        first -= 1
    boxes = found[first:] if finals[0] in found else []
    return boxes if all(BOX.search(text, box.start, box.end) and box.firm for box in boxes) else []


def prepare(limits: Limits) -> None:
    """Import what `judge` needs, so that no item pays for it, and quiet a warning about time-outs that are off; the pool has them."""
    import logging

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    same(read("x"), read("y"))  # type: ignore[arg-type]
