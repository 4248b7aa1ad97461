"""Select: the shortest right draw (shortest-correct rejection sampling, arXiv 2501.12599 and 2502.20122)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from teachers.compressors.contract import Desk, Skipped


@dataclass(frozen=True)
class Shortest:
    """Keeps the draw whose thinking and final statement, which is what a student is taught, have the fewest tokens."""

    desk: Desk

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace; the earlier of two equally short draws. Draws that cannot be taught are passed over."""
        written, reasons = list[Trace](), list[str]()
        for trace in traces:
            try:
                written.append(self.desk.write([trace], split(trace.text).thinking, budget=budget))
            except Skipped as skipped:
                reasons.append(str(skipped))
        if not written:
            raise Skipped(reasons[0])
        return [min(written, key=lambda trace: (trace.completion_tokens, trace.draw))]
