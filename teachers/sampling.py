"""Long traces from a teacher: what to ask for, and the table that the answers make, whatever the order in which they arrive."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from data.chat import Format, prompt_ids, to_think
from data.errors import ParamsError, StageError
from data.imports import FORMAT
from data.records import TEACHER, Problem, Status, Trace, content_id
from teachers.engine import Completion, EngineSpec, Question, Request, SamplingSettings

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
        return content_id("sample", self.sampling._asdict(), self.instruction, self.written, spec.worker.kind, spec.dtype)


class Asked(NamedTuple):
    """A problem and the tokens of its prompt."""

    problem: Problem
    prompt: tuple[int, ...]
    instruction: str | None = None

    def request(self, sampling: SamplingSettings, draw: int) -> Request:
        """One draw of it."""
        return Request(self.prompt, sampling, draw, Question(self.problem.question, self.instruction))


def asked_of(problems: Iterable[Problem], tokenizer: PreTrainedTokenizerBase, recipe: Recipe, *, max_model_length: int) -> Iterator[Asked]:
    """Render the prompts. Raises ParamsError, naming the problem, where one leaves too little room for its completion."""
    room = max_model_length - recipe.sampling.max_tokens
    for problem in problems:
        prompt = tuple(prompt_ids(tokenizer, problem.question, recipe.instruction))
        if len(prompt) > room:
            raise ParamsError(
                f"problem {problem.id}: its prompt has {len(prompt)} tokens, but engine.max_model_length {max_model_length} minus "
                f"sampling.max_tokens {recipe.sampling.max_tokens} leaves {room}; raise the first, lower the second, or drop the problem "
                f"({problem.question[:80]!r})"
            )
        yield Asked(problem, prompt, recipe.instruction)


def requests_of(problems: Iterable[Problem], tokenizer: PreTrainedTokenizerBase, recipe: Recipe, *, max_model_length: int) -> Wanted:
    """`recipe.draws` requests per problem. Raises ParamsError as `asked_of` does."""
    wanted: dict[Request, list[Problem]] = defaultdict(list)
    for asked in asked_of(problems, tokenizer, recipe, max_model_length=max_model_length):
        for draw in range(recipe.draws):
            wanted[asked.request(recipe.sampling, draw)].append(asked.problem)
    return wanted


class Failures:
    """Counts the completions that end in error or timeout, and raises StageError, with the first ten, where they are too many.

    That is more than the share `max_errors`: of the `expected` ones as soon as it is certain and ten are seen, of those seen at the end.
    """

    def __init__(self, *, expected: int, max_errors: float) -> None:
        self.counts: Counter[str] = Counter()
        self._expected, self._max_errors = expected, max_errors
        self._seen = 0
        self._first: list[str] = []

    def note(self, completion: Completion) -> bool:
        """Count a completion; whether it ended well."""
        self._seen += 1
        if completion.status.final:
            return True
        self.counts[completion.status.value] += 1
        if len(self._first) < SHOWN_FAILURES:
            self._first.append(f"draw {completion.request.draw}: {completion.status}: {completion.detail or completion.finish_reason}")
        if self.counts.total() >= SHOWN_FAILURES:
            self._check(self._expected)
        return False

    def close(self) -> None:
        """All completions were seen."""
        self._check(self._seen)

    def _check(self, among: int) -> None:
        if self.counts.total() > self._max_errors * among:
            raise StageError(
                f"{self.counts.total()} completions ended in error or timeout; of {among} at most {self._max_errors:.1%} may (max_errors). "
                "What ended well is kept; failed ones are tried again. The first:\n  " + "\n  ".join(self._first)
            )


def usable(completions: Iterable[Completion], failures: Failures) -> Iterator[Completion]:
    """Pass on what ended well; raises StageError as `failures` does."""
    for completion in completions:
        if failures.note(completion):
            yield completion
    failures.close()


def text_of(completion: Completion, written: Format) -> str | None:
    """What was written, in the think format; None for a finished text that does not follow the format. A cut one may stop anywhere."""
    text = to_think(completion.text, written)
    return completion.text if text is None and completion.status is not Status.OK else text


@dataclass(frozen=True)
class TraceOf:
    """How completions become traces."""

    recipe: Recipe
    settings_id: str
    tokenizer: str

    def all(self, problem: Problem, completions: Iterable[Completion], dropped: Counter[str]) -> Iterator[Trace]:
        """Finished draws that do not follow the format are dropped, truncated ones stay for the verifier to say so."""
        for completion in completions:
            text = text_of(completion, self.recipe.written)
            if text is None:
                dropped[FORMAT] += 1
            else:
                yield self._trace(problem, completion, text)

    def _trace(self, problem: Problem, completion: Completion, text: str) -> Trace:
        return Trace.create(
            problem_id=problem.id,
            parent_ids=(),
            writer=TEACHER,
            settings_id=self.settings_id,
            draw=completion.request.draw,
            text=text,
            status=completion.status,
            prompt_tokens=len(completion.request.prompt_ids),
            completion_tokens=len(completion.token_ids),
            tokenizer=self.tokenizer,
        )
