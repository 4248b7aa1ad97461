"""Which problems go to which split: gold answers that hold, a stable shuffle, the asked counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data.dedup import Drop, drop
from data.errors import StageError
from data.records import Outcome, Problem, Split, Status, Verdict, content_id
from data.verifiers.judge import TextCase, gold_text

EVALUATION_FIRST = (Split.TEST, Split.FRESH, Split.VALIDATION, Split.TRAIN)


def gold_cases(problems: Iterable[Problem]) -> list[TextCase]:
    """Every gold answer, stated as a writer would, as a text to judge; keys are positions."""
    return [TextCase(str(index), problem.reference, gold_text(problem.reference), Status.OK) for index, problem in enumerate(problems)]


def with_right_gold(problems: Sequence[Problem], verdicts: Iterable[Verdict]) -> tuple[list[Problem], list[Drop]]:
    """The problems whose gold answer is right by its own verifier; `verdicts` are those of `gold_cases`, in any order."""
    found = {int(verdict.trace_id): verdict for verdict in verdicts}
    kept: list[Problem] = []
    drops: list[Drop] = []
    for index, problem in enumerate(problems):
        verdict = found[index]
        if verdict.outcome is Outcome.RIGHT:
            kept.append(problem)
        else:
            drops.append(drop(problem, f"gold answer is {verdict.outcome.value}", detail=verdict.detail))
    return kept, drops


def evaluation_first(problems: Iterable[Problem]) -> list[Problem]:
    """Problems so ordered that of two equal ones the evaluation's stands first."""
    return sorted(problems, key=lambda problem: EVALUATION_FIRST.index(problem.split))


def part(problems: Iterable[Problem], split: Split) -> list[Problem]:
    """The problems of one split, in their order."""
    return [problem for problem in problems if problem.split is split]


def shuffled(problems: Iterable[Problem], seed: int) -> list[Problem]:
    """A fixed random order by a hash of seed and id: a problem that is dropped moves no other."""
    return sorted(problems, key=lambda problem: content_id("shuffle", seed, problem.id))


def give_up(train: Sequence[Problem], count: int) -> tuple[list[Problem], list[Problem]]:
    """The first `count` training problems as validation, and the rest."""
    return [problem.model_copy(update={"split": Split.VALIDATION}) for problem in train[:count]], list(train[count:])


def take(problems: Sequence[Problem], split: Split, count: int) -> list[Problem]:
    """The first `count` problems of a split; too few are an error."""
    if len(problems) < count:
        raise StageError(
            f"prepare.{split.value}: {count} problems are asked for, {len(problems)} remain after the checks; "
            f"ask for at most {len(problems)}, or give a larger source (reasoning_gym: raise prepare.source.spare)"
        )
    return list(problems[:count])
