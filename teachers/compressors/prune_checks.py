"""Prune: the steps that only check, as a class (verification pruning of Prune-on-Logic, arXiv 2505.14582; contested by 2606.21704)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from data.steps import checks, steps
from teachers.compressors.contract import Desk
from teachers.compressors.settings import PruneChecksSettings


@dataclass(frozen=True)
class PruneChecks:
    """Leaves out of the first trace's thinking every check that finds nothing wrong."""

    desk: Desk
    settings: PruneChecksSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace; the same text where nothing is checked."""
        return [self.desk.write(problem, traces[:1], without_checks(split(traces[0].text).thinking), budget=budget)]


def without_checks(thinking: str) -> str:
    """The text without the steps that only check, until none is left: what remains may divide otherwise."""
    found = steps(thinking)
    kept = "".join(step for step, is_check in zip(found, checks(found), strict=True) if not is_check).rstrip()
    return thinking if len(kept) >= len(thinking.rstrip()) else without_checks(kept)
