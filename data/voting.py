"""Settings of how the draws of a problem vote on its answer: plainly, or weighted by a ranker's score; of all draws, or stopped early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from data.records import Section
from data.stop_settings import Esc, VoteStop

Weight = Literal["1", "1+2s", "1+s", "s"]
"""How a draw counts whose chance to be right is s, as the ranker says (the four of ASC's code)."""


class Majority(Section):
    """Every draw counts the same (self-consistency, arXiv 2203.11171)."""

    kind: Literal["majority"]
    stop: VoteStop | None = None
    """Stop early; null: all draws vote."""


class Asc(Section):
    """A draw counts by how right a ranker finds it (adaptive self-consistency, arXiv 2312.12832, section 3.4)."""

    kind: Literal["asc"]
    ranker: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """A student with objective `asc`. Its scores are calibrated on the validation problems' draws, for every student by itself."""
    weight: Weight = "1+s"
    stop: Esc | None = None


Voting = Annotated[Majority | Asc, Field(discriminator="kind")]
PLAIN = "majority"
"""What the plain vote of all draws is called; no other way of counting has this name."""
