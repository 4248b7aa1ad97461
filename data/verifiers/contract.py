"""The contract of a verifier: a module with `NAME`, `VERSION`, `INLINE`, `judge(reference, answer_text)` and `gold_text(reference)`.

The verifier gets the text after the thinking and nothing else. It never guesses: without an explicit statement the outcome is unparsed.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from data.records import Outcome
from data.verifiers.statements import Statement

MAX_ANSWER_CHARACTERS = 20_000
"""Of a longer answer only the end is read: the last statement wins, and the work stays bounded."""


class Judgement(NamedTuple):
    """What a verifier says: the outcome, the answer that it read (None: none), and why."""

    outcome: Outcome
    extracted: str | None
    detail: str


class Limits(NamedTuple):
    """What a verifier that needs a process may do there; `prepare(limits)`, where its module has that, is told, and may
    answer with a remark for the user.
    """

    timeout_seconds: float = 5.0
    allow_unsandboxed: bool = False
    """Whether foreign programs may run where the kernel allows no sandbox."""


class Verifier(Protocol):
    """What a verifier's module holds."""

    NAME: str
    """The kind of the references that it judges."""
    VERSION: str
    INLINE: bool
    """Whether it is pure and takes linear time, so that it needs no process that can be killed."""
    __name__: str

    def judge(self, reference: Any, answer_text: str) -> Judgement:
        """Judge the text after the thinking."""

    def statements(self, reference: Any, answer_text: str) -> list[Statement]:
        """The final statements of an answer: those that `judge` reads."""

    def gold_text(self, reference: Any) -> str:
        """The gold answer as a writer would state it: what the gold check judges."""
