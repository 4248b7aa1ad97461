"""What students answer: questions for all of them, token counts by part, and scores once a verifier has spoken."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from data.adapters import is_adapter
from data.chat import CLOSE, OPEN, text_ids
from data.errors import StageError
from data.records import Problem, Score, Split, Verdict
from teachers.engine import Completion, ModelRef, Request, SamplingSettings
from teachers.identity import tokenizer_hash
from teachers.sampling import Failures, Recipe, requests_of, usable

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Mode = Literal["greedy", "draw"]


@dataclass(frozen=True)
class Subject:
    """One student with one seed: its weights, and the text of the system message it is asked with."""

    student: str
    seed: int
    model: ModelRef
    instruction: str | None = None


@dataclass(frozen=True)
class Quiz:
    """What is asked: a greedy answer to every validation and test problem, and `draws` draws of the first `draw_problems` problems of each
    split of `drawn`.
    """

    sampling: SamplingSettings
    draws: int
    draw_problems: int
    max_model_length: int
    drawn: tuple[Split, ...] = (Split.TEST,)


class Answer(NamedTuple):
    """What one subject wrote to one problem."""

    subject: Subject
    problem: Problem
    mode: Mode
    completion: Completion
    thinking_tokens: int

    @property
    def key(self) -> str:
        """Names the answer to a verifier."""
        return f"{self.subject.student}/{self.subject.seed}/{self.mode}/{self.problem.id}/{self.completion.request.draw}"


Questions = Mapping[Request, Sequence[tuple[Problem, Mode]]]
"""What is asked, and what each completion answers."""


def model_at(folder: Path, base: Path) -> ModelRef:
    """The weights of a trained student: a LoRA adapter on `base`, or a model of its own. Raises StageError where there is none."""
    if is_adapter(folder):
        return ModelRef(base, folder)
    if not (folder / "config.json").is_file():
        raise StageError(f"{folder}: no trained model lies here (neither config.json nor adapter_config.json); run `dvc repro` to train it")
    return ModelRef(folder)


def questions(problems: Iterable[Problem], subject: Subject, quiz: Quiz) -> Questions:
    """All that `subject` is asked, in the order of `problems`. Raises ParamsError where a prompt leaves too little room."""
    asked = [problem for problem in problems if problem.split in (Split.VALIDATION, Split.TEST)]
    drawn = [problem for split in quiz.drawn for problem in [own for own in asked if own.split is split][: quiz.draw_problems]]
    greedy = Recipe(quiz.sampling._replace(temperature=0.0, top_p=1.0), 1, subject.instruction)
    parts: list[tuple[Mode, list[Problem], Recipe]] = [
        ("greedy", asked, greedy),
        ("draw", drawn, Recipe(quiz.sampling, quiz.draws, subject.instruction)),
    ]
    found: dict[Request, list[tuple[Problem, Mode]]] = defaultdict(list)
    for mode, of_mode, recipe in parts:
        wanted = requests_of(of_mode, tokenizer_of(subject.model), recipe, max_model_length=quiz.max_model_length)
        for request, owners in wanted.items():
            found[request] += [(problem, mode) for problem in owners]
    return found


def answers(completions: Iterable[Completion], asked: Questions, subject: Subject) -> Iterator[Answer]:
    """The answers in `completions`, in the order of arrival. An engine's error is no wrong answer: it raises StageError at the end."""
    tokenizer = tokenizer_of(subject.model)
    for completion in usable(completions, Failures(expected=len(asked), max_errors=0)):
        thinking = thinking_tokens(tokenizer, completion)
        yield from (Answer(subject, problem, mode, completion, thinking) for problem, mode in asked[completion.request])


def scores(given: Iterable[Answer], verdicts: Mapping[str, Verdict], ranks: Mapping[str, Mapping[str, float]]) -> list[Score]:
    """Answers with their verdicts and what rankers say of some of them (both by `Answer.key`) as a sorted table."""
    rows = [_score(answer, verdicts[answer.key], ranks.get(answer.key, {})) for answer in given]
    return sorted(rows, key=lambda row: (row.student, row.seed, row.split, row.mode, row.problem_id, row.draw))


def _score(answer: Answer, verdict: Verdict, ranks: Mapping[str, float]) -> Score:
    completion = answer.completion
    return Score(
        student=answer.subject.student,
        seed=answer.subject.seed,
        problem_id=answer.problem.id,
        split=answer.problem.split,
        mode=answer.mode,
        draw=completion.request.draw,
        outcome=verdict.outcome,
        extracted=verdict.extracted,
        status=completion.status,
        thinking_tokens=answer.thinking_tokens,
        answer_tokens=len(completion.token_ids) - answer.thinking_tokens,
        text=completion.text,
        ranks=dict(ranks),
    )


def thinking_tokens(tokenizer: PreTrainedTokenizerBase, completion: Completion) -> int:
    """Generated tokens up to and including the first `</think>`; all of them where the thinking never ends, none without tags."""
    token_ids = completion.token_ids
    if CLOSE not in completion.text:
        return len(token_ids) if OPEN in completion.text else 0
    closing = text_ids(tokenizer, CLOSE)
    if len(closing) == 1 and closing[0] in token_ids:
        return token_ids.index(closing[0]) + 1
    # The tag is spelled in several tokens, and its last one may hold more text: take the shortest prefix that holds all of it.
    return bisect_left(
        range(len(token_ids)), True, key=lambda end: CLOSE in tokenizer.decode(list(token_ids[:end]), skip_special_tokens=False)
    )


def tokenizer_of(model: ModelRef) -> PreTrainedTokenizerBase:
    """The tokenizer that engines use for `model`; that of the base under an adapter."""
    return _tokenizer_in(model.folder.resolve(), tokenizer_hash(model.folder))


@lru_cache(maxsize=4)
def _tokenizer_in(folder: Path, content: str) -> PreTrainedTokenizerBase:
    """Cached by place and content: a student that is trained again, or a run elsewhere, may put another tokenizer into the same folder."""
    from teachers.decoding import Decoder

    return Decoder(folder).tokenizer
