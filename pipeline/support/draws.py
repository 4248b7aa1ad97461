"""What stages must know of how the teacher's draws were stopped."""

from __future__ import annotations

from data.stopping import least
from pipeline.support.params import Sample


def first_draws(sample: Sample) -> int | None:
    """How many draws every problem has, from which pass rates come; None: all that there are, as nothing stopped them."""
    return least(sample.stop, most=sample.draws, first=sample.first) if sample.stop else None
