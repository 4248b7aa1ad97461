"""The settings of one student: where it starts, and what it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from data.lessons import Plan
from data.negatives import Negatives
from data.pairs import ByDraw, PairRule
from data.records import Section
from students.settings import Asc, Nat, Nce, Objective, OfPairs, Sft, Training, Unlikelihood

BASE = "base"
OF_LORA = ("adapter", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "quantization")
"""What a LoRA that is gone on with has from its first training."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Student(Section):
    """One student: where it starts and what it is taught."""

    start: Name = Field(alias="from")
    """`base`, or a student whose trained weights of the same seed are where this one starts."""
    lessons: dict[Name, Annotated[float, Field(gt=0)]] = {}
    """Writer of traces (`teacher` or a compressor) → share of the rows."""
    tags: dict[Name, str] = {}
    """Writer → what stands behind the question in its lessons, so that one student learns several ways of writing."""
    negatives: Negatives | None = None
    """Wrong traces beside them."""
    pairs: PairRule | None = None
    """Pairs of traces, the better one first."""
    ask: str | None = None
    """The tag that it is evaluated and served with."""
    train: dict[str, Any] = {}
    """Settings of `distill.training` that differ for this student."""
    objective: Objective = Sft()
    """What its lessons do to it."""

    @property
    def plan(self) -> Plan:
        """What it is taught."""
        return Plan(self.lessons, self.tags, self.negatives, self.pairs)

    @property
    def is_negative(self) -> bool:
        """Whether it only imitates wrong traces, for others to learn from."""
        return not self.lessons and self.negatives is not None

    @property
    def is_ranker(self) -> bool:
        """Whether it scores answers and writes none."""
        return isinstance(self.objective, Asc)

    @property
    def is_servable(self) -> bool:
        """Whether it is plain weights that write: a NAT student depends on its input, a ranker writes nothing."""
        return not isinstance(self.objective, Nat | Asc)

    @property
    def asked_by(self) -> set[str | None]:
        """The tags that stand behind questions in its lessons; None where a question stands alone."""
        return {self.tags.get(writer) for writer in self.lessons} | ({self.negatives.tag} if self.negatives else set())

    @model_validator(mode="after")
    def _lessons_fit_the_objective(self) -> Self:
        given = {name for name in ("lessons", "negatives", "pairs") if getattr(self, name)}
        objective = self.objective
        allowed = [{"pairs"}] if isinstance(objective, OfPairs) else [{"lessons"}]
        if isinstance(objective, Sft):
            allowed += [{"lessons", "negatives"}, {"negatives"}]
        elif isinstance(objective, Unlikelihood):
            allowed = [{"lessons", "negatives"}]
        if given not in allowed:
            wanted = " or ".join(f"`{'` and `'.join(sorted(names))}`" for names in allowed)
            raise ValueError(f"objective {objective.kind} learns from {wanted}; found {sorted(given) or 'none of them'}")
        if isinstance(objective, Asc) and not isinstance(self.pairs, ByDraw):
            raise ValueError(
                "objective asc learns which answers are right from pairs that differ in nothing else: give `pairs: {rule: draws, …}`"
            )
        if isinstance(objective, Sft) and self.negatives and self.negatives.tag is None and not objective.imitate:
            raise ValueError(
                "negatives: objective sft learns them like right traces; give `negatives.tag`, another objective, or "
                "`objective: {kind: sft, imitate: true}` if that is what you want"
            )
        return self

    @model_validator(mode="after")
    def _tags_are_learnt(self) -> Self:
        if unknown := set(self.tags) - set(self.lessons):
            raise ValueError(f"tags: {sorted(unknown)} write no lessons of this student; allowed: {sorted(self.lessons)}")
        learnt = self.asked_by or {None}
        if self.ask not in learnt:
            raise ValueError(f"ask: {self.ask!r} is in no lesson; allowed: {sorted(map(str, learnt))}")
        return self


def ancestors(students: Mapping[str, Student], name: str) -> list[str]:
    """The students that one starts from, the nearest first. Raises ValueError for one that is not there and for a circle."""
    chain = [name]
    while (start := students[chain[-1]].start) != BASE:
        if start not in students or start in chain:
            wrong = "is no student" if start not in students else "comes round to itself"
            raise ValueError(f"students.{chain[-1]}.from: {start!r} {wrong}; allowed: {BASE}, or one of {sorted(students)}")
        chain.append(start)
    return chain[1:]


def check_starts(students: Mapping[str, Student], trainings: Mapping[str, Training]) -> None:
    """Every student starts from the base, or from one that does, and so on, with weights that it can go on with. Raises ValueError."""
    for name, student in students.items():
        ancestors(students, name)
        if why := _cannot_go_on(name, student.start, students, trainings):
            raise ValueError(f"students.{name}.from: {why}")


def _cannot_go_on(name: str, start: str, students: Mapping[str, Student], trainings: Mapping[str, Training]) -> str | None:
    """Why a student cannot start where it says; None where it can."""
    objective = students[name].objective
    if start == BASE:
        return f"objective {objective.kind} starts from a student, not from {BASE}" if isinstance(objective, Nat | Nce) else None
    own, its, parent = trainings[name], trainings[start], students[start]
    if parent.is_ranker:
        return f"{start!r} is a ranker, which nothing goes on with"
    if isinstance(objective, Nce) or not parent.is_servable:
        fits = isinstance(objective, Nce) and not parent.is_servable
        return None if fits else f"{start!r} has objective {parent.objective.kind}; nce goes on from nat, and nothing else does"
    if isinstance(objective, Nat) and its.adapter != "lora":
        return f"{start!r} is no LoRA, as nat needs"
    if isinstance(objective, Nat) and objective.upon == "wrong" and not parent.is_negative:
        return f"{start!r} has not learnt wrong traces alone, as nat needs; for a control set `upon: any` in the objective of {name!r}"
    same: tuple[str, ...] = OF_LORA if own.adapter == "lora" else ("adapter",)
    if isinstance(objective, Nat):
        same = ("adapter", "lora_targets", "quantization")
    differing = [f"{key}: {getattr(own, key)} and {getattr(its, key)}" for key in same if getattr(own, key) != getattr(its, key)]
    return f"{start!r} is trained with other weights ({', '.join(differing)}), so it cannot be gone on with" if differing else None
