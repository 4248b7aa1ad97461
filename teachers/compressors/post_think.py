"""Post-think: what the teacher writes after its thinking becomes the thinking (Wadhawan et al., ACL 2026)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from data.statement import split_answer
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import PostThinkSettings


@dataclass(frozen=True)
class PostThink:
    """Takes the first right draw's solution, its final statement set apart."""

    desk: Desk
    settings: PostThinkSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace. Skipped where the answer text holds nothing but the final statement."""
        parts = split_answer(split(traces[0].text).answer, problem.reference)
        if parts is None:
            raise Skipped("no final statement")
        if not parts.before:
            raise Skipped("no text between the thinking and the final statement")
        return [self.desk.write(problem, traces[:1], parts.before, budget=budget)]
