"""Duplicates, and training problems that overlap with evaluation; every drop names its reason and the problem that it matches.

Overlap is a shared run of words (8 by default, as in open-r1's decontamination script); a question with fewer words is compared whole,
since a short question would otherwise pass unseen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

from data.records import ChoiceReference, Problem, Record

DEFAULT_WORDS = 8
OPTIONS = "\n\nA. "
"""Where the lettered options of a question begin."""
TOKEN = re.compile(r"(?:(?<![\w)\]}.])\.)?[0-9]+(?:[.,][0-9]+)*|[^\W0-9]+|'+|[^\w\s]")
WORD = re.compile(r"[^\W\d_]{2}")
SPEECH_MARKS = frozenset(".,;:!?\"'`“”‘’…*_")
"""What does not tell two questions apart, unless it is MEANT; operators and brackets do."""
BEFORE = r"(?:(?<=[0-9)\]}|])|(?<=(?<![^\W\d_])[^\W\d_]))"
AFTER = r"[-+−]?(?:[0-9(\[{|]|[^\W\d_](?![^\W\d_]))"
"""Ends of what is calculated with, before and after a sign: digits, brackets and single letters."""
MEANT = re.compile(
    rf"{BEFORE}!|!="  # a factorial
    rf"|{BEFORE}'+(?![^\W\d_])"  # a derivative; feet
    rf"|{BEFORE}\.(?={AFTER})"
    rf"|{BEFORE}[,;:](?=\s*{AFTER})"  # places, arguments, a ratio, a time of the day
    rf"|(?<=\s)[.:](?=\s)"
)
"""Speech marks that may be operators: where that is open, too, two questions are told apart."""
TIMES = re.compile(r"(?<=[\w)\]])\*{1,2}(?=[\w(\[])|(?<=\s)\*{1,2}(?=\s)")
"""Stars that are operators: those of Markdown have a word on one side and none on the other."""


class Drop(Record):
    """A problem that is left out, and why: the problem that it matches, or what a verifier said of its gold answer."""

    problem_id: str
    place: str = ""
    """Where the source holds it (file:line); empty for what a generator made."""
    question: str
    reason: str
    match_id: str = ""
    match_place: str = ""
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
            reason = "duplicate" if has_same_answer(problem, other) else "duplicate with another answer"
            drops.append(drop(problem, reason, other))
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
        for run in _runs(problem, mode, words):
            seen.setdefault(run, problem)
    kept: list[Problem] = []
    drops: list[Drop] = []
    for problem in train:
        match = next((seen[run] for run in _runs(problem, mode, words) if run in seen), None)
        if match is None:
            kept.append(problem)
        else:
            drops.append(drop(problem, f"overlaps with {match.split.value}", match))
    return kept, drops


def tokens(text: str) -> tuple[str, ...]:
    """Words, numbers, operators and brackets of `text`, without case, spacing and speech marks: equal tokens, equal question.

    `5!`, `f'(2)`, `3:4` and `a,b` are told from `5`, `f(2)`, `3 4` and `a b`, and `.5` is `0.5`. In a line without a word, such as a row
    of a board, every sign counts.
    """
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    spelled = TIMES.sub(lambda stars: " × " if len(stars[0]) == 1 else " ^ ", plain)
    return tuple(token for line in spelled.splitlines() for token in _of_line(line))


def spoken(found: Iterable[str]) -> tuple[str, ...]:
    """The words and numbers among tokens."""
    return tuple(token for token in found if token[0].isalnum())


def _of_line(line: str) -> list[str]:
    speaks = WORD.search(line) is not None
    found = [token for token in TOKEN.finditer(line) if not (speaks and _is_speech(token))]
    return [f"0{token[0]}" if token[0].startswith(".") and len(token[0]) > 1 else token[0] for token in found]


def _is_speech(token: re.Match[str]) -> bool:
    return SPEECH_MARKS.issuperset(token[0]) and MEANT.match(token.string, token.start()) is None


def _runs(problem: Problem, mode: str, words: int) -> Iterator[tuple[str, ...]]:
    """What is compared: all runs of `words` words in the question, its options apart; or all of a short one."""
    said = spoken(tokens(problem.question.partition(OPTIONS)[0] if isinstance(problem.reference, ChoiceReference) else problem.question))
    if mode == "exact" or len(said) < words:
        yield tokens(problem.question)
    else:
        yield from (said[start : start + words] for start in range(len(said) - words + 1))


def drop(problem: Problem, reason: str, match: Problem | None = None, *, detail: str = "") -> Drop:
    """That a problem is left out, for one that it matches or for what `detail` says."""
    own = Drop(problem_id=problem.id, place=problem.place, question=problem.question, reason=reason, detail=detail)
    matched = {"match_id": match.id, "match_place": match.place, "match": match.question} if match else {}
    return own.model_copy(update=matched)


def has_same_answer(one: Problem, other: Problem) -> bool:
    """Whether two problems have the same gold answer; of options the text counts, not the letter."""
    return _gold(one) == _gold(other)


def _gold(problem: Problem) -> object:
    reference = problem.reference
    return reference.options[ord(reference.value) - ord("A")] if isinstance(reference, ChoiceReference) else reference
