"""Rewrite: a model writes the trace again, its structure kept, as short as its difficulty allows (LS-Mixture, arXiv 2505.03469; the
budget by difficulty after LiteCoT, arXiv 2505.19716).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors import asking
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import RewriteSettings
from teachers.engine import Request


@dataclass(frozen=True)
class Rewrite:
    """Has the first trace's thinking rewritten."""

    desk: Desk
    settings: RewriteSettings

    def requests(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Request]:
        """The same prompt for every draw."""
        working = split(traces[0].text).thinking
        if not working:
            raise Skipped("nothing to rewrite")
        whole = self.desk.tokens(working)
        tokens = whole if budget is None else min(budget, whole)
        return asking.requests(self.desk, self.settings, {"{tokens}": str(tokens), "{question}": problem.question, "{working}": working})

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace: the first rewriting that fits the budget."""
        return [asking.first_sound(self.desk, problem, traces[:1], self.requests(problem, traces, budget), budget=budget)]
