"""Where in params.yaml the settings of a training stand: findings name the key that is to be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from data.records import Section

SHARED = "distill.training"


class Places(Section):
    """The settings that a student has of its own, by their keys from `students.NAME.train` on; all others are shared."""

    student: str | None = None
    own: tuple[str, ...] = ()

    @classmethod
    def of(cls, student: str, train: Mapping[str, Any]) -> Self:
        """Those of a student with these settings of its own."""
        return cls(student=student, own=tuple(_leaves(train)))

    @property
    def whole(self) -> str:
        """Where the training as a whole is changed."""
        return f"students.{self.student}.train" if self.own else SHARED

    def key(self, name: str) -> str:
        """Where the value of one setting comes from, such as `launch.strategy`."""
        is_own = any(f"{name}.".startswith(f"{own}.") or own.startswith(f"{name}.") for own in self.own)
        return f"{self.whole if is_own else SHARED}.{name}"


ALL_SHARED = Places()
"""Of a training without settings of its own."""


def _leaves(train: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in train.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
