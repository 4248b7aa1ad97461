"""Pools of draws on which rules are tried: of the last run, or of a file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pydantic import Field

from data.errors import RecordError, StageError
from data.metrics.cells import vote_of
from data.metrics.replay import Pool
from data.records import TEACHER, Drawn, Record, Score, Split, Trace, Verdict
from data.stopping import IMPORTED, MOST, Vote
from data.tables import parse_record, read_all, read_lines
from pipeline.support import paths


class PoolLine(Record):
    """One line of a pool: the answers that were drawn to one problem, in order; null could not be read."""

    problem_id: str
    answers: list[str | None] = Field(min_length=1)
    gold: str
    """The right answer, written as the answers are."""


def of_file(path: Path) -> Pool:
    """A pool of JSON lines. Raises RecordError, naming the line, for bad ones and for a problem that comes twice."""
    pool: dict[str, list[Vote]] = {}
    for place, line in read_lines(path):
        row = parse_record(line, PoolLine, place=place)
        if row.problem_id in pool:
            raise RecordError(f"{place}: problem_id {row.problem_id!r} stands in an earlier line too; put all of its answers into one")
        pool[row.problem_id] = [Vote(answer, answer == row.gold) for answer in row.answers]
    return _of_some(pool, str(path))


def of_teacher() -> Pool:
    """The teacher's draws of the last run; those without a trace (not in the format, or failed) say nothing.

    Raises StageError where a rule stopped them: what it left is no sample of what would have been drawn.
    """
    drawn = read_all(paths.DRAWN, Drawn)
    if stopped := sorted({row.reason for row in drawn} - {MOST, IMPORTED}):
        raise StageError(
            f"{paths.DRAWN}: a rule stopped the draws of some problems ({', '.join(stopped)}); `dvc repro sample` with `stop: null` makes "
            "all of them, or name a --student or a --pool"
        )
    said = {verdict.trace_id: verdict for verdict in read_all(paths.LONG_VERDICTS, Verdict)}
    pool = {row.problem_id: [Vote(None, right=False)] * row.draws for row in drawn}
    for trace in read_all(paths.LONG_TRACES, Trace):
        if trace.id not in said:
            raise RecordError(f"{paths.LONG_VERDICTS}: no verdict of trace {trace.id}; run `dvc repro verify`")
        verdict = said[trace.id]
        pool[trace.problem_id][trace.draw] = Vote.of(verdict.outcome, verdict.extracted)
    return _of_some(pool, TEACHER)


def of_student(student: str) -> Pool:
    """The draws of one student on the test problems; a problem with another seed is a problem of its own."""
    pool: dict[str, list[Vote]] = defaultdict(list)
    scores = [score for score in read_all(paths.SCORES, Score) if (score.split, score.mode) == (Split.TEST, "draw")]
    for score in scores:
        if score.student == student:
            pool[f"{score.problem_id}/{score.seed}"].append(vote_of(score))
    return _of_some(pool, f"student {student!r} in {paths.SCORES}, where {sorted({score.student for score in scores})} have draws")


def _of_some(pool: Pool, what: str) -> Pool:
    if not pool:
        raise StageError(f"{what}: no draws; `dvc repro` with `draws` and `draw_problems` makes some")
    return pool
