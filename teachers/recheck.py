"""Verification of short traces on their thinking alone, in two ways.

`stated`: does the thinking state the answer? `continued`: a model goes on from the end of the thinking; is it right in more than
a set share of its draws? Beside it stands the same model's rate from empty thinking, since a strong model needs no thinking at all.
After step entropy's check of shortened thinking (arXiv 2508.03346), with the rate from empty thinking added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from data.chat import begin_answer, join, prompt_ids, split, text_ids
from data.records import Outcome, Problem, Recheck, Trace, Verdict
from data.verifiers.judge import TextCase
from teachers.engine import Completion, Request
from teachers.sampling import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OF_WRONG = "of a wrong draw"
"""Reason of a short trace that can be nothing but a negative."""
Require = Literal["stated", "continued", "both", "either"]


class Probe(NamedTuple):
    """A thinking from which a model goes on. Traces with equal thinking share it."""

    problem: Problem
    thinking: str


Wanted = Mapping[Request, Sequence[Probe]]
"""What is asked, and for which probes."""


@dataclass(frozen=True)
class Rule:
    """What a short trace must pass; `controls` are the writers that are exempt, `wrong` those that shorten wrong draws.

    A thinking carries on to the answer if more than the share `rate` of its continuations is right.
    """

    require: Require
    controls: frozenset[str]
    rate: float = 0.5
    wrong: frozenset[str] = frozenset()


def probe_of(problem: Problem, trace: Trace) -> Probe:
    """The probe of a trace's thinking."""
    return Probe(problem, split(trace.text).thinking)


def empty_probe(problem: Problem) -> Probe:
    """The probe that starts from empty thinking."""
    return Probe(problem, "")


def probes_of(problems: Mapping[str, Problem], traces: Iterable[Trace]) -> list[Probe]:
    """Each trace's probe and the empty one of its problem, each once, in the order of the traces."""
    probes: dict[Probe, None] = {}
    for trace in traces:
        problem = problems[trace.problem_id]
        probes |= {probe_of(problem, trace): None, empty_probe(problem): None}
    return list(probes)


def requests_of(probes: Iterable[Probe], tokenizer: PreTrainedTokenizerBase, recipe: Recipe, *, max_model_length: int) -> Wanted:
    """`recipe.draws` requests per probe. A probe that leaves too little room gets none, and so no continued draws."""
    wanted: dict[Request, list[Probe]] = defaultdict(list)
    for probe in probes:
        begun = text_ids(tokenizer, begin_answer(probe.thinking, recipe.written))
        prompt = (*prompt_ids(tokenizer, probe.problem.question, recipe.instruction), *begun)
        if len(prompt) + recipe.sampling.max_tokens <= max_model_length:
            for draw in range(recipe.draws):
                wanted[Request(prompt, recipe.sampling, draw)].append(probe)
    return wanted


class Tally:
    """Right and all draws of every probe."""

    def __init__(self) -> None:
        self.right: Counter[Probe] = Counter()
        self.draws: Counter[Probe] = Counter()
        self._open: dict[str, Probe] = {}

    def cases(self, completions: Iterable[Completion], wanted: Wanted) -> Iterator[TextCase]:
        """The whole texts to judge: the thinking, and what the model wrote after it."""
        for completion in completions:
            for probe in wanted[completion.request]:
                key = f"{probe.problem.id} {len(self._open)}"
                self._open[key] = probe
                yield TextCase(key, probe.problem.reference, join(probe.thinking, "") + completion.text, completion.status)

    def add(self, verdict: Verdict) -> None:
        """Count the verdict of a case."""
        probe = self._open.pop(verdict.trace_id)
        self.draws[probe] += 1
        self.right[probe] += verdict.outcome is Outcome.RIGHT


def recheck(trace: Trace, problem: Problem, *, stated: Outcome, tally: Tally, rule: Rule) -> Recheck:
    """Both results of a trace, and whether it survives."""
    probe, empty = probe_of(problem, trace), empty_probe(problem)
    right, draws = tally.right[probe], tally.draws[probe]
    survives, reason = _judge(trace.writer, rule, stated=stated is Outcome.RIGHT, continued=(right, draws))
    return Recheck(
        trace_id=trace.id,
        stated=stated,
        continued_right=right,
        continued_draws=draws,
        empty_right=tally.right[empty],
        empty_draws=tally.draws[empty],
        survives=survives,
        reason=reason,
    )


def _judge(writer: str, rule: Rule, *, stated: bool, continued: tuple[int, int]) -> tuple[bool, str]:
    if writer in rule.wrong:
        return False, OF_WRONG
    if writer in rule.controls:
        return True, "control"
    right, draws = continued
    missed = {
        "stated": None if stated else "not stated",
        "continued": None if right > rule.rate * draws else "continued wrong" if draws else "too long to continue from",
    }
    asked = [rule.require] if rule.require in missed else list(missed)
    failures = [text for name in asked if (text := missed[name])]
    failed = len(failures) == len(asked) if rule.require == "either" else bool(failures)
    return (False, ", ".join(failures)) if failed else (True, rule.require)
