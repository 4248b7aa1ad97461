"""Fuse: what the right draws of a problem agree on becomes one trace (fine-grained self-consistency, arXiv 2407.02056, as a compressor).

Draws unlike the others are left out, of the rest the most different ones are kept as medoids, and a model fuses those. The paper names
neither its similarity nor its thresholds; here similarity is the overlap of words (Jaccard), and medoids are chosen farthest first from
the draw that is most like all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors import asking
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import FuseSettings
from teachers.engine import Request

WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Fuse:
    """Has the agreeing right draws of a problem fused; the one most like the others comes first and lends its final statement."""

    desk: Desk
    settings: FuseSettings

    def requests(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Request]:
        """The same prompt for every draw."""
        return self._asked(problem, self._parents(traces), budget)

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace with all that were fused as its parents. Skipped where fewer than two different draws agree."""
        parents = self._parents(traces)
        return [asking.first_sound(self.desk, problem, parents, self._asked(problem, parents, budget), budget=budget)]

    def _asked(self, problem: Problem, parents: Sequence[Trace], budget: int | None) -> list[Request]:
        workings = [split(parent.text).thinking for parent in parents]
        longest = max(map(self.desk.tokens, workings))
        tokens = longest if budget is None else min(budget, longest)
        listed = "\n\n".join(f"Working {number}: {working}" for number, working in enumerate(workings, 1))
        return asking.requests(self.desk, self.settings, {"{tokens}": str(tokens), "{question}": problem.question, "{workings}": listed})

    def _parents(self, traces: Sequence[Trace]) -> list[Trace]:
        different = list({split(trace.text).thinking: trace for trace in reversed(traces) if split(trace.text).thinking}.values())[::-1]
        agreeing = most_alike(different, self.settings.agreeing)
        if len(agreeing) < 2:
            raise Skipped("fewer than two different right draws")
        return medoids(agreeing, self.settings.candidates)


def most_alike(traces: Sequence[Trace], share: float) -> list[Trace]:
    """The share of the traces that are most like the others, the most alike first; ties by draw."""
    words = [_words(trace) for trace in traces]
    likeness = [fmean([_overlap(own, other) for other in words if other is not own] or [0.0]) for own in words]
    ranked = sorted(range(len(traces)), key=lambda index: (-likeness[index], traces[index].draw))
    return [traces[index] for index in ranked[: ceil(share * len(ranked))]]


def medoids(ranked: Sequence[Trace], count: int) -> list[Trace]:
    """At most `count` of the traces: the first, then each time the one least like those chosen."""
    chosen, left = list(ranked[:1]), list(ranked[1:])
    while left and len(chosen) < count:
        farthest = min(left, key=lambda trace: (max(_overlap(_words(trace), _words(other)) for other in chosen), trace.draw))
        left.remove(farthest)
        chosen.append(farthest)
    return chosen


def _words(trace: Trace) -> frozenset[str]:
    return frozenset(WORD.findall(split(trace.text).thinking.lower()))


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0
