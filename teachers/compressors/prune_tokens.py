"""Prune: the least informative words, numbers and symbols protected (TokenSkip, arXiv 2502.12067; protection: arXiv 2606.21704).

Importance of a word, by setting: the mean negative log-likelihood of its tokens for the teacher (self-information), their mean entropy,
or the probability with which LLMLingua-2 (arXiv 2403.12968) keeps it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import PruneTokensSettings

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: a character is a word."""
WORD = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)|\s+\Z")
EDGES = re.compile(r"\A[\s\"'“”‘’(\[]+|[\s\"'“”‘’)\].,;:!?。，；：！？、]+\Z")
PLAIN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")


@dataclass(frozen=True)
class PruneTokens:
    """Leaves words out of the first right draw's thinking, the least important first; of equals the later."""

    desk: Desk
    settings: PruneTokensSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace, as long as the budget allows. Skipped where the protected words alone are over it."""
        kept = dict(enumerate(words(split(traces[0].text).thinking)))
        importance = self._importance(traces[0], list(kept.values()))
        removable = sorted((index for index in kept if not is_protected(kept[index])), key=lambda index: (importance[index], -index))
        count = self._fewest(kept, removable, budget)
        for index in removable[:count]:
            del kept[index]
        return [self.desk.write(traces[:1], "".join(kept.values()).strip(), budget=budget)]

    def _fewest(self, kept: dict[int, str], removable: Sequence[int], budget: int | None) -> int:
        """How many words must go, found by halving: a word less is never more tokens than a word more, but for a rare merge."""
        if budget is None:
            return 0

        def fits(count: int) -> bool:
            gone = set(removable[:count])
            return self.desk.tokens("".join(word for index, word in kept.items() if index not in gone).strip()) <= budget

        if not fits(len(removable)):
            raise Skipped("protected words are over the budget")
        low, high = 0, len(removable)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle + 1, high)
        return low

    def _importance(self, trace: Trace, found: Sequence[str]) -> Sequence[float]:
        if self.settings.model is not None:
            return self.desk.evidence.words[self.settings.model][trace.id]
        scores = self.desk.evidence.tokens[trace.id]
        return word_scores(found, scores.begins, scores.entropy if self.settings.by == "entropy" else scores.nll)


def words(text: str) -> list[str]:
    """The words of a text, each with the space before it; joined they are the text again."""
    return [found[0] for found in WORD.finditer(text)]


def is_protected(word: str) -> bool:
    """Whether a word holds anything but letters: numbers, operators, symbols and LaTeX are never left out."""
    bare = EDGES.sub("", word)
    return bool(bare.strip()) and PLAIN.fullmatch(bare) is None


def word_scores(found: Sequence[str], begins: Sequence[int], scores: Sequence[float]) -> list[float]:
    """The mean score of each word's tokens; a token belongs to the word in which it begins."""
    ends = list(accumulate(map(len, found)))
    of_word: list[list[float]] = [[] for _ in found]
    for begin, score in zip(begins, scores, strict=True):
        of_word[min(bisect_right(ends, begin), len(found) - 1)].append(score)
    return [fmean(own) if own else 0.0 for own in of_word]


def protected(text: str) -> Iterator[str]:
    """The protected words of a text in order, without space."""
    return (word.strip() for word in words(text) if is_protected(word))
