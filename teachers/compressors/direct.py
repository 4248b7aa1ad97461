"""No thinking at all: the final statement alone, the control that says what a short thinking is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.records import Problem, Trace
from teachers.compressors.contract import Desk
from teachers.compressors.settings import DirectSettings


@dataclass(frozen=True)
class Direct:
    """Keeps nothing of the first trace's thinking."""

    desk: Desk
    settings: DirectSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace with an empty thinking."""
        return [self.desk.write(problem, traces[:1], "", budget=budget)]
