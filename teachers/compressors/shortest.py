"""Select: the shortest right draw (shortest-correct rejection sampling, arXiv 2501.12599 and 2502.20122), or another by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import ByDifficulty, ShortestSettings


@dataclass(frozen=True)
class Shortest:
    """Keeps the draw whose thinking and final statement, which is what a student is taught, have the fewest tokens.

    `rank` takes a longer one instead, for each band of difficulty by itself if asked to: the shortest of everything hurts hard problems
    (DAST, arXiv 2503.04472).
    """

    desk: Desk
    settings: ShortestSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace; the earlier of two equally short draws. Draws that cannot be taught, or are over the budget, are passed over."""
        written, reasons = list[Trace](), list[str]()
        for trace in traces:
            try:
                written.append(self.desk.write(problem, [trace], split(trace.text).thinking, budget=budget))
            except Skipped as skipped:
                reasons.append(str(skipped))
        if not written:
            raise Skipped(reasons[0])
        by_length = sorted(written, key=lambda trace: (trace.completion_tokens, trace.draw))
        return [by_length[round(self._rank(problem) * (len(by_length) - 1))]]

    def _rank(self, problem: Problem) -> float:
        rank = self.settings.rank
        return rank.of(self.desk.evidence.difficulties[problem.id]) if isinstance(rank, ByDifficulty) else rank
