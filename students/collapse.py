"""When a training goes wrong: its model writes no text that ends, or wrong rows that are pushed down take the right ones with them."""

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
    tokens: float
    """Mean length of the texts that the model writes."""
    finished: float
    """Share of them that end by themselves."""
    repeated: float
    """Mean share of a text's runs of four tokens that stood in it before."""
    knows_end: float = 0.0
    """Share of the rows that are asked at whose end the model's first choice is the end token, whatever it writes by itself."""
    logp_right: float | None = None
    """Mean log-probability of a token of the right rows, mean over rows, in nats; None in a training without wrong rows."""
    logp_wrong: float | None = None
    """The same of the wrong rows."""

    def point(self) -> dict[str, float]:
        """The look as a row of the training curve."""
        values = {f"probe_{name}": value for name, value in self._asdict().items() if name != "step" and value is not None}
        if self.logp_right is not None and self.logp_wrong is not None:
            values["probe_margin"] = self.logp_right - self.logp_wrong
        return {"step": self.step, **values}


def ending_steps(steps: int, guard: Guard) -> set[int]:
    """After which of so many steps it is looked whether texts end: `guard.ends_from` and half-way, of a short training half-way alone."""
    half = _half(steps)
    return {min(guard.ends_from, half), half} if guard.ends_from else set()


def must_end(step: int, steps: int, guard: Guard) -> bool:
    """Whether a training that has not learnt the end token after so many steps is to be stopped.

    It is learnt by every row and is among the first things that a model learns. Still a weak student may need some hundred steps for it,
    so the first look only warns; half-way it is late enough to be sure and early enough to save something. A short training is cheaper to
    finish than to refuse wrongly.
    """
    return 0 < guard.ends_from < _half(steps) <= step


def has_room(tokens: int, guard: Guard) -> bool:
    """Whether a model that learnt to write so many tokens can be expected to end within the limit, though it writes more."""
    return 2 * tokens <= guard.max_tokens


def can_tell(lengths: Sequence[int], guard: Guard) -> bool:
    """Whether a look tells anything of a model that learns texts of so many tokens: at least half of them have room.

    Where few do, it may rightly write longer than anybody looks, also to the questions with short answers.
    """
    return 2 * sum(has_room(tokens, guard) for tokens in lengths) >= max(1, len(lengths))


def _half(steps: int) -> int:
    return max(1, steps // 2)


def collapse(looks: Sequence[Look], guard: Guard) -> str | None:
    """Why the last look is a collapse, against the best of all; None where it is none, and in a training without wrong rows."""
    last, right = looks[-1], [look.logp_right for look in looks if look.logp_right is not None]
    if not right:
        return None
    if not isfinite(right[-1]):
        return f"log p of right rows is {right[-1]}"
    falls = (
        ("log p of right rows fell", "nats per token", max(right), right[-1], "max_drop"),
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
