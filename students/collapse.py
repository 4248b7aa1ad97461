"""When a training that pushes wrong rows down has gone too far: what is looked at, and what counts as a collapse."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from students.settings import Guard

GRAM = 4
"""Length of the runs of tokens by which repetition is told."""


class Look(NamedTuple):
    """What a training does to a small fixed probe."""

    step: int
    logp_right: float
    """Mean log-probability of a token of the right rows, mean over rows, in nats."""
    logp_wrong: float
    """The same of the wrong rows."""
    tokens: float
    """Mean length of the texts that the model writes."""
    finished: float
    """Share of them that end by themselves."""
    repeated: float
    """Mean share of a text's runs of four tokens that stood in it before."""

    def point(self) -> dict[str, float]:
        """The look as a row of the training curve."""
        values = {f"probe_{name}": value for name, value in self._asdict().items() if name != "step"}
        return {"step": self.step, **values, "probe_margin": self.logp_right - self.logp_wrong}


def collapse(looks: Sequence[Look], guard: Guard) -> str | None:
    """Why the last look is a collapse, against the best of all; None where it is none."""
    last = looks[-1]
    if not isfinite(last.logp_right):
        return f"log p of right rows is {last.logp_right}"
    falls = (
        ("log p of right rows fell", "nats per token", max(look.logp_right for look in looks), last.logp_right, "max_drop"),
        ("the share of texts that end fell", "", max(look.finished for look in looks), last.finished, "max_unfinished"),
        ("the share of text that is not repeated fell", "", 1 - min(look.repeated for look in looks), 1 - last.repeated, "max_repeated"),
    )
    for what, unit, before, now, bound in falls:
        if before - now > getattr(guard, bound):
            return f"{what} from {before:.2f} to {now:.2f} {unit}".rstrip() + f", and guard.{bound} is {getattr(guard, bound):g}"
    return None


def repeated(tokens: Sequence[int]) -> float:
    """Share of the runs of four tokens that stood in the text before; 0 for shorter texts."""
    runs = [tuple(tokens[i : i + GRAM]) for i in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
