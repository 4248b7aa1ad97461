"""The optional section `plan` of params.yaml: what a run of this recipe takes. No stage reads it; `make plan` and `make doctor` do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from data.records import Section

Positive = Annotated[float, Field(gt=0)]


class Plan(Section):
    """Rates, used where this machine has not run these models yet, and what the recipe needs."""

    measured: bool = False
    """Whether the numbers below come from a run of this recipe; else they are estimates."""
    cost: str | None = None
    """In words: the machine, the hours, the price."""
    sample_tokens_per_second: Positive | None = None
    """Of the teacher, start of the engine included."""
    train_tokens_per_second: Positive | None = None
    """Of one student, prompts included."""
    evaluate_tokens_per_second: Positive | None = None
    """Of a student's answers."""
    mean_prompt_tokens: Positive | None = None
    mean_completion_tokens: Positive | None = None
    """Of a long completion, thinking included; unknown: the most that sampling allows."""
    mean_draws: Positive | None = None
    """Of a problem, where `sample.stop` ends them; unknown: the most."""
    base_gigabytes: Positive | None = None
    """Of the student's weights on disk, where they are not on this machine."""
    gpus: int = Field(0, ge=0)
    gpu_gigabytes: float = Field(0, ge=0)
    """Memory of each GPU."""
    memory_gigabytes: float = Field(0, ge=0)
    disk_gigabytes: float = Field(0, ge=0)
