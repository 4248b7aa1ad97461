"""The contract of a verifier: `judge(reference, answer_text) -> Judgement`, in a module with `NAME` and `VERSION`.

The verifier gets the text after the thinking and nothing else. It never guesses: without an explicit statement the outcome is unparsed.
"""

from __future__ import annotations

from typing import NamedTuple

from data.records import Outcome

MAX_ANSWER_CHARACTERS = 20_000
"""Of a longer answer only the end is read: the last statement wins, and the work stays bounded."""


class Judgement(NamedTuple):
    """What a verifier says: the outcome, the answer that it read (None: none), and why."""

    outcome: Outcome
    extracted: str | None
    detail: str


class Verifier(NamedTuple):
    """Where a verifier lies. `inline` ones are pure and take linear time, so they need no process that can be killed."""

    module: str
    version: str
    inline: bool
