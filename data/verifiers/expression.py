r"""Verifier of mathematical expressions by Math-Verify: `\frac{1}{2}` is 0.5, `(x+1)^2` is `x^2+2x+1`, sets have no order.

Math-Verify may run for ever or eat all memory, so `judge` runs in the worker processes of data.verifiers.pool alone; its own
time-outs (signals, main thread only) are off. Which text is judged is decided here as for numbers: the last explicit statement.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from data.records import ExpressionReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement, Limits
from data.verifiers.quantity import read_quantity
from data.verifiers.statements import Statement, final_statements

Value: TypeAlias = object
"""A sympy expression or matrix; handed from parser to comparison and never looked into."""

NAME = "math"
VERSION = "1+math-verify-0.9.0"
INLINE = False
PERCENT = re.compile(r"\s*\\?%\Z")
DRESS = re.compile(r"\*\*|(?<!\\)\\[()\[\]]|(?<!\\)\$|[.,;:\s]+\Z")
COMMAND = re.compile(r"\\(?:text|mathrm|textbf|operatorname|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
WORD = re.compile(r"(?<![A-Za-z])(?!(?:sin|cos|tan|cot|sec|csc|log|exp|sqrt|arcsin|arccos|arctan|max|min|gcd|lcm)\b)[A-Za-z]{3,}")
MAX_WORDS = 1


def judge(reference: ExpressionReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking. Raises MemoryError and RecursionError; may not return: call it in a worker."""
    gold = _read(reference.value)
    if gold is None:
        return Judgement(Outcome.ERROR, None, f"the gold answer {reference.value[:80]!r} is not an expression")
    finals = final_statements(answer_text[-MAX_ANSWER_CHARACTERS:])
    if not finals:
        return Judgement(Outcome.UNPARSED, None, "no explicit statement of an answer")
    return _compare(gold, [(statement, _read(statement.text)) for statement in finals])


def gold_text(reference: ExpressionReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _compare(gold: Value, finals: list[tuple[Statement, Value | None]]) -> Judgement:
    for statement, read in finals:
        if read is None and statement.firm:
            return Judgement(Outcome.UNPARSED, None, f"the last statement is not an expression: {statement.text[:80]!r}")
    stated = [(statement, read) for statement, read in finals if read is not None]
    if not stated:
        return Judgement(Outcome.UNPARSED, None, "the last statement is not an expression")
    last, value = stated[-1]
    if any(not (_equal(value, other) or _equal(other, value)) for _, other in stated[:-1]):
        return Judgement(Outcome.UNPARSED, None, "contradicting final statements: " + ", ".join(s.text[:40] for s, _ in stated)[:200])
    return Judgement(Outcome.RIGHT if _equal(gold, value) else Outcome.WRONG, last.text, "last statement, compared by Math-Verify")


def _read(text: str) -> Value | None:
    """The expression that `text` states, or None."""
    number = None if "=" in text else read_quantity(text)  # "18 dollars" would parse as a product of letters
    shown = str(number) if number is not None else DRESS.sub("", text).strip()
    if not shown or len(WORD.findall(COMMAND.sub(" ", shown))) > MAX_WORDS:
        return None
    bare, percents = PERCENT.subn("", shown)
    return _parse(f"${bare}$\\%" if percents else f"${bare}$")


def _parse(latex: str) -> Value | None:
    from math_verify import LatexExtractionConfig, parse

    parsed = parse(latex, [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True)
    return next(iter(parsed), None)


def _equal(gold: Value, other: Value) -> bool:
    """Math-Verify's comparison, which is not symmetric: the first one sets the form."""
    from math_verify import verify

    return bool(verify(gold, other, timeout_seconds=None, raise_on_error=True))


def prepare(limits: Limits) -> None:
    """Import what `judge` needs, so that no item pays for it, and quiet the warning about time-outs that are off; the pool has them."""
    import logging

    import math_verify  # noqa: F401

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    _parse("$1$")
