"""Stage `compose`: what each student is taught, with a reason for every trace, used or dropped."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data import lessons
from data.chat import split
from data.lineage import by_problem, origin, outcomes, rechecks_of, training_problems
from data.material import Said, material
from data.records import Lesson, Outcome, Problem, Recheck, Role, Trace, Verdict
from data.tables import read_all, read_table, write_table
from data.verifiers.stated import Thinking, stated_all
from pipeline.support import paths
from pipeline.support.draws import first_draws
from pipeline.support.params import Params, Verify, load
from pipeline.support.stage import Statistics, run_stage


class Tables(NamedTuple):
    """What compose reads."""

    problems: Sequence[Problem]
    long: Sequence[Trace]
    long_verdicts: Sequence[Verdict]
    short: Sequence[Trace]
    short_verdicts: Sequence[Recheck]


def compose(params: Params, tables: Tables) -> dict[str, list[Lesson]]:
    """Traces and verdicts → the lessons of every student."""
    training = training_problems(tables.problems)
    ordered = [trace for group in by_problem([*tables.long, *tables.short], training).values() for trace in group]
    said = outcomes(tables.long, tables.long_verdicts)
    survived = rechecks_of(tables.short, tables.short_verdicts)
    plans = {name: student.plan for name, student in params.students.items()}
    verdicts = Said(said, survived, _thought_right(training, ordered, said, params.verify))
    of = material(training, ordered, verdicts, first=first_draws(params.sample))
    return lessons.compose(plans, of, rows_per_problem=params.compose.rows_per_problem, seed=params.compose.seed)


def _thought_right(problems: Mapping[str, Problem], traces: Sequence[Trace], said: Mapping[str, Outcome], verify: Verify) -> set[str]:
    """The traces with a wrong answer whose thinking states the right one; the same whatever students ask for."""
    by_id = {trace.id: trace for trace in traces}
    wrong = [trace for trace in traces if said[origin(trace, by_id).id] is Outcome.WRONG]
    thinkings = [Thinking(trace.id, problems[trace.problem_id].reference, split(trace.text).thinking) for trace in wrong]
    judged = stated_all(thinkings, **verify.pool)
    return {trace_id for trace_id, outcome in judged if outcome is Outcome.RIGHT}


def read_tables() -> Tables:
    """The tables of the last run."""
    return Tables(
        read_all(paths.PROBLEMS, Problem),
        read_all(paths.LONG_TRACES, Trace),
        read_all(paths.LONG_VERDICTS, Verdict),
        list(read_table(paths.SHORT_TRACES, Trace)),
        list(read_table(paths.SHORT_VERDICTS, Recheck)),
    )


def _body(statistics: Statistics) -> None:
    params = load()
    composed = compose(params, read_tables())
    shutil.rmtree(paths.LESSONS, ignore_errors=True)  # a student that left the params leaves the folder
    statistics.rows_in = sum(write_table(paths.lessons_of(student), rows) for student, rows in composed.items())
    statistics.dropped = Counter(row.reason for rows in composed.values() for row in rows if row.role is Role.DROPPED)
    statistics.rows_out = statistics.rows_in - statistics.dropped.total()


if __name__ == "__main__":
    run_stage("compose", _body)
