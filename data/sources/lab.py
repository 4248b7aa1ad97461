"""Problems of the lab's own generator; each split has chains of its own, so they are disjoint by construction."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from data.records import NumberReference, Problem, Split
from data.tasks.lab import MAX_STEPS, generate


def load(task: str, counts: Mapping[Split, int], *, seed: int, max_steps: int = MAX_STEPS) -> list[Problem]:
    """So many problems per split, the same ones for the same seed."""
    return [
        Problem.create(task=task, split=split, question=made.question, reference=NumberReference(value=str(made.answer)))
        for split, count in counts.items()
        for made in islice(generate(split.value, seed=seed, max_steps=max_steps), count)
    ]
