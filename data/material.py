"""What can be taught: usable traces, wrong traces, and the reason for every trace that is not usable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from data.difficulty import is_first, pass_rate
from data.lineage import origin
from data.negatives import Negative, negative, tokens_of
from data.pairs import Choices, Side
from data.records import TEACHER, Outcome, Problem, Recheck, Trace
from data.statement import lesson_text

USABLE = "right"
NO_STATEMENT = "no final statement"
NOT_SURVIVED = "did not survive"


@dataclass
class Material:
    """All traces of a run, sorted out; every list of a problem's traces is in draw order."""

    problems: Mapping[str, Problem]
    traces: dict[str, list[Trace]] = field(default_factory=lambda: defaultdict(list))
    """Writer → all its traces."""
    usable: dict[str, dict[str, list[Trace]]] = field(default_factory=lambda: defaultdict(dict))
    """Writer → problem → its usable traces."""
    texts: dict[str, str] = field(default_factory=dict)
    """Trace → the exact completion that it teaches."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Trace → why it cannot be taught."""
    wrong: dict[str, dict[str, list[Negative]]] = field(default_factory=lambda: defaultdict(dict))
    """Writer → problem → its wrong traces."""
    drawn: dict[str, list[tuple[Outcome, float]]] = field(default_factory=lambda: defaultdict(list))
    """Problem → what each of the teacher's draws that every problem gets is, and its length as a lesson in tokens."""

    def add(self, trace: Trace, reason: str | None) -> None:
        """Take in a trace, in draw order; `reason` says why it cannot be used, None that it can."""
        text = lesson_text(trace, self.problems[trace.problem_id].reference) if reason is None else None
        self.traces[trace.writer].append(trace)
        if text is None:
            self.reasons[trace.id] = reason or NO_STATEMENT
        else:
            self.texts[trace.id] = text
            self.usable[trace.writer].setdefault(trace.problem_id, []).append(trace)

    def add_wrong(self, found: Negative) -> None:
        """Take in a wrong trace, in draw order."""
        self.traces[found.trace.writer].append(found.trace)
        self.reasons[found.trace.id] = found.flaw.value
        self.wrong[found.trace.writer].setdefault(found.trace.problem_id, []).append(found)

    def choices(self, problem: str) -> Choices:
        """What pairs of one problem can be made of."""
        right = {
            writer: [Side(trace, self.texts[trace.id], USABLE) for trace in of_problem.get(problem, [])]
            for writer, of_problem in self.usable.items()
        }
        wrong = {writer: of_problem.get(problem, []) for writer, of_problem in self.wrong.items()}
        drawn = self.drawn[problem]
        lengths = [tokens for outcome, tokens in drawn if outcome is Outcome.RIGHT]
        rate = pass_rate(outcome for outcome, _ in drawn)
        return Choices(right, wrong, rate, fmean(lengths) if lengths else None)


class Said(NamedTuple):
    """What verifiers say of all traces."""

    long: Mapping[str, Outcome]
    short: Mapping[str, Recheck]
    thought_right: Set[str] = frozenset()
    """The traces whose thinking states the right answer: a wrong one among them contradicts itself."""


def material(problems: Mapping[str, Problem], traces: Sequence[Trace], said: Said, *, first: int | None = None) -> Material:
    """All long and short traces with what is said of them, `traces` in draw order.

    Pass rates come from the `first` draws (None: all; see data/difficulty.py).
    """
    result = Material(problems)
    by_id = {trace.id: trace for trace in traces}
    for trace in traces:
        outcome = said.long[origin(trace, by_id).id]
        reference = problems[trace.problem_id].reference
        if trace.writer == TEACHER and is_first(trace, first):
            result.drawn[trace.problem_id].append((outcome, tokens_of(lesson_text(trace, reference) or trace.text, trace)))
        found = negative(trace, outcome, reference, thought_right=trace.id in said.thought_right)
        if found is not None:
            result.add_wrong(found)
        elif trace.writer == TEACHER:
            result.add(trace, None if outcome is Outcome.RIGHT else outcome.value)
        else:
            again = said.short[trace.id]
            result.add(trace, None if again.survives else f"{NOT_SURVIVED}: {again.reason}")
    return result
