"""The contract of every compressor, and the one place where a short trace is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from data.chat import completion_ids, join, split, text_ids, tokenizer_hash
from data.difficulty import Difficulty
from data.errors import TextFormatError
from data.records import Problem, Status, Trace
from data.statement import final_statement

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from teachers.compressors.settings import TokenCriterion
    from teachers.engine import Completion, Request
    from teachers.scores import StepScores, TokenScores


class Skipped(Exception):  # noqa: N818 - a signal with a reason that is counted, not an error
    """A compressor cannot shorten the traces of this problem; the argument says why."""


class Compressor(Protocol):
    """Shortens the traces of one problem: the teacher's right draws, or what another compressor made of them (`of`)."""

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """Short traces made of `traces` (at least one, in draw order); their thinking has at most `budget` tokens (None: no bound).

        The same traces give the same result. Raises Skipped where it cannot be done.
        """


@runtime_checkable
class Asking(Compressor, Protocol):
    """A compressor that has a model write: it is asked for its requests first and compresses when they are answered."""

    def requests(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Request]:
        """What a model must answer before `compress` is called with the same arguments."""


@dataclass(frozen=True)
class Evidence:
    """What was found out beforehand for all problems at once; scores are those of each problem's first trace."""

    difficulties: Mapping[str, Difficulty] = field(default_factory=dict)
    """Problem id → how hard it is for the teacher."""
    tokens: Mapping[str, TokenScores] = field(default_factory=dict)
    """Trace id → what the teacher's probabilities say of its tokens."""
    blind: Mapping[str, TokenScores] = field(default_factory=dict)
    """The same where the teacher does not see the question."""
    steps: Mapping[str, StepScores] = field(default_factory=dict)
    """Trace id → how much its steps matter for the teacher's answer."""
    answers: Mapping[Request, Completion] = field(default_factory=dict)
    """What was asked of a model → what it wrote."""
    words: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """Classifier → trace id → with which probability it keeps each word."""

    def importance(self, trace: Trace, parts: Sequence[str], *, by: TokenCriterion) -> list[float]:
        """Of each part of a trace's thinking (all of them in order) the mean over its tokens of what is chosen by, in nats."""
        if by in ("nll", "entropy"):
            return self.tokens[trace.id].means(parts, by=by)
        blind = self.blind[trace.id].means(parts, by="nll")
        if by == "blind":
            return blind
        return [without - seen for without, seen in zip(blind, self.tokens[trace.id].means(parts, by="nll"), strict=True)]


@dataclass(frozen=True)
class Desk:
    """What a compressor writes with: its name in the params, the hash of its settings, the tokenizer that counts, and what is known."""

    writer: str
    settings_id: str
    tokenizer: PreTrainedTokenizerBase
    evidence: Evidence

    @cached_property
    def tokenizer_hash(self) -> str:
        """How traces name the tokenizer; it reads the whole vocabulary, so once."""
        return tokenizer_hash(self.tokenizer)

    def tokens(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(text_ids(self.tokenizer, text))

    def write(self, problem: Problem, parents: Sequence[Trace], thinking: str, *, budget: int | None) -> Trace:
        """The short trace of `thinking` and the first parent's final statement.

        Raises Skipped where that parent has no final statement, where the text would be longer than every parent or than the budget,
        and where a think tag lies inside of the text.
        """
        statement = final_statement(split(parents[0].text).answer, problem.reference)
        if statement is None:
            raise Skipped("no final statement")
        try:
            text = join(thinking, statement)
        except TextFormatError:
            raise Skipped("think tag inside of the text") from None
        if self.tokens(text) > max(self.tokens(parent.text) for parent in parents):
            raise Skipped("longer than its parents")
        if budget is not None and self.tokens(split(text).thinking) > budget:
            raise Skipped("over the budget")
        return self._trace(parents, text)

    def _trace(self, parents: Sequence[Trace], text: str) -> Trace:
        return Trace.create(
            problem_id=parents[0].problem_id,
            parent_ids=tuple(parent.id for parent in parents),
            writer=self.writer,
            settings_id=self.settings_id,
            draw=parents[0].draw,
            text=text,
            status=Status.OK,
            prompt_tokens=parents[0].prompt_tokens,
            completion_tokens=len(completion_ids(self.tokenizer, text)),
            tokenizer=self.tokenizer_hash,
        )
