"""The settings of stage `prepare`: where problems come from, how many are taken, and which are left out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from data.records import Section
from data.sources.columns import Columns
from pipeline.support.student_settings import Name


class LabSource(Section):
    """Problems of the lab's own generator."""

    kind: Literal["lab"] = "lab"
    seed: int = Field(1, ge=0)
    max_steps: int = Field(4, ge=1, le=4)


class FileSource(Columns):
    """Problems from local files (JSONL, .csv or .parquet): `train` is split into train and validation, `test` is the test split."""

    kind: Literal["file"] = "file"
    train: str
    test: str
    seed: int = Field(0, ge=0)
    """Of the split into train and validation, and of the order of options."""


class HubSource(Columns):
    """Problems from a data set on a hub, or a local folder of the same layout."""

    kind: Literal["hub"] = "hub"
    name: str
    config: str | None = None
    revision: str | None = None
    seed: int = Field(0, ge=0)
    """Of the split into train and validation, and of the order of options."""


class GymSource(Section):
    """Problems of a reasoning-gym generator, judged by its own scorer."""

    kind: Literal["reasoning_gym"] = "reasoning_gym"
    name: str
    """The data set, such as `chain_sum`."""
    seed: int = Field(0, ge=0)
    spare: float = Field(1.25, ge=1)
    """Problems that are made for each one asked for, since the generator's own scorer may refuse some gold answers."""
    arguments: dict[str, Any] = {}
    """They go to the generator as they are; `seed` and `size` are set here."""

    @model_validator(mode="after")
    def _seed_and_size_are_ours(self) -> Self:
        if taken := sorted({"seed", "size"} & self.arguments.keys()):
            raise ValueError(f"arguments: {taken} cannot be given; `seed` stands beside them, and the parts have their sizes")
        return self


class Prepare(Section):
    """Which problems, and how many."""

    source: Annotated[LabSource | FileSource | HubSource | GymSource, Field(discriminator="kind")]
    task: Name
    train: int = Field(ge=1)
    validation: int = Field(ge=1)
    test: int = Field(ge=1)
    ngram_words: int = Field(8, ge=2)
    """With `decontaminate: ngram`, a training question that shares this many words in a row with an evaluation question is dropped."""
    decontaminate: Literal["ngram", "exact"] = Field(default_factory=lambda known: _decontaminate(known.get("source")))
    """What of questions is compared: runs of words, or (`exact`) the whole. A generator's problems share their sentences, so they are
    compared whole where nothing is said here."""
    near: float | None = Field(default_factory=lambda known: 0.8 if known.get("decontaminate") == "ngram" else None, ge=0.5, le=1)
    """A training question is dropped, too, where it is this similar to an evaluation question or to an earlier training question, and holds
    the same numbers (data/near.py); null: it is not looked for, as where questions are compared whole and nothing is said here. At 0.8, one
    word in twenty may differ."""
    max_dropped: float = Field(0.2, ge=0, le=1)
    """The stage fails where more than this share of the problems is dropped."""


def _decontaminate(source: object) -> Literal["ngram", "exact"]:
    return "exact" if isinstance(source, LabSource | GymSource) else "ngram"
