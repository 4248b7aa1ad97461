"""Verifier of reasoning-gym's answers by the data set's own scorer: right is a full score, and a part of it is wrong.

The last explicit statement is scored. Some scorers evaluate what they are given as Python: only a text whose every part is known to be
harmless (a literal, plain words, a formula of numbers, names and mathematical functions) gets there.
"""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache
from typing import Any

from data.records import GymReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement, Limits
from data.verifiers.statements import Statement, final_statements
from data.verifiers.texts import COMMAND, grammar

NAME = "gym"
VERSION = "2+reasoning-gym-0.1.25"
INLINE = False
GRAMMAR = grammar()
LITERALS = frozenset({"binary_matrix", "bitwise_arithmetic", "n_queens", "number_sorting", "spiral_matrix", "string_insertion"})
"""Data sets whose scorers call eval: their answers are lists, or words and numbers."""
FORMULAS = frozenset({"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"})
"""Data sets whose scorers call sympy's parse_expr, which is built on eval: their answers are formulas in Python's spelling."""
FUNCTIONS = frozenset(
    ["sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "log", "ln", "sqrt", "Abs", "abs"]
)
MAX_EVALUATED_CHARACTERS = 4_000
WORDS = re.compile(r"[\w\s,]*", re.ASCII)
"""Names and numbers: Python can neither call nor look into anything in such a text."""
SIGNS = re.compile(r"[\w\s+\-*/^().,!\[\]]*", re.ASCII)
FACTORIAL = re.compile(r"(?<=[\w)])\s*!")
"""What parse_expr reads beyond Python's spelling."""
OPERATIONS = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow | ast.BitXor
UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
"""What reading a text as Python may raise."""


def prepare(limits: Limits) -> None:
    """Load the generators once, before any item's time begins."""
    import reasoning_gym  # noqa: F401


def judge(reference: GymReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking. Scorers may raise or not return: call it in a worker."""
    finals = statements(reference, answer_text)
    said = list(dict.fromkeys(text for statement in finals if statement.firm and (text := COMMAND.sub(r"\1", statement.text).strip())))
    if not said:
        return Judgement(Outcome.UNPARSED, None, "no explicit statement of an answer")
    if refused := [text for text in said if not is_harmless(reference, text)]:
        return Judgement(
            Outcome.UNPARSED, None, f"the scorer evaluates answers, and this one is no plain literal or formula: {refused[0][:80]!r}"
        )
    scores = [_score(reference, text) for text in said]
    rights = [score >= 1 for score in scores]
    if any(rights) and not all(rights):
        return Judgement(Outcome.UNPARSED, None, f"contradicting final statements: {', '.join(said)}"[:300])
    return Judgement(Outcome.RIGHT if rights[-1] else Outcome.WRONG, said[-1], f"score {scores[-1]:g} of {reference.dataset}")


def statements(reference: GymReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer."""
    return final_statements(answer_text[-MAX_ANSWER_CHARACTERS:], GRAMMAR)


def gold_text(reference: GymReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def is_harmless(reference: GymReference, text: str) -> bool:
    """Whether a scorer may get `text`: it does not evaluate, or this is the gold answer, or all that is in it is known to run nothing."""
    if reference.dataset not in LITERALS | FORMULAS or text == reference.value:
        return True
    if len(text) > MAX_EVALUATED_CHARACTERS:
        return False
    return _is_literal(text) if reference.dataset in LITERALS else _is_formula(text)


def _is_literal(text: str) -> bool:
    if WORDS.fullmatch(text):
        return True
    try:
        ast.literal_eval(text)
    except UNREADABLE:
        return False
    return not set("\\#") & set(text)


def _is_formula(text: str) -> bool:
    if not SIGNS.fullmatch(text):
        return False
    try:
        tree = ast.parse(FACTORIAL.sub(" ", text).strip(), mode="eval")
        return _only_computes(tree.body)
    except UNREADABLE:
        return False


def _only_computes(node: ast.expr) -> bool:
    """Whether an expression is made of numbers, names, operations and mathematical functions."""
    match node:
        case ast.Constant(value):
            return isinstance(value, int | float)
        case ast.Name():
            return True
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            return _only_computes(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return isinstance(op, OPERATIONS) and _only_computes(left) and _only_computes(right)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return all(map(_only_computes, parts))
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]):
            return name in FUNCTIONS and all(map(_only_computes, parts))
    return False


def _score(reference: GymReference, text: str) -> float:
    entry = ast.literal_eval(reference.entry)
    dataset = _dataset(reference.dataset, json.dumps(reference.arguments, sort_keys=True))
    return float(dataset.score_answer(text, {**entry, "answer": reference.value}))


@lru_cache(maxsize=8)
def _dataset(name: str, arguments: str) -> Any:
    """The data set whose scorer is asked; none of its entries is made."""
    import reasoning_gym

    return reasoning_gym.create_dataset(name, seed=0, size=1, **json.loads(arguments))
