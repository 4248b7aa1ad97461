"""Settings of when to stop drawing answers to one problem; what they do is in data/stopping.py."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.records import Section


class Esc(Section):
    """Draw window by window, and stop at the first whose draws agree (ESC, arXiv 2401.10480)."""

    kind: Literal["esc"] = "esc"
    window: int = Field(5, ge=2)
    """Draws that are begun together."""
    agreement: float = Field(1.0, gt=0.5, le=1)
    """Share of a window's weight that its leading answer must have. 1 is unanimity, as published; below it, a draw that hardly counts
    does not forbid stopping."""


class AdaptiveConsistency(Section):
    """Stop once the leading answer is almost surely more likely than the second (arXiv 2305.11860, Beta criterion)."""

    kind: Literal["adaptive_consistency"] = "adaptive_consistency"
    threshold: float = Field(0.95, gt=0.5, lt=1)
    """How sure."""


class Enough(Section):
    """Stop at so many right and so many wrong draws: what distillation needs of a problem."""

    kind: Literal["enough"] = "enough"
    right: int = Field(1, ge=0)
    wrong: int = Field(0, ge=0)
    """Draws with an answer that is not the right one; drawing for these ends at the most draws where a problem is too easy."""

    @model_validator(mode="after")
    def _asks_for_some(self) -> Self:
        if not self.right + self.wrong:
            raise ValueError("enough of nothing: give `right`, `wrong`, or both")
        return self


StopRule = Annotated[Esc | AdaptiveConsistency | Enough, Field(discriminator="kind")]
"""When to stop before the most draws."""
VoteStop = Annotated[Esc | AdaptiveConsistency, Field(discriminator="kind")]
"""Rules that do not know which answer is right."""
