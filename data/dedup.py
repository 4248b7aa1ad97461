"""Duplicates, and training problems that overlap with evaluation; every drop names its reason and the problem that it matches.

Overlap is a shared run of words (8 by default, as in open-r1's decontamination script); a question with fewer words is compared whole,
since a short question would otherwise pass unseen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

from data.records import Problem, Record

DEFAULT_WORDS = 8
TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^\W0-9]+|[^\w\s]")
SPEECH_MARKS = frozenset(".,;:!?\"'`“”‘’()[]…*_")
"""What does not tell two questions apart; operators do."""


class Drop(Record):
    """A problem that is left out, and why: the problem that it matches, or what a verifier said of its gold answer."""

    problem_id: str
    question: str
    reason: str
    match_id: str = ""
    match: str = ""
    detail: str = ""


def without_duplicates(problems: Iterable[Problem]) -> tuple[list[Problem], list[Drop]]:
    """The problems whose normalised question is new; of equal ones the first is kept."""
    first: dict[tuple[str, ...], Problem] = {}
    kept: list[Problem] = []
    drops: list[Drop] = []
    for problem in problems:
        other = first.setdefault(tokens(problem.question), problem)
        if other is problem:
            kept.append(problem)
        else:
            same = other.reference == problem.reference
            drops.append(_drop(problem, "duplicate" if same else "duplicate with another answer", other))
    return kept, drops


def without_overlap(
    train: Iterable[Problem],
    evaluation: Iterable[Problem],
    *,
    mode: Literal["ngram", "exact"] = "ngram",
    words: int = DEFAULT_WORDS,
) -> tuple[list[Problem], list[Drop]]:
    """The training problems that share no run of `words` words with an evaluation problem; `exact` compares whole questions.

    `exact` is for problems that share sentences by construction and are told apart by their numbers and names.
    """
    seen: dict[tuple[str, ...], Problem] = {}
    for problem in evaluation:
        for run in _runs(problem.question, mode, words):
            seen.setdefault(run, problem)
    kept: list[Problem] = []
    drops: list[Drop] = []
    for problem in train:
        match = next((seen[run] for run in _runs(problem.question, mode, words) if run in seen), None)
        if match is None:
            kept.append(problem)
        else:
            drops.append(_drop(problem, f"overlaps with {match.split.value}", match))
    return kept, drops


def tokens(text: str) -> tuple[str, ...]:
    """Words, numbers and operators of `text`, without case, spacing and speech marks: equal tokens, equal question."""
    return tuple(token for token in TOKEN.findall(unicodedata.normalize("NFC", text).casefold()) if token not in SPEECH_MARKS)


def _runs(question: str, mode: str, words: int) -> Iterator[tuple[str, ...]]:
    """What is compared: all runs of `words` words, or the whole question."""
    found = tokens(question)
    spoken = tuple(token for token in found if token[0].isalnum())
    if mode == "exact" or len(spoken) < words:
        yield found
    else:
        yield from (spoken[start : start + words] for start in range(len(spoken) - words + 1))


def _drop(problem: Problem, reason: str, match: Problem) -> Drop:
    return Drop(problem_id=problem.id, question=problem.question, reason=reason, match_id=match.id, match=match.question)
