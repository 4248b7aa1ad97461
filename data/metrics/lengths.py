"""What became of the data: survival of short traces, and how short lessons and students really are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from data.chat import split
from data.difficulty import Difficulty
from data.lineage import origin
from data.metrics.bootstrap import Estimate
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
    by_difficulty: dict[Difficulty, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    """Difficulty of the problem → traces that survived (True) and that did not."""

    @property
    def gain(self) -> float:
        """By how much the rate from the short thinking is above that from empty thinking."""
        return self.continued_right / max(self.continued_draws, 1) - self.empty_right / max(self.empty_draws, 1)

    def add(self, recheck: Recheck, difficulty: Difficulty) -> None:
        """Count one trace."""
        self.by_difficulty[difficulty][recheck.survives] += 1
        self.traces += 1
        self.survived += recheck.survives
        self.stated_right += recheck.stated is Outcome.RIGHT
        self.continued_right += recheck.continued_right
        self.continued_draws += recheck.continued_draws
        self.empty_right += recheck.empty_right
        self.empty_draws += recheck.empty_draws
        if not recheck.survives:
            self.dropped[recheck.reason] += 1


REGROWN = 1.5
"""A student whose answers are this much longer than those it was taught writes again what was cut from the thinking."""


class LessonLength(NamedTuple):
    """What one student is taught: rows, and mean tokens of a row (thinking + answer + end token) and of its answer (with end token)."""

    rows: int
    tokens: float
    answer_tokens: float


class Kept(NamedTuple):
    """Of the tokens of long lessons the share that one compressor's survivors have: of all, and on the problems that all share."""

    all: float
    common: float | None
    """None where no problem has a survivor of every compressor."""


def survival(traces: Iterable[Trace], rechecks: Iterable[Recheck], difficulties: Mapping[str, Difficulty]) -> dict[str, Survival]:
    """Counts per compressor (the traces' writer), by name; `difficulties` by problem. Rechecks of other traces do not count."""
    by_id = {trace.id: trace for trace in traces}
    found: dict[str, Survival] = defaultdict(Survival)
    for recheck in (recheck for recheck in rechecks if recheck.trace_id in by_id):
        trace = by_id[recheck.trace_id]
        found[trace.writer].add(recheck, difficulties[trace.problem_id])
    return dict(sorted(found.items()))


def common_problems(survivors: Sequence[Trace]) -> set[str]:
    """Problems with a survivor of every compressor that has any."""
    of_writer: dict[str, set[str]] = defaultdict(set)
    for trace in survivors:
        of_writer[trace.writer].add(trace.problem_id)
    return set.intersection(*of_writer.values()) if of_writer else set()


def kept(survivors: Sequence[Trace], parents: Mapping[str, Trace], tokens: Callable[[Trace], int]) -> dict[str, Kept]:
    """Per compressor, by name: tokens of its survivors over those of the long traces that they come from.

    `parents` holds all traces by id, `tokens` counts a lesson.
    """
    common = common_problems(survivors)
    found = {}
    for writer in sorted({trace.writer for trace in survivors}):
        own = [trace for trace in survivors if trace.writer == writer]
        shared = [trace for trace in own if trace.problem_id in common]
        found[writer] = Kept(_ratio(own, parents, tokens), _ratio(shared, parents, tokens) if shared else None)
    return found


def _ratio(traces: Sequence[Trace], parents: Mapping[str, Trace], tokens: Callable[[Trace], int]) -> float:
    return sum(map(tokens, traces)) / sum(tokens(origin(trace, parents)) for trace in traces)


def lesson_length(lessons: Iterable[Lesson], count_tokens: Callable[[str], int]) -> LessonLength:
    """Rows and mean tokens of the lessons that are taught or preferred."""
    taught = [lesson.completion for lesson in lessons if lesson.role in (Role.POSITIVE, Role.CHOSEN)]
    if not taught:
        return LessonLength(0, 0.0, 0.0)
    return LessonLength(len(taught), fmean(map(count_tokens, taught)), fmean(count_tokens(split(text).answer) for text in taught))


def wrong_counts(lessons: Iterable[Lesson]) -> Counter[str]:
    """How many wrong traces, and worse sides of pairs, a student learns from, by what they are."""
    return Counter(lesson.reason for lesson in lessons if lesson.role in (Role.NEGATIVE, Role.REJECTED))


def regrows(answer_tokens: Estimate, lessons: LessonLength) -> bool:
    """Whether a student's answers are surely longer than those it was taught: text that grows again behind a short thinking."""
    return lessons.rows > 0 and answer_tokens.low is not None and answer_tokens.low > REGROWN * lessons.answer_tokens


def data_ratios(lengths: Mapping[str, LessonLength], *, long: str) -> dict[str, float]:
    """Mean tokens of each student's lessons over those of the long student's; students that are taught nothing right are left out."""
    whole = lengths[long].tokens if long in lengths else 0.0
    return {student: length.tokens / whole for student, length in sorted(lengths.items()) if length.rows} if whole else {}
