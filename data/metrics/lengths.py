"""What became of the data: survival of short traces, and how short lessons and students really are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from data.records import Lesson, Outcome, Recheck, Role, Trace


@dataclass
class Survival:
    """What re-verification did to one compressor's traces."""

    traces: int = 0
    survived: int = 0
    stated_right: int = 0
    continued_right: int = 0
    continued_draws: int = 0
    empty_right: int = 0
    empty_draws: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason → traces that did not survive."""

    def add(self, recheck: Recheck) -> None:
        """Count one trace."""
        self.traces += 1
        self.survived += recheck.survives
        self.stated_right += recheck.stated is Outcome.RIGHT
        self.continued_right += recheck.continued_right
        self.continued_draws += recheck.continued_draws
        self.empty_right += recheck.empty_right
        self.empty_draws += recheck.empty_draws
        if not recheck.survives:
            self.dropped[recheck.reason] += 1


class LessonLength(NamedTuple):
    """What one student is taught: rows, and mean tokens of a row (thinking + answer + end token)."""

    rows: int
    tokens: float


def survival(traces: Iterable[Trace], rechecks: Iterable[Recheck]) -> dict[str, Survival]:
    """Counts per compressor (the traces' writer), by name."""
    writers = {trace.id: trace.writer for trace in traces}
    found: dict[str, Survival] = defaultdict(Survival)
    for recheck in rechecks:
        found[writers[recheck.trace_id]].add(recheck)
    return dict(sorted(found.items()))


def lesson_length(lessons: Iterable[Lesson], count_tokens: Callable[[str], int]) -> LessonLength:
    """Rows and mean tokens of the lessons that are taught."""
    counts = [count_tokens(lesson.completion) for lesson in lessons if lesson.role is Role.POSITIVE]
    return LessonLength(len(counts), fmean(counts) if counts else 0.0)


def data_ratios(lengths: Mapping[str, LessonLength], *, long: str) -> dict[str, float]:
    """Mean tokens of each student's lessons over those of the long student's; empty where that has none."""
    whole = lengths[long].tokens if long in lengths else 0.0
    return {student: length.tokens / whole for student, length in sorted(lengths.items())} if whole else {}
