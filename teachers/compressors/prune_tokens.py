"""Prune: the least informative words, numbers and symbols protected (TokenSkip, arXiv 2502.12067; protection: arXiv 2606.21704).

Importance of a word, by setting: a mean over its tokens of the teacher's entropy, of their negative log-likelihood with the question
(nll) or without it (blind: self-information as in Selective Context, arXiv 2310.06201), or of how much the question lowers it (contrast:
LongLLMLingua, arXiv 2310.06839); or the probability with which LLMLingua-2 (arXiv 2403.12968) keeps the word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import PruneTokensSettings

UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: a character is a word."""
STOP = r"[.!?]+(?=\s|\Z)|[。！？]+"
WORD = re.compile(rf"\s*(?:[{UNSPACED}]|{STOP}|[^\s{UNSPACED}]+?(?={STOP}|[\s{UNSPACED}]|\Z))|\s+\Z")
END = re.compile(rf"\s*(?:{STOP})")
EDGES = re.compile(r"\A[\s\"'“”‘’(\[]+|[\s\"'“”‘’)\].,;:!?。，；：！？、]+\Z")
HANGING = re.compile(r"(?<=\w)[,;:，；：、]\Z")
PLAIN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")


@dataclass(frozen=True)
class PruneTokens:
    """Leaves words out of the first trace's thinking, the least important first; of equals the later."""

    desk: Desk
    settings: PruneTokensSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace, as long as the budget allows. Skipped where the protected words alone are over it."""
        found = words(split(traces[0].text).thinking)
        importance = self._importance(traces[0], found)
        free = (index for index, word in enumerate(found) if not is_protected(word) and not END.fullmatch(word))
        removable = sorted(free, key=lambda index: (importance[index], -index))
        below = 0 if self.settings.floor is None else sum(importance[index] < self.settings.floor for index in removable)
        gone = set(removable[: max(below, self._fewest(found, removable, budget))])
        return [self.desk.write(problem, traces[:1], without(found, gone), budget=budget)]

    def _fewest(self, found: Sequence[str], removable: Sequence[int], budget: int | None) -> int:
        """How many words must go, found by halving: a word less is never more tokens than a word more, but for a rare merge."""
        if budget is None:
            return 0

        def fits(count: int) -> bool:
            return self.desk.tokens(without(found, set(removable[:count]))) <= budget

        if not fits(len(removable)):
            raise Skipped("protected words are over the budget")
        low, high = 0, len(removable)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle + 1, high)
        return low

    def _importance(self, trace: Trace, found: Sequence[str]) -> Sequence[float]:
        by = self.settings.by
        if by == "llmlingua2":
            return self.desk.evidence.words[str(self.settings.model)][trace.id]
        return self.desk.evidence.importance(trace, found, by=by)


def words(text: str) -> list[str]:
    """The words of a text, each with the space before it, and the ends of sentences; joined they are the text again."""
    return [found[0] for found in WORD.finditer(text)]


def without(found: Sequence[str], gone: AbstractSet[int]) -> str:
    """The words without those at the indices `gone`.

    The end of a sentence goes with its last word, so that no two sentences become one; a comma that comes to stand before it goes too.
    """
    kept: list[str] = []
    is_left = is_lost = False
    for index, word in enumerate(found):
        if END.fullmatch(word):
            if is_lost and is_left:
                kept[-1] = HANGING.sub("", kept[-1])
            if is_left or not is_lost:
                kept.append(word)
            is_left = is_lost = False
        elif index in gone:
            is_lost = True
        else:
            kept.append(word)
            is_left = True
    return "".join(kept).strip()


def is_protected(word: str) -> bool:
    """Whether a word holds anything but letters: numbers, operators, symbols and LaTeX are never left out."""
    bare = EDGES.sub("", word)
    return bool(bare.strip()) and PLAIN.fullmatch(bare) is None
