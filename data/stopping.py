"""When to stop drawing: rules that read the draws of one problem in index order and need no model, so that they can be simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from data.metrics.answers import Vote, leaders_of, weights_of
from data.records import Section


class Esc(Section):
    """Draw window by window, and stop at the first whose draws agree (ESC, arXiv 2401.10480)."""

    kind: Literal["esc"] = "esc"
    window: int = Field(5, ge=2)
    """Draws that are begun together."""
    agreement: float = Field(1.0, gt=0.5, le=1)
    """Share of a window's weight that its leading answer must have. 1 is unanimity, as published; below it, a draw that hardly counts
    does not forbid stopping."""


class Stop(NamedTuple):
    """Where a rule ends."""

    draws: int
    """How many are used."""
    leaders: set[str]
    """The answers that come out: one, several that tie, or none."""
    early: bool


def stop(rule: Esc | None, votes: Sequence[Vote]) -> Stop:
    """Apply a rule to the draws of a problem, at most all of them; None: use all.

    A window that stops answers by itself, as in ESC's code; without one, all draws vote. A draw without an answer forbids its window to
    stop, and so does a last window that is not full.
    """
    if rule is not None:
        for end in range(rule.window, len(votes) + 1, rule.window):
            window = votes[end - rule.window : end]
            if _agree(rule, window):
                return Stop(end, leaders_of(window), early=end < len(votes))
    return Stop(len(votes), leaders_of(votes), early=False)


def _agree(rule: Esc, window: Sequence[Vote]) -> bool:
    if any(vote.answer is None for vote in window):
        return False
    weights = weights_of(window).values()
    return bool(weights) and max(weights) >= rule.agreement * sum(weights)
