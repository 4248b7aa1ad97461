"""Lessons: what each student is taught, under equal conditions, and why every other trace is not taught.

All students get the same problems, namely those that have a right long trace and a usable short one of every writer that any
student names, and the same number of rows on each of them. In every lesson the text after the thinking is the final statement alone.
Wrong traces and pairs come on top, for students that ask for them (data/negatives.py, data/pairs.py).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import NamedTuple

from data.chat import tagged
from data.errors import StageError
from data.material import Material
from data.negatives import Flaw, Negatives, choose
from data.pairs import PairRule, pairs, right_writers, wrong_writers
from data.records import TEACHER, Lesson, Role, Trace

TAUGHT = "taught"
NOT_CHOSEN = "not chosen"
Mix = Mapping[str, float]
"""Writer → weight of its share of a student's rows."""


class Plan(NamedTuple):
    """What one student is taught: shares by writer, what stands behind the question of a writer's rows, wrong traces, and pairs."""

    mix: Mix
    tags: Mapping[str, str] = MappingProxyType({})
    negatives: Negatives | None = None
    pairs: PairRule | None = None

    @property
    def right(self) -> set[str]:
        """Whose right traces the student may see."""
        return {*self.mix} | (right_writers(self.pairs) if self.pairs else set())

    @property
    def wrong(self) -> set[str]:
        """Whose wrong traces the student may see."""
        return ({self.negatives.of} if self.negatives else set()) | (wrong_writers(self.pairs) if self.pairs else set())


def compose(students: Mapping[str, Plan], of: Material, *, rows_per_problem: int, seed: int) -> dict[str, list[Lesson]]:
    """The lessons of every student, sorted by problem. Raises StageError where no problem has what every student needs."""
    needed = sorted({TEACHER}.union(*(plan.mix for plan in students.values())))
    shared = shared_problems(of, needed)
    lessons = {}
    for name, plan in students.items():
        taught = _taught(of, slots(shared, plan.mix, rows_per_problem=rows_per_problem, seed=seed) if plan.mix else {})
        used = [_positive(name, of, trace, tag=plan.tags.get(trace.writer)) for trace in taught]
        negatives, paired = list(_negatives(name, of, plan, shared)), list(_pairs(name, of, plan, shared))
        if (plan.negatives and not negatives) or (plan.pairs and not paired):
            asked = "wrong traces" if plan.negatives else "pairs"
            raise StageError(f"students.{name}: no problem has the {asked} that it asks for; {_wrong(of)}")
        used += [*negatives, *paired]
        dropped = _dropped(name, of, needed, used={lesson.trace_id for lesson in used}, plan=plan)
        lessons[name] = sorted([*used, *dropped], key=_place)
    return lessons


def _place(lesson: Lesson) -> tuple[object, ...]:
    pair = -1 if lesson.pair is None else lesson.pair
    return (lesson.problem_id, lesson.role is Role.DROPPED, lesson.role is Role.NEGATIVE, pair, lesson.role, lesson.trace_id)


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


def _negatives(student: str, of: Material, plan: Plan, shared: Sequence[str]) -> Iterator[Lesson]:
    """The wrong traces that a student learns from."""
    settings = plan.negatives
    if settings is None:
        return
    for problem in _problems(settings.problems, of, shared):
        for found in choose(settings, of.wrong[settings.of].get(problem, [])):
            lesson = _lesson(student, of, found.trace, Role.NEGATIVE, found.flaw.value)
            yield lesson.model_copy(
                update={"question": tagged(lesson.question, settings.tag), "completion": found.text, "ends": found.ends}
            )


def _pairs(student: str, of: Material, plan: Plan, shared: Sequence[str]) -> Iterator[Lesson]:
    """Both sides of every pair that a student learns from."""
    if plan.pairs is None:
        return
    for problem in _problems(plan.pairs.problems, of, shared):
        for number, pair in enumerate(pairs(plan.pairs, of.choices(problem))):
            for role, side in ((Role.CHOSEN, pair.chosen), (Role.REJECTED, pair.rejected)):
                lesson = _lesson(student, of, side.trace, role, side.reason)
                yield lesson.model_copy(update={"completion": side.text, "pair": number, "ends": side.reason != Flaw.TRUNCATED.value})


def _problems(which: str, of: Material, shared: Sequence[str]) -> Sequence[str]:
    return shared if which == "shared" else sorted(of.problems)


def _wrong(of: Material) -> str:
    found = Counter(one.flaw.value for of_writer in of.wrong.values() for of_problem in of_writer.values() for one in of_problem)
    return f"wrong traces there are: {dict(found)}. Sample more draws, or ask for other flaws"


def _dropped(student: str, of: Material, needed: Sequence[str], *, used: Set[str], plan: Plan) -> Iterator[Lesson]:
    """Every trace of the plan's writers that is not used, with the reason."""
    for trace in (trace for writer in sorted(plan.right | plan.wrong) for trace in of.traces[writer] if trace.id not in used):
        lacking = [writer for writer in needed if trace.problem_id not in of.usable[writer]]
        wanted = trace.writer in plan.wrong and trace.id in {one.trace.id for one in of.wrong[trace.writer].get(trace.problem_id, [])}
        reason = (None if wanted else of.reasons.get(trace.id)) or (f"problem lacks {', '.join(lacking)}" if lacking else NOT_CHOSEN)
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
