"""What a teacher's draws cost, and what stopping early saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from data.records import Drawn


class Cost(NamedTuple):
    """Draws, and their tokens. Prompts are counted with every draw; an engine that keeps prefixes computes fewer."""

    draws: int
    completion_tokens: int
    prompt_tokens: int


class Spending(NamedTuple):
    """What was spent on all problems."""

    problems: int
    spent: Cost
    saved: Cost
    """Against the most draws of every problem; a draw that was not made counts as many tokens as the mean of its problem's draws."""
    reasons: Counter[str]
    """Why a rule stopped → problems."""


def spending(rows: Iterable[Drawn], *, most: int | None) -> Spending:
    """Sum up what problems got, of at most `most` draws (None: nothing could be saved)."""
    drawn = list(rows)
    spent = Cost(
        sum(row.draws for row in drawn), sum(row.completion_tokens for row in drawn), sum(row.draws * row.prompt_tokens for row in drawn)
    )
    left = [(max((most or 0) - row.draws, 0), row) for row in drawn]
    saved = Cost(
        sum(number for number, _ in left),
        round(sum(number * row.completion_tokens / row.draws for number, row in left if row.draws)),
        sum(number * row.prompt_tokens for number, row in left),
    )
    return Spending(len(drawn), spent, saved, Counter(row.reason for row in drawn))
