"""Verifier of reasoning-gym's answers by the data set's own scorer: right is a full score, and a part of it is wrong.

The last explicit statement is scored. Some scorers evaluate what they are given as Python: a text that could call anything but a
mathematical function never gets there.
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
VERSION = "1+reasoning-gym-0.1.25"
INLINE = False
GRAMMAR = grammar()
EVALUATED = frozenset(
    {
        "binary_matrix", "countdown", "intermediate_integration", "n_queens", "number_sorting", "polynomial_multiplication", "puzzle24",
        "simple_integration", "spiral_matrix", "string_insertion",
    }
)  # fmt: skip
"""Data sets whose scorers call eval or sympy's parse_expr, which is built on it."""
FUNCTIONS = "sin|cos|tan|sec|csc|cot|asin|acos|atan|sinh|cosh|tanh|exp|log|ln|sqrt|Abs|abs"
ACTIVE = re.compile(rf"__|\b(?!(?:{FUNCTIONS})\b)[^\W\d]\w*\s*\(|[\])}}\"']\s*\(|\.\s*[^\W\d]|[A-Za-z][\"']|\b(?:lambda|import)\b|:=")
"""What a call, an attribute or a text with code in it needs."""


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
        return Judgement(Outcome.UNPARSED, None, f"the scorer evaluates answers, and this one could run code: {refused[0][:80]!r}")
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
    """Whether a scorer may get `text`: it does not evaluate, or there is nothing to run in it."""
    return reference.dataset not in EVALUATED or text == reference.value or not ACTIVE.search(text)


def _score(reference: GymReference, text: str) -> float:
    entry = ast.literal_eval(reference.entry)
    dataset = _dataset(reference.dataset, json.dumps(reference.arguments, sort_keys=True))
    return float(dataset.score_answer(text, {**entry, "answer": reference.value}))


@lru_cache(maxsize=8)
def _dataset(name: str, arguments: str) -> Any:
    """The data set whose scorer is asked; none of its entries is made."""
    import reasoning_gym

    return reasoning_gym.create_dataset(name, seed=0, size=1, **json.loads(arguments))
