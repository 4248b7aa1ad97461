"""Prune: the least important steps, until what is left fits the budget.

Importance of a step, by setting: by how much the teacher is less sure of the answer without it (leave-one-out, as in
arXiv 2606.21704), or a mean over its tokens: of their entropy (step entropy, arXiv 2508.03346), or of their negative log-likelihood with
the question, without it, or the difference of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from data.steps import steps
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import PruneStepsSettings


@dataclass(frozen=True)
class PruneSteps:
    """Leaves whole steps out of the first trace's thinking, the least important first; of equals the later."""

    desk: Desk
    settings: PruneStepsSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace, as long as the budget allows. Skipped where not even one step fits."""
        thinking = split(traces[0].text).thinking
        kept = dict(enumerate(steps(thinking)))
        importance = self._importance(traces[0], list(kept.values()))
        for index in sorted(kept, key=lambda index: (importance[index], -index)):
            if budget is None or self.desk.tokens(_text(kept)) <= budget:
                break
            if len(kept) == 1:
                raise Skipped("no step fits the budget")
            del kept[index]
        return [self.desk.write(problem, traces[:1], _text(kept), budget=budget)]

    def _importance(self, trace: Trace, found: Sequence[str]) -> Sequence[float]:
        by = self.settings.by
        if by == "answer":
            return self.desk.evidence.steps[trace.id].importance
        return self.desk.evidence.importance(trace, found, by=by)


def _text(kept: dict[int, str]) -> str:
    return "".join(kept.values()).rstrip()
