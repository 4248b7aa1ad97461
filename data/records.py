"""The records that flow between stages: strict, frozen, with ids derived from their content.

Problem ── Trace (long, short) ── Verdict / Recheck ── Lesson ── Score
"""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

SCHEMA_VERSION: Final = 1
TEACHER = "teacher"
CONTENT_ID = re.compile(r"[0-9a-f]{16}")
"""What `content_id` gives."""


class Split(StrEnum):
    """The part that a problem plays; the splits share no problem."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    FRESH = "fresh"


class Status(StrEnum):
    """How a completion ended: the first two are final, the others are tried again."""

    OK = "ok"
    TRUNCATED = "truncated"
    ERROR = "error"
    TIMEOUT = "timeout"

    @property
    def final(self) -> bool:
        """Whether a completion with this status is never made again."""
        return self in (Status.OK, Status.TRUNCATED)


class Outcome(StrEnum):
    """What a verifier says; never a bare bool."""

    RIGHT = "right"
    WRONG = "wrong"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def votes(self) -> bool:
        """Whether there is an answer that can vote."""
        return self in (Outcome.RIGHT, Outcome.WRONG)


class Role(StrEnum):
    """What a trace is to a student."""

    POSITIVE = "positive"
    """Taught."""
    NEGATIVE = "negative"
    """Wrong; what it teaches is the objective's affair."""
    CHOSEN = "chosen"
    """The better side of a pair."""
    REJECTED = "rejected"
    """The worse side of a pair."""
    DROPPED = "dropped"


def content_id(*parts: object) -> str:
    """16 hex digits that depend on the content of `parts` (JSON types) alone."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Record(BaseModel):
    """Strict base: unknown fields, wrong types and later changes are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION


class Section(BaseModel):
    """Strict base of settings: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberReference(Section):
    """A gold answer that is one number, written as a decimal."""

    kind: Literal["number"] = "number"
    value: str


class ExpressionReference(Section):
    """A gold answer that is a mathematical expression in LaTeX."""

    kind: Literal["math"] = "math"
    value: str


class ChoiceReference(Section):
    """A gold answer that is one of several options; these are lettered A, B, C, … in their order."""

    kind: Literal["choice"] = "choice"
    options: tuple[str, ...] = Field(min_length=2, max_length=26)
    value: str = Field(pattern="^[A-Z]$")

    @model_validator(mode="after")
    def _options_differ(self) -> Self:
        if ord(self.value) - ord("A") >= len(self.options):
            raise ValueError(f"value: {self.value!r} is beyond the {len(self.options)} options")
        plain = [" ".join(option.split()) for option in self.options]
        if not all(plain) or len(set(plain)) < len(plain):
            raise ValueError(f"options: {list(self.options)} hold an empty or a repeated one; each must be a text of its own")
        return self


class LabelReference(Section):
    """A gold answer that is one label of a set."""

    kind: Literal["label"] = "label"
    labels: dict[str, tuple[str, ...]] = Field(min_length=2)
    """Label → its further spellings, in any language; read without case."""
    value: str

    @model_validator(mode="after")
    def _value_is_a_label(self) -> Self:
        if self.value not in self.labels:
            raise ValueError(f"value: {self.value!r} is none of the labels {sorted(self.labels)}")
        return self


class ExactReference(Section):
    """A gold answer that is compared as written, but for case and spaces."""

    kind: Literal["exact"] = "exact"
    value: str = Field(min_length=1)


class CodeReference(Section):
    """A gold answer that is a program, judged by tests."""

    kind: Literal["code"] = "code"
    value: str = Field(min_length=1)
    """A program that passes, in Python; what the gold check runs."""
    tests: str = Field(min_length=1)
    """Python that runs after the candidate and raises where it is wrong."""
    preamble: str = ""
    """What the question gives, such as imports and a signature; runs before a candidate, or begins one that completes it."""
    entry_point: str | None = None
    """The function that a candidate must define."""


class GymReference(Section):
    """A gold answer that the scorer of a reasoning-gym data set judges."""

    kind: Literal["gym"] = "gym"
    dataset: str
    """The data set's name."""
    arguments: dict[str, Any] = {}
    """What it was made with; some scorers read it."""
    entry: str
    """Question and metadata of the entry as a Python literal: scorers tell tuples from lists, which JSON does not."""
    value: str = Field(min_length=1)


Reference = Annotated[
    NumberReference | ExpressionReference | ChoiceReference | LabelReference | ExactReference | CodeReference | GymReference,
    Field(discriminator="kind"),
]
"""A gold answer; its `kind` names the verifier that judges it."""


class Problem(Record):
    """A question with its gold answer."""

    id: str = Field(min_length=1)
    """Made from the content, or the source's own, which looks like none that is."""
    task: str
    split: Annotated[Split, Field(strict=False)]
    language: str
    question: str = Field(min_length=1)
    reference: Reference
    place: str = Field("", exclude=True)
    """Where a source read it (file:line), so that a user finds it; in no table, where it would change hashes."""

    @classmethod
    def create(cls, *, task: str, split: Split, question: str, reference: Reference, language: str = "en") -> Self:
        """A problem with the id of its content (the split is not part of it)."""
        problem_id = content_id("problem", task, language, question, reference.model_dump())
        return cls(id=problem_id, task=task, split=split, language=language, question=question, reference=reference)

    @model_validator(mode="after")
    def _id_is_of_the_content(self) -> Self:
        expected = content_id("problem", self.task, self.language, self.question, self.reference.model_dump())
        if CONTENT_ID.fullmatch(self.id) and self.id != expected:
            raise ValueError(f"id {self.id!r} is not that of the content, which is {expected!r}; use Problem.create")
        return self


class Trace(Record):
    """One text that answers a problem, as generated or as shortened.

    `text` is everything after the prompt, think tags included, end token not; `data.chat.split` derives thinking and answer.
    `writer` is "teacher" or the compressor's name; `settings_id` hashes its writer's settings.
    Token counts are the writer's own (`tokenizer` names it by content).
    """

    id: str
    problem_id: str
    parent_ids: tuple[str, ...]
    writer: str
    settings_id: str
    draw: NonNegativeInt
    text: str
    status: Annotated[Status, Field(strict=False)]
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    tokenizer: str

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(values.get("parent_ids"), list):
            values = {**values, "parent_ids": tuple(values["parent_ids"])}
        return values

    @classmethod
    def create(cls, **fields: object) -> Self:
        """A trace with the id of its content and lineage, the draw included; takes every field but `id`."""
        names = ("problem_id", "parent_ids", "writer", "settings_id", "draw", "text", "status")
        trace_id = content_id("trace", *(fields[name] for name in names))
        return cls.model_validate({"id": trace_id, **fields})


class Drawn(Record):
    """How many draws of its own a problem got, and why no more."""

    problem_id: str
    draws: NonNegativeInt
    """The first so many by index; those that failed or do not follow the format are no traces."""
    rule: str
    """What decided, with its settings."""
    reason: str
    prompt_tokens: NonNegativeInt
    """Of one draw."""
    completion_tokens: NonNegativeInt
    """Of all of them."""


class Verdict(Record):
    """What a verifier says of one trace, and why."""

    trace_id: str
    verifier: str
    version: str
    outcome: Annotated[Outcome, Field(strict=False)]
    extracted: str | None
    detail: str


class Recheck(Record):
    """A short trace verified again on its thinking alone.

    `stated`: is the answer stated in the thinking? `continued_*`: a model goes on from the thinking to the answer.
    `empty_*`: the same model from empty thinking. `survives` says whether lessons may use it, `reason` why (not).
    """

    trace_id: str
    stated: Annotated[Outcome, Field(strict=False)]
    continued_right: NonNegativeInt
    continued_draws: NonNegativeInt
    empty_right: NonNegativeInt
    empty_draws: NonNegativeInt
    survives: bool
    reason: str


class Lesson(Record):
    """What one trace is to one student: used (with the exact text) or dropped, always with a reason."""

    student: str
    problem_id: str
    trace_id: str
    role: Annotated[Role, Field(strict=False)]
    reason: str
    question: str
    completion: str
    pair: NonNegativeInt | None = None
    """Which of its problem's pairs it is a side of; a trace may stand in several."""
    ends: bool = True
    """Whether the text came to its own end: one that was cut at a limit teaches no end."""


class Score(Record):
    """One evaluated completion of one student. Token counts use the student's tokenizer, the end token included in the last part."""

    student: str
    seed: NonNegativeInt
    problem_id: str
    split: Annotated[Split, Field(strict=False)]
    mode: Literal["greedy", "draw"]
    draw: NonNegativeInt
    outcome: Annotated[Outcome, Field(strict=False)]
    extracted: str | None
    status: Annotated[Status, Field(strict=False)]
    thinking_tokens: NonNegativeInt
    answer_tokens: NonNegativeInt
    text: str
    ranks: dict[str, float] = {}
    """Ranker → how right it finds this answer, as a logit; of draws that have an answer, where rankers vote."""
