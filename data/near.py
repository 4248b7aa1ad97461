"""Near-duplicates: questions of nearly the same words with the same numbers in the same order.

Two questions that differ in a number, an operator or a bracket, or in their order, are two problems, however alike their words are;
"3" and "three" are one number. MinHash (datasketch) finds candidates, each of which is then compared exactly: the pairs of neighbouring
words that both hold over those that either holds; at 0.8, one word of 19 may be another. In a question of few words every word decides:
one of fewer than 8 is near no other, and data.dedup finds its equals.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from data.dedup import DEFAULT_WORDS, Drop, drop, has_same_answer, spoken, tokens
from data.records import Problem

PERMUTATIONS = 64
MISSED = 0.001
"""Share of the pairs at the threshold that may pass unseen; of more similar ones it is less."""
HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=\w)|(?<=\w)-(?=[^\W\d_]{2})")
SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
DIGITS = {word: str(number) for number, word in enumerate(SMALL)} | {word: str(10 * tens) for tens, word in enumerate(TENS, start=2)}
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth",
    "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth", "thirtieth", "fortieth", "fiftieth",
    "sixtieth", "seventieth", "eightieth", "ninetieth", "hundredth", "thousandth", "millionth",
)  # fmt: skip
AMOUNTS = ("half", "quarter", "pair", "score", "dozen", "gross", "thousand", "million", "billion", "trillion", "double", "triple")
DIRECTIONS = (
    "more", "less", "fewer", "most", "least", "plus", "minus", "times", "greater", "smaller", "larger", "higher", "lower", "above", "below",
    "increase", "increased", "increasing", "decrease", "decreased", "decreasing",
)  # fmt: skip
QUANTITIES = frozenset(
    {*ORDINALS, *AMOUNTS, *DIRECTIONS, *(f"{word}s" for word in (*ORDINALS, *AMOUNTS, "increase", "decrease"))}
    | {"halves", "halved", "doubled", "tripled", "quadruple", "quadrupled", "once", "twice", "thrice"}
)
"""Words that count like numbers, or say which way."""
GROUPING = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
"""A comma within a number that is no decimal one."""


def without_near(problems: Iterable[Problem], *, threshold: float, against: Iterable[Problem] = ()) -> tuple[list[Problem], list[Drop]]:
    """The problems that are no near-duplicate of one of `against`, nor of one that is kept before them."""
    index = _Index(threshold)
    for other, sketch in _sketches(against):
        index.add(other, sketch)
    kept: list[Problem] = []
    drops: list[Drop] = []
    for problem, sketch in _sketches(problems):
        match = index.nearest(problem, sketch)
        if match is None:
            index.add(problem, sketch)
            kept.append(problem)
        else:
            similar, other = match
            reason = f"near-duplicate of {other.split.value}" + ("" if has_same_answer(problem, other) else " with another answer")
            drops.append(drop(problem, reason, other, detail=f"similarity {similar:.2f}"))
    return kept, drops


def words(question: str) -> list[str]:
    """The tokens of a question, numbers in digits."""
    return [DIGITS.get(token, GROUPING.sub("", token)) for token in tokens(HYPHEN.sub(" ", question))]


def marks(found: Iterable[str]) -> list[str]:
    """What must be equal among `words`: numbers, operators and brackets, in their order."""
    return [word for word in found if not word[0].isalpha() or word in QUANTITIES]


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """Jaccard similarity of two lists of words by pairs of neighbours; 0 where marks differ or words are few."""
    if marks(one) != marks(other) or min(len(spoken(one)), len(spoken(other))) < DEFAULT_WORDS:
        return 0.0
    first, second = set(_pairs(one)), set(_pairs(other))
    return len(first & second) / len(first | second)


def _pairs(found: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Neighbours, and the word itself where it is alone."""
    return pairwise(found) if len(found) > 1 else iter([tuple(found)])


def _sketches(problems: Iterable[Problem]) -> Iterator[tuple[Problem, Any]]:
    """Each problem with its MinHash."""
    from datasketch import MinHash

    listed = list(problems)
    hashed = (_hashes(words(problem.question)) for problem in listed)
    yield from zip(listed, MinHash.generator(hashed, num_perm=PERMUTATIONS, hashfunc=int), strict=True)


def _hashes(found: list[str]) -> list[int]:
    """One per pair of neighbours; with other marks all are others, so that templates filled with other numbers are never compared."""
    start = zlib.crc32(" ".join(marks(found)).encode())
    return [zlib.crc32(" ".join(pair).encode(), start) for pair in _pairs(found)]


def _bands(threshold: float) -> tuple[int, int]:
    """Bands and rows of the buckets: as many rows as miss few enough pairs, since more rows mean fewer comparisons in vain."""
    rows = max(rows for rows in range(1, PERMUTATIONS // 2 + 1) if rows == 1 or (1 - threshold**rows) ** (PERMUTATIONS // rows) <= MISSED)
    return PERMUTATIONS // rows, rows


class _Index:
    """Problems by the buckets of their sketches."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        self._buckets = MinHashLSH(num_perm=PERMUTATIONS, params=_bands(threshold))
        self._problems: list[Problem] = []

    def add(self, problem: Problem, sketch: Any) -> None:
        self._buckets.insert(len(self._problems), sketch, check_duplication=False)
        self._problems.append(problem)

    def nearest(self, problem: Problem, sketch: Any) -> tuple[float, Problem] | None:
        """The most similar problem from the threshold on, of equal ones the first; and how similar it is."""
        own = words(problem.question)
        best: tuple[float, Problem] | None = None
        for place in sorted(self._buckets.query(sketch)):
            other = words(self._problems[place].question)
            found = similarity(own, other)
            if found >= self._threshold and (best is None or found > best[0]):
                best = found, self._problems[place]
        return best
