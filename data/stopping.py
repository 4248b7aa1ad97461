"""When to stop drawing: rules that read the draws of one problem in index order and need no model, so that they can be simulated.

A rule never reads draws in the order of their arrival: short answers arrive first, and stopping on them would shorten what is kept and
lift the rate of right ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import comb, fsum
from typing import NamedTuple, Self

from data.records import Outcome
from data.stop_settings import AdaptiveConsistency, Enough, Esc, StopRule

AGREED, CERTAIN, ENOUGH, MOST = "a window agreed", "the leading answer is certain", "enough right and wrong", "the most draws"
"""Why a rule stopped."""
IMPORTED = "imported"
"""Why a problem has no more draws than its file holds."""


def described(rule: StopRule | None, most: int) -> str:
    """A rule and the most draws in words, such as "enough: right 1, wrong 1; at most 8"."""
    own = "" if rule is None else f"{rule.kind}: {', '.join(f'{k} {v:g}' for k, v in rule.model_dump(exclude={'kind'}).items())}; "
    return f"{own}at most {most}"


class Vote(NamedTuple):
    """What one draw says: its extracted answer (None does not vote), whether that is right, and how much it counts."""

    answer: str | None
    right: bool
    weight: float = 1.0

    @classmethod
    def of(cls, outcome: Outcome, extracted: str | None, weight: float = 1.0) -> Self:
        """What a judged draw says."""
        return cls(extracted if outcome.votes else None, outcome is Outcome.RIGHT, weight)


class Decision(NamedTuple):
    """What a rule says of the first draws of a problem."""

    more: int
    """So many further draws are needed, whatever they say: none of them is begun in vain. 0: stop."""
    reason: str = ""
    """Why no more are."""


class Stop(NamedTuple):
    """Where a rule ends."""

    draws: int
    """How many are used."""
    leaders: set[str]
    """The answers that come out: one, several that tie, or none."""
    reason: str


def weights_of(votes: Sequence[Vote]) -> Mapping[str, float]:
    """The weight of every answer that has any, the same for any order of votes."""
    found: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        if vote.answer is not None and vote.weight > 0:
            found[vote.answer].append(vote.weight)
    return {answer: fsum(weights) for answer, weights in found.items()}


def leaders_of(votes: Sequence[Vote]) -> set[str]:
    """The answers of most weight; none where nobody votes."""
    weights = weights_of(votes)
    return {answer for answer, weight in weights.items() if weight == max(weights.values())}


def decide(rule: StopRule | None, votes: Sequence[Vote], *, most: int, first: int = 0) -> Decision:
    """What a rule says once the first `len(votes)` of at most `most` draws are known; None: draw all. It stops at no fewer than `first`."""
    left = most - len(votes)
    match rule:
        case None:
            found = Decision(left)
        case Esc():
            found = _esc(rule, votes)
        case AdaptiveConsistency():
            found = _adaptive_consistency(rule, votes)
        case Enough():
            found = _enough(rule, votes)
    missing = first - len(votes)
    if found.reason and missing <= 0:
        return found
    return Decision(min(max(found.more, missing), left)) if left > 0 else Decision(0, MOST)


def stop(rule: StopRule | None, votes: Sequence[Vote]) -> Stop:
    """Apply a rule to the draws of a problem, at most all of them.

    A window that stops answers by itself, as in ESC's code; otherwise all draws up to the stop vote.
    """
    used = 0
    while (decision := decide(rule, votes[:used], most=len(votes))).more:
        used += decision.more
    voting = votes[:used] if decision.reason != AGREED or not isinstance(rule, Esc) else votes[used - rule.window : used]
    return Stop(used, leaders_of(voting), decision.reason)


def least(rule: StopRule | None, *, most: int, first: int = 0) -> int:
    """How many draws every problem gets, whatever they say."""
    return decide(rule, (), most=most, first=first).more


def _esc(rule: Esc, votes: Sequence[Vote]) -> Decision:
    """A draw without an answer forbids its window to stop, and so does a last window that is not full (its code, `-1` answers)."""
    begun = len(votes) % rule.window
    if votes and not begun and _agree(rule, votes[-rule.window :]):
        return Decision(0, AGREED)
    return Decision(rule.window - begun)


def _agree(rule: Esc, window: Sequence[Vote]) -> bool:
    if any(vote.answer is None for vote in window):
        return False
    weights = weights_of(window).values()
    return bool(weights) and max(weights) >= rule.agreement * sum(weights)


def _adaptive_consistency(rule: AdaptiveConsistency, votes: Sequence[Vote]) -> Decision:
    """Weights do not count; draws without an answer say nothing."""
    counts = sorted(weights_of([vote._replace(weight=1.0) for vote in votes]).values(), reverse=True)
    first, second = (int(count) for count in (*counts, 0, 0)[:2])
    more = 0
    while certainty(first + more, second) < rule.threshold:
        more += 1
    return Decision(more) if more else Decision(0, CERTAIN)


def certainty(first: int, second: int) -> float:
    """How sure it is that the answer with `first` votes is more likely than that with `second` (arXiv 2305.11860, Beta criterion).

    The mass above 1/2 of Beta(first + 1, second + 1), as a sum of binomials.
    """
    total = first + second + 1
    return float(sum(comb(total, count) for count in range(first + 1)) / 2**total)


def _enough(rule: Enough, votes: Sequence[Vote]) -> Decision:
    right = sum(vote.right for vote in votes)
    wrong = sum(vote.answer is not None and not vote.right for vote in votes)
    missing = max(rule.right - right, 0) + max(rule.wrong - wrong, 0)
    return Decision(missing) if missing else Decision(0, ENOUGH)
