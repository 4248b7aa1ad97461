"""Lessons: what each student is taught, under equal conditions, and why every other trace is not taught.

All students get the same problems, namely those that have a right long trace and a usable short one of every writer that any
student names, and the same number of rows on each of them. In every lesson the text after the thinking is the final statement alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from data.chat import join, split, tagged
from data.errors import StageError, TextFormatError
from data.records import TEACHER, Lesson, Outcome, Problem, Recheck, Role, Trace
from data.statement import final_statement

TAUGHT = "taught"
NOT_CHOSEN = "not chosen"
NO_STATEMENT = "no final statement"
NOT_SURVIVED = "did not survive"
Mix = Mapping[str, float]
"""Writer → weight of its share of a student's rows."""


class Plan(NamedTuple):
    """What one student is taught: shares by writer, and what stands behind the question of a writer's rows."""

    mix: Mix
    tags: Mapping[str, str] = MappingProxyType({})


@dataclass
class Material:
    """What can be taught: texts of usable traces by writer and problem, and the reason for every other trace."""

    problems: Mapping[str, Problem]
    traces: dict[str, list[Trace]] = field(default_factory=lambda: defaultdict(list))
    """Writer → all its traces."""
    usable: dict[str, dict[str, list[Trace]]] = field(default_factory=lambda: defaultdict(dict))
    """Writer → problem → its usable traces, in draw order."""
    texts: dict[str, str] = field(default_factory=dict)
    """Trace → the exact completion that it teaches."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Trace → why it cannot be taught."""

    def add(self, trace: Trace, reason: str | None) -> None:
        """Take in a trace, in draw order; `reason` says why it cannot be used, None that it can."""
        text = lesson_text(trace) if reason is None else None
        self.traces[trace.writer].append(trace)
        if text is None:
            self.reasons[trace.id] = reason or NO_STATEMENT
        else:
            self.texts[trace.id] = text
            self.usable[trace.writer].setdefault(trace.problem_id, []).append(trace)


def material(
    problems: Mapping[str, Problem], traces: Sequence[Trace], *, long: Mapping[str, Outcome], short: Mapping[str, Recheck]
) -> Material:
    """All long and short traces with what their verdicts say, `traces` in draw order."""
    result = Material(problems)
    for trace in traces:
        if trace.writer == TEACHER:
            outcome = long[trace.id]
            result.add(trace, None if outcome is Outcome.RIGHT else outcome.value)
        else:
            said = short[trace.id]
            result.add(trace, None if said.survives else f"{NOT_SURVIVED}: {said.reason}")
    return result


def lesson_text(trace: Trace) -> str | None:
    """The completion that a trace teaches: its thinking and its final statement alone. None where it has no statement of its own."""
    parts = split(trace.text)
    statement = final_statement(parts.answer)
    if statement is None:
        return None
    try:
        return join(parts.thinking, statement)
    except TextFormatError:
        return None


def compose(students: Mapping[str, Plan], of: Material, *, rows_per_problem: int, seed: int) -> dict[str, list[Lesson]]:
    """The lessons of every student, sorted by problem. Raises StageError where no problem has what every student needs."""
    needed = sorted({TEACHER}.union(*(plan.mix for plan in students.values())))
    shared = shared_problems(of, needed)
    lessons = {}
    for name, plan in students.items():
        taught = _taught(of, slots(shared, plan.mix, rows_per_problem=rows_per_problem, seed=seed))
        positives = [_positive(name, of, trace, tag=plan.tags.get(trace.writer)) for trace in taught]
        dropped = _dropped(name, of, needed, taught={trace.id for trace in taught}, writers=sorted(plan.mix))
        lessons[name] = sorted([*positives, *dropped], key=lambda lesson: (lesson.problem_id, lesson.role is Role.DROPPED, lesson.trace_id))
    return lessons


def shared_problems(of: Material, needed: Sequence[str]) -> list[str]:
    """Ids of the problems with a usable trace of every writer in `needed`, sorted."""
    shared = sorted(problem for problem in of.problems if all(problem in of.usable[writer] for writer in needed))
    if not shared:
        have = {writer: len(of.usable[writer]) for writer in needed}
        why = Counter(of.reasons.values()).most_common(5)
        raise StageError(
            f"no problem has a usable trace of every writer that students need; problems with one, by writer: {have}; "
            f"reasons against traces: {why}. Sample more draws, loosen reverify.require, or drop the student that needs the rarest writer"
        )
    return shared


def slots(problems: Sequence[str], mix: Mix, *, rows_per_problem: int, seed: int) -> dict[str, list[str]]:
    """Problem → the writer of each of its rows.

    Shares are exact within rounding (largest remainder). The order in which rows are dealt out is a hash of seed, problem and row, so that
    it does not depend on the student, and two mixes of the same writers differ in as few rows as they can.
    """
    rows = [(problem, row) for problem in problems for row in range(rows_per_problem)]
    dealt = sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {row[0]} {row[1]}".encode()).digest())
    writers = (writer for writer, count in shares(mix, len(rows)).items() for _ in range(count))
    chosen = dict(zip(dealt, writers, strict=True))
    return {problem: [chosen[problem, row] for row in range(rows_per_problem)] for problem in problems}


def shares(mix: Mix, rows: int) -> dict[str, int]:
    """How many of `rows` each writer gets: its exact share rounded down, the rest by largest remainder, ties by name."""
    total = sum(mix.values())
    exact = {writer: rows * mix[writer] / total for writer in sorted(mix)}
    counts = {writer: int(share) for writer, share in exact.items()}
    by_remainder = sorted(exact, key=lambda writer: (counts[writer] - exact[writer], writer))
    for writer in by_remainder[: rows - sum(counts.values())]:
        counts[writer] += 1
    return counts


def _taught(of: Material, slots: Mapping[str, Sequence[str]]) -> list[Trace]:
    """The trace of each row; rows of one writer and problem take its usable traces in turn, the first again after the last."""
    taught, turn = list[Trace](), Counter[tuple[str, str]]()
    for problem, writers in slots.items():
        for writer in writers:
            traces = of.usable[writer][problem]
            taught.append(traces[turn[problem, writer] % len(traces)])
            turn[problem, writer] += 1
    return taught


def _dropped(student: str, of: Material, needed: Sequence[str], *, taught: set[str], writers: Sequence[str]) -> Iterator[Lesson]:
    """Every trace of these writers that is not taught, with the reason."""
    for trace in (trace for writer in writers for trace in of.traces[writer] if trace.id not in taught):
        lacking = [writer for writer in needed if trace.problem_id not in of.usable[writer]]
        reason = of.reasons.get(trace.id) or (f"problem lacks {', '.join(lacking)}" if lacking else NOT_CHOSEN)
        yield _lesson(student, of, trace, Role.DROPPED, reason)


def _positive(student: str, of: Material, trace: Trace, *, tag: str | None) -> Lesson:
    lesson = _lesson(student, of, trace, Role.POSITIVE, TAUGHT)
    return lesson.model_copy(update={"question": tagged(lesson.question, tag), "completion": of.texts[trace.id]})


def _lesson(student: str, of: Material, trace: Trace, role: Role, reason: str) -> Lesson:
    return Lesson(
        student=student,
        problem_id=trace.problem_id,
        trace_id=trace.id,
        role=role,
        reason=reason,
        question=of.problems[trace.problem_id].question,
        completion="",
    )
