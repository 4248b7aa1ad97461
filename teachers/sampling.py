"""Long traces from a teacher: what to ask for, and the table that the answers make, whatever the order in which they arrive."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.chat import Format, prompt_ids, to_think
from data.errors import ParamsError, StageError
from data.imports import FORMAT, Gathered, gathered
from data.records import TEACHER, Problem, Status, Trace, content_id
from teachers.engine import Completion, EngineSpec, Request, SamplingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN_FAILURES = 10
Wanted = Mapping[Request, Sequence[Problem]]
"""What is asked, and which problems it answers; problems with equal prompts share their draws."""


@dataclass(frozen=True)
class Recipe:
    """How traces are drawn."""

    sampling: SamplingSettings
    draws: int
    instruction: str | None = None
    written: Format = Format.THINK

    def settings_id(self, spec: EngineSpec) -> str:
        """A hash of whatever shapes the text; paths, batch sizes and other ways to get the same text are not part of it."""
        return content_id("sample", self.sampling._asdict(), self.instruction, self.written, spec.kind, spec.dtype)


def requests_of(problems: Sequence[Problem], tokenizer: PreTrainedTokenizerBase, recipe: Recipe, *, max_model_length: int) -> Wanted:
    """`recipe.draws` requests per problem. Raises ParamsError, naming the problem, where a prompt leaves too little room."""
    wanted: dict[Request, list[Problem]] = defaultdict(list)
    room = max_model_length - recipe.sampling.max_tokens
    for problem in problems:
        prompt = tuple(prompt_ids(tokenizer, problem.question, recipe.instruction))
        if len(prompt) > room:
            raise ParamsError(
                f"problem {problem.id}: its prompt has {len(prompt)} tokens, but engine.max_model_length {max_model_length} minus "
                f"sampling.max_tokens {recipe.sampling.max_tokens} leaves {room}; raise the first, lower the second, or drop the problem "
                f"({problem.question[:80]!r})"
            )
        for draw in range(recipe.draws):
            wanted[Request(prompt, recipe.sampling, draw)].append(problem)
    return wanted


def usable(completions: Iterable[Completion], dropped: Counter[str], *, expected: int, max_errors: float) -> Iterator[Completion]:
    """Pass on what ended well and count the rest by status.

    Raises StageError, with the first ten failures, where more than `max_errors` of the `expected` completions end in error or
    timeout: as soon as that is certain and ten are seen, or at the end.
    """
    failures: list[str] = []
    for completion in completions:
        if completion.status.final:
            yield completion
            continue
        dropped[completion.status.value] += 1
        failures.append(f"draw {completion.request.draw}: {completion.status}: {completion.detail or completion.finish_reason}")
        if len(failures) >= SHOWN_FAILURES:
            _check_failures(failures, expected, max_errors)
    _check_failures(failures, expected, max_errors)


def _check_failures(failures: list[str], expected: int, max_errors: float) -> None:
    if len(failures) > max_errors * expected:
        raise StageError(
            f"{len(failures)} of {expected} completions ended in error or timeout; at most {max_errors:.1%} may (max_errors). "
            "What ended well is kept; failed ones are tried again. The first:\n  " + "\n  ".join(failures[:SHOWN_FAILURES])
        )


def traces_of(completions: Iterable[Completion], wanted: Wanted, *, recipe: Recipe, settings_id: str, tokenizer: str) -> Gathered:
    """The table of traces; finished draws that do not follow the format are dropped, truncated ones stay for the verifier to say so."""
    dropped: Counter[str] = Counter()
    traces: list[Trace] = []
    for completion in completions:
        owners, text = wanted[completion.request], to_think(completion.text, recipe.written)
        if text is None and completion.status is Status.OK:
            dropped[FORMAT] += len(owners)
            continue
        kept = completion.text if text is None else text
        traces += (_trace(problem, completion, text=kept, settings_id=settings_id, tokenizer=tokenizer) for problem in owners)
    return gathered(traces, dropped)


def _trace(problem: Problem, completion: Completion, *, text: str, settings_id: str, tokenizer: str) -> Trace:
    return Trace.create(
        problem_id=problem.id,
        parent_ids=(),
        writer=TEACHER,
        settings_id=settings_id,
        draw=completion.request.draw,
        text=text,
        status=completion.status,
        prompt_tokens=len(completion.request.prompt_ids),
        completion_tokens=len(completion.token_ids),
        tokenizer=tokenizer,
    )
