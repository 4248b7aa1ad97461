"""Wrong traces that students learn from: which ones, why each is wrong, and what text stands for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from data.records import Outcome, Reference, Section, Trace
from data.statement import lesson_text


class Flaw(StrEnum):
    """Why a trace is a negative."""

    WRONG = "wrong"
    """Its answer is wrong."""
    CONTRADICTORY = "contradictory"
    """Its answer is wrong, and its thinking states the right one."""
    UNPARSED = "unparsed"
    """It ends without an answer."""
    TRUNCATED = "truncated"
    """It was cut at its token limit; it teaches no end."""


USUAL = (Flaw.WRONG, Flaw.CONTRADICTORY, Flaw.UNPARSED)
"""Truncated ones are negatives only when asked for: what is wrong with them may be the limit alone."""
FLAWS = {Outcome.WRONG: Flaw.WRONG, Outcome.UNPARSED: Flaw.UNPARSED, Outcome.TRUNCATED: Flaw.TRUNCATED}
"""What a verifier says → the flaw. Timeouts and errors say nothing of a trace."""
Choice = Literal["first", "shortest", "longest"]


class Negatives(Section):
    """Which wrong traces a student learns from."""

    of: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "teacher"
    """Their writer."""
    flaws: tuple[Flaw, ...] = USUAL
    per_problem: int = Field(1, ge=1)
    """At most so many of one problem, so that hard problems do not outweigh the others."""
    choose: Choice = "first"
    """Which of a problem's wrong traces come first: in draw order, or by length."""
    problems: Literal["shared", "all"] = "shared"
    """Of the problems that all students share, or of all training problems, those that the teacher never solved included."""
    tag: str | None = None
    """What stands behind the question of their rows (NAT-prefix, arXiv 2402.11651)."""


class Negative(NamedTuple):
    """A wrong trace, and the text that stands for it."""

    trace: Trace
    flaw: Flaw
    text: str

    @property
    def tokens(self) -> float:
        """About how many tokens its text has."""
        return tokens_of(self.text, self.trace)

    @property
    def ends(self) -> bool:
        """Whether its text came to its own end."""
        return self.flaw is not Flaw.TRUNCATED


def tokens_of(text: str, trace: Trace) -> float:
    """About how many tokens a text has that was cut out of a trace: the trace's own count, by the share of its characters."""
    return trace.completion_tokens * len(text) / max(1, len(trace.text))


def negative(trace: Trace, outcome: Outcome, reference: Reference, *, thought_right: bool = False) -> Negative | None:
    """The negative that a trace makes; None for a right one and for one that no verdict was reached on.

    `thought_right` says that its thinking states the right answer. As in every lesson, the text after the thinking is the final
    statement alone; what has none stands as it was written.
    """
    flaw = FLAWS.get(outcome)
    if flaw is None:
        return None
    if flaw is Flaw.WRONG and thought_right:
        flaw = Flaw.CONTRADICTORY
    text = trace.text if flaw is Flaw.TRUNCATED else lesson_text(trace, reference) or trace.text
    return Negative(trace, flaw, text)


def choose(settings: Negatives, candidates: Iterable[Negative]) -> list[Negative]:
    """Of one problem's negatives in draw order those that are learnt from; equal texts count once."""
    fitting = unique(candidate for candidate in candidates if candidate.flaw in settings.flaws)
    return ordered(fitting, settings.choose)[: settings.per_problem]


def ordered(negatives: Sequence[Negative], by: Choice) -> list[Negative]:
    """In draw order, or by length with ties in draw order."""
    if by == "first":
        return list(negatives)
    sign = 1 if by == "shortest" else -1
    return sorted(negatives, key=lambda found: sign * found.tokens)


def unique(negatives: Iterable[Negative]) -> list[Negative]:
    """The first of those with equal texts."""
    found: dict[str, Negative] = {}
    for one in negatives:
        found.setdefault(one.text, one)
    return list(found.values())
