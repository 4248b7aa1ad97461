"""Cut: the first right solution, alone or with the reflection after it (FCS and FCS+Reflection, arXiv 2412.21187)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from data.solutions import solutions
from data.steps import checks, steps
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import FirstSolutionSettings


@dataclass(frozen=True)
class FirstSolution:
    """Keeps the first trace's thinking up to the step that first concludes with the right answer.

    With `reflection` up to the second such step; where there is none, up to the end of the checks that follow the first.
    """

    desk: Desk
    settings: FirstSolutionSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace. Skipped where no step concludes with the right answer."""
        found = steps(split(traces[0].text).thinking)
        right = solutions(found, problem.reference)
        if not right:
            raise Skipped("no step concludes with the right answer")
        last = self._reflected(found, right) if self.settings.reflection else right[0]
        return [self.desk.write(problem, traces[:1], "".join(found[: last + 1]).rstrip(), budget=budget)]

    def _reflected(self, found: Sequence[str], right: Sequence[int]) -> int:
        if len(right) > 1:
            return right[1]
        is_check, last = checks(found), right[0]
        while last + 1 < len(found) and is_check[last + 1]:
            last += 1
        return last
