"""When to stop drawing: rules that read the draws of one problem in index order and need no model, so that they can be simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data.metrics.answers import Vote, leaders_of, weights_of
from data.voting import Esc


class Stop(NamedTuple):
    """Where a rule ends."""

    draws: int
    """How many are used."""
    leaders: set[str]
    """The answers that come out: one, several that tie, or none."""


def stop(rule: Esc | None, votes: Sequence[Vote]) -> Stop:
    """Apply a rule to the draws of a problem, at most all of them; None: use all.

    A window that stops answers by itself, as in ESC's code; without one, all draws vote. A draw without an answer forbids its window to
    stop, and so does a last window that is not full.
    """
    if rule is not None:
        for end in range(rule.window, len(votes) + 1, rule.window):
            window = votes[end - rule.window : end]
            if _agree(rule, window):
                return Stop(end, leaders_of(window))
    return Stop(len(votes), leaders_of(votes))


def _agree(rule: Esc, window: Sequence[Vote]) -> bool:
    if any(vote.answer is None for vote in window):
        return False
    weights = weights_of(window).values()
    return bool(weights) and max(weights) >= rule.agreement * sum(weights)
