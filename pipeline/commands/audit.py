"""How far the verifiers can be trusted: `python -m pipeline.commands.audit`.

Without more it prints what every verifier says of the golden cases and of the answers that you judged: false negatives and false positives
with exact 95 % intervals, and every error. `… disagreements` lists the answers of the last run (the teacher's, or with `--student` a
student's) of which the fast verifier of numbers and Math-Verify do not say the same, in a file for you to judge: write right, wrong or
unparsed under `expected`. `… keep FILE` keeps what you judged in data/judged.jsonl, where the first command reads it and nothing is asked
again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from data.errors import RecordError, ShortcotError
from data.records import Outcome, Problem, Score, Trace
from data.tables import read_all, read_table, write_table
from data.verifiers.audit import Answer, Confusion, Judged, Share, confusions, disagreements, golden
from pipeline.support import paths
from pipeline.support.params import Verify
from pipeline.support.text_table import render

GOLDEN = Path("tests/golden")
POOL = Verify()


def cases(folder: Path = GOLDEN, kept: Path = paths.JUDGED, *, kinds: Sequence[str] = ()) -> Iterator[Judged]:
    """All answers that people judged, or those of some kinds: the golden cases of their verifiers, and your own."""
    from data.verifiers.judge import VERIFIERS

    for kind in kinds or VERIFIERS:
        if (path := folder / f"{kind}.jsonl").is_file():
            yield from golden(path)
    if kept.is_file():
        yield from (case for case in read_table(kept, Judged) if not kinds or case.reference.kind in kinds)


def table(found: dict[str, Confusion]) -> str:
    """Cases and both kinds of errors of every verifier."""
    rows = [
        [kind, f"{sum(own.counts.values())}", f"{len(own.errors)}", _share(own.missed), _share(own.let_through)]
        for kind, own in found.items()
    ]
    return render(("verifier", "cases", "errors", "right ones missed [95 %]", "others called right [95 %]"), rows)


def errors(found: dict[str, Confusion]) -> str:
    """Every case on which a verifier is of another opinion, a line each."""
    return "\n".join(
        f"{kind}: expected {error.case.expected}, found {error.found}: gold {error.case.reference.value[:60]!r}, "
        f"text {error.case.text[-100:]!r} ({'; '.join(filter(None, (error.case.why, error.detail[:100])))})"
        for kind, own in found.items()
        for error in own.errors
    )


def answers(student: str | None) -> Iterator[Answer]:
    """The texts of the last run with their gold answers."""
    problems = {problem.id: problem for problem in read_all(paths.PROBLEMS, Problem)}
    if student is None:
        for trace in read_all(paths.LONG_TRACES, Trace):
            yield Answer(problems[trace.problem_id].reference, trace.text, trace.status)
        return
    scores = [score for score in read_all(paths.SCORES, Score) if score.student == student]
    if not scores:
        raise RecordError(f"{paths.SCORES}: no answer of a student {student!r}")
    for score in scores:
        yield Answer(problems[score.problem_id].reference, score.text, score.status)


def unjudged(found: Iterable[Judged], known: Iterable[Judged]) -> list[Judged]:
    """Those that nobody has judged yet."""
    keys = {case.key for case in known}
    return [case for case in found if case.key not in keys]


def keep(judged: Path, kept: Path = paths.JUDGED) -> int:
    """Add what was judged in a file to what is kept; the last judgement of a case counts. Returns how many are new."""
    if not judged.is_file():
        raise RecordError(f"{judged}: no such file; `audit disagreements` writes what is to be judged")
    before: dict[str, Judged] = {case.key: case for case in read_table(kept, Judged)} if kept.is_file() else {}
    new = {case.key: case for case in read_table(judged, Judged) if case.expected is not None}
    if bad := next((case for case in new.values() if case.expected not in (Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED)), None):
        raise RecordError(f"{judged}: field expected: {bad.expected!r}; allowed: right, wrong, unparsed, or null for not judged")
    every: list[Judged] = sorted({**before, **new}.values(), key=lambda case: case.key)
    write_table(kept, every)
    return len(new.keys() - before.keys())


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.found} of {share.of} [{100 * low:.1f}, {100 * high:.1f}]"


def _confusion(asked: argparse.Namespace) -> None:
    found = confusions(cases(kinds=asked.kind or ()), workers=POOL.workers, timeout_seconds=POOL.timeout_seconds)
    print(table(found))
    if listed := errors(found):
        print(f"\n{listed}")


def _disagreements(asked: argparse.Namespace) -> None:
    found = disagreements(answers(asked.student), workers=POOL.workers, timeout_seconds=POOL.timeout_seconds)
    new = unjudged(found, cases())
    print(f"{len(found)} answers of which number and math do not say the same, {len(new)} of them not judged yet")
    if new:
        write_table(asked.out, new)
        print(f"written to {asked.out}: judge them under `expected`, then: python -m pipeline.commands.audit keep {asked.out}")


def _keep(asked: argparse.Namespace) -> None:
    print(f"{keep(asked.file)} new judgements kept in {paths.JUDGED}")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=_confusion)
    parser.add_argument("--kind", action="append", help="only this verifier; may be given several times")
    modes = parser.add_subparsers()
    listing = modes.add_parser("disagreements", help="where number and math do not say the same, in the last run")
    listing.add_argument("--student", help="this student's answers in place of the teacher's")
    listing.add_argument("--out", type=Path, default=paths.STORE / "audit.jsonl", help="default: %(default)s")
    listing.set_defaults(run=_disagreements)
    keeping = modes.add_parser("keep", help="keep what you judged")
    keeping.add_argument("file", type=Path)
    keeping.set_defaults(run=_keep)
    return parser


if __name__ == "__main__":
    arguments = _arguments().parse_args()
    try:
        arguments.run(arguments)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
