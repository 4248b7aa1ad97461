"""What compressors share that have a model write: prompts from text files, and the first answer that keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data.chat import prompt_ids, split
from data.errors import ParamsError
from data.records import Problem, Status, Trace
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import AskingSettings
from teachers.engine import Completion, Question, Request, SamplingSettings


def prompt_text(file: str, places: frozenset[str] = frozenset()) -> str:
    """The text of a prompt file. Raises ParamsError where it is not there or lacks one of the `places`, such as `{question}`."""
    path = Path(file)
    if not path.is_file():
        raise ParamsError(f"prompt: {file!r} is no file; name a text file with the places {sorted(places)}")
    text = path.read_text(encoding="utf-8").strip()
    if missing := sorted(place for place in places if place not in text):
        raise ParamsError(f"{file}: the places {missing} are missing; the prompt must say where they go")
    return text


def requests(desk: Desk, settings: AskingSettings, filled: Mapping[str, str]) -> list[Request]:
    """One request per draw, for the prompt with every place filled."""
    text = prompt_text(settings.prompt, frozenset(filled))
    for place, content in filled.items():
        text = text.replace(place, content)
    ids = tuple(prompt_ids(desk.tokenizer, text))
    sampling = SamplingSettings(settings.temperature, settings.top_p, settings.max_tokens)
    return [Request(ids, sampling, draw, Question(text)) for draw in range(settings.draws)]


def first_sound(desk: Desk, problem: Problem, parents: Sequence[Trace], asked: Sequence[Request], *, budget: int | None) -> Trace:
    """The trace of the first answer that keeps the contract. Raises Skipped with the first answer's reason where none does."""
    reasons: list[str] = []
    for request in asked:
        try:
            return desk.write(problem, parents, _written(desk.evidence.answers[request]), budget=budget)
        except Skipped as skipped:
            reasons.append(str(skipped))
    raise Skipped(reasons[0])


def _written(answer: Completion) -> str:
    """What a model wrote, without any thinking of its own."""
    if answer.status is Status.TRUNCATED:
        raise Skipped("the model was cut off")
    if answer.status is not Status.OK:
        raise Skipped(f"the model did not answer: {answer.status.value}")
    text = split(answer.text).answer
    if not text:
        raise Skipped("the model wrote nothing")
    return text
