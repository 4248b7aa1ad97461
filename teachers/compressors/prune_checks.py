"""Prune: the steps that only check, as a class (verification pruning of Prune-on-Logic, arXiv 2505.14582; contested by 2606.21704)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.chat import split
from data.records import Problem, Trace
from data.steps import unchecked
from teachers.compressors.contract import Desk
from teachers.compressors.settings import PruneChecksSettings


@dataclass(frozen=True)
class PruneChecks:
    """Leaves out of the first right draw's thinking every check that finds nothing wrong."""

    desk: Desk
    settings: PruneChecksSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace; the same text where nothing is checked."""
        thinking = split(traces[0].text).thinking
        return [self.desk.write(traces[:1], "".join(thinking[index] for index in unchecked(thinking)).rstrip(), budget=budget)]
