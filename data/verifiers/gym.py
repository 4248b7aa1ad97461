"""Verifier of reasoning-gym's answers by the data set's own scorer: right is a full score, and a part of it is wrong.

The last explicit statement is scored, in every spelling that it may mean (`gym_texts`): the best score counts. Some scorers evaluate what
they are given as Python: only a text whose every part is known to be harmless (a literal, plain words, a formula of numbers, names and
mathematical functions) gets there. What a few scorers take for right and nobody else would is wrong (`CHECKS`).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from data.records import GymReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement, Limits
from data.verifiers.gym_texts import MAX_READ_CHARACTERS, UNREADABLE, literal_list, readings, with_rows
from data.verifiers.statements import Statement, final_statements, without_idle_tags
from data.verifiers.texts import grammar

NAME = "gym"
VERSION = "5+reasoning-gym-0.1.25"
INLINE = False
GRAMMAR = grammar()
LITERALS = frozenset({"binary_matrix", "bitwise_arithmetic", "n_queens", "number_sorting", "spiral_matrix", "string_insertion"})
"""Data sets whose scorers call eval: their answers are lists, or words and numbers."""
FORMULAS = frozenset({"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"})
"""Data sets whose scorers call sympy's parse_expr, which is built on eval: their answers are formulas in Python's spelling."""
FUNCTIONS = frozenset(
    ["sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "log", "ln", "sqrt", "Abs", "abs"]
)
WORDS = re.compile(r"[\w\s,]*", re.ASCII)
"""Names and numbers: Python can neither call nor look into anything in such a text."""
SIGNS = re.compile(r"[\w\s+\-*/^().,!\[\]]*", re.ASCII)
FACTORIAL = re.compile(r"(?<=[\w)])\s*!")
"""What parse_expr reads beyond Python's spelling."""
OPERATIONS = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow | ast.BitXor


class Scored(NamedTuple):
    """What a statement was taken to mean, and the scorer's opinion of it."""

    text: str
    score: float


def prepare(limits: Limits) -> None:
    """Load the generators once, before any item's time begins."""
    import reasoning_gym  # noqa: F401


def judge(reference: GymReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking. Scorers may raise or not return: call it in a worker."""
    finals = [statement for statement in statements(reference, answer_text) if statement.firm and statement.text.strip()]
    if not finals:
        return Judgement(Outcome.UNPARSED, None, "no explicit statement of an answer")
    found = [_scored(reference, statement) for statement in finals]
    scored = [own for own in found if own is not None]
    if len(scored) < len(found):
        refused = finals[found.index(None)].text[:80]
        return Judgement(Outcome.UNPARSED, None, f"the scorer evaluates answers, and this one is no plain literal or formula: {refused!r}")
    rights = [own.score >= 1 for own in scored]
    if any(rights) and not all(rights):
        return Judgement(Outcome.UNPARSED, None, f"contradicting final statements: {', '.join(own.text for own in scored)}"[:300])
    text, score = scored[-1]
    return Judgement(Outcome.RIGHT if rights[-1] else Outcome.WRONG, text, f"score {score:g} of {reference.dataset}")


def statements(reference: GymReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer, grids with all of their rows."""
    text = without_idle_tags(answer_text[-MAX_ANSWER_CHARACTERS:], GRAMMAR)
    return [with_rows(statement, text, many="\n" in reference.value.strip()) for statement in final_statements(text, GRAMMAR)]


def gold_text(reference: GymReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def is_harmless(reference: GymReference, text: str) -> bool:
    """Whether a scorer may get `text`: it does not evaluate, or this is the gold answer, or all that is in it is known to run nothing."""
    if reference.dataset not in LITERALS | FORMULAS or text == reference.value:
        return True
    if len(text) > MAX_READ_CHARACTERS:
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


def _scored(reference: GymReference, statement: Statement) -> Scored | None:
    """The first reading of a statement that is right, or else the one with the highest score; None where the scorer may see none."""
    best: Scored | None = None
    for text in dict.fromkeys(readings(statement, reference.value, is_formula=reference.dataset in FORMULAS)):
        if text and is_harmless(reference, text):
            own = Scored(text, _score(reference, text))
            best = own if best is None or own.score > best.score else best
            if best.score >= 1:
                break
    return best


def _score(reference: GymReference, text: str) -> float:
    entry = ast.literal_eval(reference.entry)
    dataset = _dataset(reference.dataset, json.dumps(reference.arguments, sort_keys=True))
    try:
        score = float(dataset.score_answer(text, {**entry, "answer": reference.value}))
    except (ValueError, ArithmeticError):  # what some scorers raise for a text that they cannot read
        score = 0.0
    check = CHECKS.get(reference.dataset)
    return 0.0 if score >= 1 and check and not check(reference.value, entry["metadata"], text) else score


def _makes_24(gold: str, metadata: Mapping[str, Any], text: str) -> bool:
    """The scorer rounds down to 24 and does not ask for the given numbers."""
    from sympy import parse_expr

    used = sorted(map(float, re.findall(r"[\d.]+", text)))
    return used == sorted(metadata["numbers"]) and bool(parse_expr(text) == 24)


def _hits_target(gold: str, metadata: Mapping[str, Any], text: str) -> bool:
    """The scorer takes what is near, and to it 2.5 is made of a 2 and a 5."""
    from sympy import parse_expr

    return "." not in text and bool(parse_expr(text) == metadata["target"])


def _is_sorted_gold(gold: str, metadata: Mapping[str, Any], text: str) -> bool:
    """The scorer lets each number differ by 1."""
    listed, own = (literal_list(part) for part in (text, gold))
    return listed is not None and own is not None and [float(str(part)) for part in listed] == [float(str(part)) for part in own]


def _is_same_word(gold: str, metadata: Mapping[str, Any], text: str) -> bool:
    """The scorer takes any text for true, and the gold answer False, too."""
    return text.casefold() == gold.casefold()


def _is_number(gold: str, metadata: Mapping[str, Any], text: str) -> bool:
    """To the scorer nan is no distance away."""
    return "nan" not in text.lower()


CHECKS: dict[str, Callable[[str, Mapping[str, Any], str], bool]] = {
    "puzzle24": _makes_24,
    "countdown": _hits_target,
    "number_sorting": _is_sorted_gold,
    "complex_arithmetic": _is_number,
    "game_of_life_halting": _is_same_word,
}
"""Data set → what must hold, too, of an answer that its scorer finds right, given gold answer, metadata and answer."""


@lru_cache(maxsize=8)
def _dataset(name: str, arguments: str) -> Any:
    """The data set whose scorer is asked; none of its entries is made."""
    import reasoning_gym

    return reasoning_gym.create_dataset(name, seed=0, size=1, **json.loads(arguments))
