"""The settings of every compressor, by kind. Apart from the compressors, so that all stages can read params without their code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.difficulty import Difficulty
from data.records import Section

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Quantile = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(gt=0, le=1)]


class ByDifficulty(Section):
    """One value for each band of the teacher's pass rate (data/difficulty.py)."""

    easy: Quantile
    medium: Quantile
    hard: Quantile

    def of(self, band: Difficulty) -> float:
        """The value of a band."""
        return float(getattr(self, band.value))


class Compression(Section):
    """What all compressors have: what they work on, exemption from the filter, a budget of thinking tokens by one of two ways or none."""

    teacher_only: ClassVar[str | None] = None
    """Why this kind cannot work on what another compressor made; None: it can."""

    of: Name | None = None
    """Shorten what this compressor made; null: the teacher's draws."""
    outcome: Literal["right", "wrong"] = "right"
    """The teacher's right draws, or its wrong ones, for students that learn from short wrong traces."""
    control: bool = False
    """Controls are exempt from re-verification's filter."""
    like: Name | None = None
    """As many tokens as the trace of this compressor has."""
    share: Part | ByDifficulty | None = None
    """This share of the tokens of the teacher's first right draw."""

    @model_validator(mode="after")
    def _something_to_work_on(self) -> Self:
        if self.of is not None and self.teacher_only is not None:
            raise ValueError(f"works on the teacher's traces alone: {self.teacher_only}; leave out `of`")
        if self.of is not None and self.outcome == "wrong":
            raise ValueError(f"works on what {self.of!r} made, which says whether it is right or wrong; leave out `outcome`")
        return self

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.like is not None and self.share is not None:
            raise ValueError("`like` and `share` both set a budget; give one of them")
        return self


class Budgeted(Compression):
    """A compressor that shortens to a budget and does nothing without one."""

    @model_validator(mode="after")
    def _a_budget(self) -> Self:
        if self.like is None and self.share is None:
            raise ValueError("needs a budget; give `like` (a compressor) or `share` (of the tokens)")
        return self


class ShortestSettings(Compression):
    """See teachers/compressors/shortest.py."""

    kind: Literal["shortest"]
    rank: Quantile | ByDifficulty = 0.0
    """Which of the right draws by length: 0 the shortest, 1 the longest."""


class PostThinkSettings(Compression):
    """See teachers/compressors/post_think.py."""

    teacher_only = "a short trace has no text after its thinking"
    kind: Literal["post_think"]


class FirstSolutionSettings(Compression):
    """See teachers/compressors/first_solution.py."""

    kind: Literal["first_solution"]
    reflection: bool = False
    """Keep what follows up to the second right solution."""


class PruneChecksSettings(Compression):
    """See teachers/compressors/prune_checks.py."""

    kind: Literal["prune_checks"]


TokenCriterion = Literal["nll", "entropy", "blind", "contrast"]
"""What the teacher's probabilities say of a token: negative log-likelihood, entropy, the negative log-likelihood where the question is
hidden (blind), or by how much the question lowers it (contrast)."""


class PruneStepsSettings(Budgeted):
    """See teachers/compressors/prune_steps.py."""

    kind: Literal["prune_steps"]
    by: Literal["answer"] | TokenCriterion = "answer"
    """Importance of a step: for the teacher's answer, or a mean over its tokens."""


class PruneTokensSettings(Budgeted):
    """See teachers/compressors/prune_tokens.py."""

    kind: Literal["prune_tokens"]
    by: TokenCriterion | Literal["llmlingua2"] = "nll"
    """Importance of a word: for the teacher, or for LLMLingua-2."""
    floor: float | None = Field(None, ge=-100, le=100, allow_inf_nan=False)
    """Words less important than this (nats; llmlingua2: probability) go even where the budget has room. Without it words that are told
    apart by nothing but rounding stay here and go there, and what a small student is taught has no rule. A teacher that computes in
    bfloat16 rounds by about 0.1 nats."""
    model: str | None = None
    """llmlingua2: the folder or hub name of the token classifier."""
    revision: str | None = None
    """llmlingua2: its commit on the hub; must be given for a hub name."""

    @model_validator(mode="after")
    def _a_model(self) -> Self:
        if (self.by == "llmlingua2") != (self.model is not None):
            raise ValueError("`model` must be given for `by: llmlingua2`, and for no other")
        if self.by == "llmlingua2" and self.floor is not None and not 0 <= self.floor <= 1:
            raise ValueError(f"floor: {self.floor} is no probability, which it is for `by: llmlingua2`; allowed: 0 to 1")
        return self


class AskingSettings(Compression):
    """A compressor that has a model write: how it is asked. Its budget can only be a share."""

    prompt: str
    """Text file: the user's message, with places in braces."""
    draws: int = Field(1, ge=1, le=16)
    """Tries; the first that keeps the contract is taken."""
    temperature: float = Field(0.0, ge=0, le=5)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(320, ge=1)

    @model_validator(mode="after")
    def _a_way_to_ask(self) -> Self:
        if self.like is not None:
            raise ValueError("what a model is asked for cannot be `like` another compressor's; give `share`")
        if self.draws > 1 and self.temperature == 0:
            raise ValueError(f"{self.draws} draws at temperature 0 are one draw; raise `temperature` or set `draws: 1`")
        return self


class RewriteSettings(AskingSettings):
    """See teachers/compressors/rewrite.py."""

    kind: Literal["rewrite"]
    prompt: str = "configs/prompts/rewrite.txt"
    share: Part | ByDifficulty | None = ByDifficulty(easy=0.4, medium=0.5, hard=0.7)


class FuseSettings(AskingSettings):
    """See teachers/compressors/fuse.py."""

    teacher_only = "of a problem's short traces there is one"
    kind: Literal["fuse"]
    prompt: str = "configs/prompts/fuse.txt"
    share: Part | ByDifficulty | None = 0.5
    candidates: int = Field(5, ge=2, le=64)
    """Draws that are fused at most (K of the paper's code)."""
    agreeing: Part = 0.75
    """Share of the right draws that stay: those most like the others."""


class DirectSettings(Compression):
    """See teachers/compressors/direct.py."""

    kind: Literal["direct"]
    control: bool = True

    @model_validator(mode="after")
    def _no_budget(self) -> Self:
        if self.share is not None or self.like is not None:
            raise ValueError("keeps no thinking, so a budget means nothing; leave out `share` and `like`")
        return self


class TruncatedSettings(Budgeted):
    """See teachers/compressors/truncated.py."""

    kind: Literal["truncated"]


Need = Literal["tokens", "blind", "steps", "words"]
"""Scores of the traces to shorten that a compressor chooses by."""


def needs(compressors: Iterable[Compression]) -> set[Need]:
    """What must be computed before these compressors can work."""
    of: dict[str, set[Need]] = {
        "answer": {"steps"},
        "llmlingua2": {"words"},
        "blind": {"blind"},
        "contrast": {"tokens", "blind"},
    }
    pruning = [settings for settings in compressors if isinstance(settings, PruneStepsSettings | PruneTokensSettings)]
    return set[Need]().union(*(of.get(settings.by, {"tokens"}) for settings in pruning))


def in_order(compressors: Mapping[str, Compression]) -> list[str]:
    """The names with each one after those that it is `of` and `like`; those that can work at once by what they work on, else as given.

    Raises ValueError for a circle or an unknown name.
    """
    done: list[str] = []
    while len(done) < len(compressors):
        left = {name: {"of": settings.of, "like": settings.like} for name, settings in compressors.items() if name not in done}
        ready = [name for name, waits in left.items() if all(other is None or other in done for other in waits.values())]
        if not ready:
            found = ", ".join(f"{name}.{key}: {other}" for name, waits in left.items() for key, other in waits.items() if other)
            raise ValueError(f"{found}: these wait for each other or for a compressor that is not there; allowed: {sorted(compressors)}")
        done += sorted(ready, key=lambda name: (compressors[name].outcome, compressors[name].of or ""))
    return done


def of_wrong(compressors: Mapping[str, Compression]) -> set[str]:
    """The names of those that shorten wrong draws, or what came of them."""
    return {name for name, settings in compressors.items() if _root(settings, compressors).outcome == "wrong"}


def _root(settings: Compression, compressors: Mapping[str, Compression]) -> Compression:
    """The compressor that works on draws at the end of a chain that has one (`in_order`)."""
    while settings.of is not None:
        settings = compressors[settings.of]
    return settings


def groups(compressors: Mapping[str, AnyCompression]) -> list[dict[str, AnyCompression]]:
    """The compressors in order, those together that follow each other and work on the same."""
    found = groupby(in_order(compressors), key=lambda name: (compressors[name].of, compressors[name].outcome))
    return [{name: compressors[name] for name in names} for _, names in found]


AnyCompression = Annotated[
    ShortestSettings
    | PostThinkSettings
    | FirstSolutionSettings
    | PruneChecksSettings
    | PruneStepsSettings
    | PruneTokensSettings
    | RewriteSettings
    | FuseSettings
    | TruncatedSettings
    | DirectSettings,
    Field(discriminator="kind"),
]
"""The settings of one compressor; a new one has its line here, and one in registry.py."""
