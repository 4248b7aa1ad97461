"""The model card of a student: README.md with YAML front matter, as the Hugging Face hub reads it. The same facts give the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from data.chat import QUESTION


class Source(NamedTuple):
    """A model or a data set that this student comes from: its name (a hub name where `revision` is given) and its licence."""

    name: str
    revision: str | None
    licence: str


class Interval(NamedTuple):
    """A number with its 95 % interval; a bound is None where there is none."""

    value: float
    low: float | None
    high: float | None


class Measured(NamedTuple):
    """Greedy answers of one student to the test problems. Shares are 0 to 1; tokens count thinking and answer of one question."""

    student: str
    accuracy: Interval
    tokens: Interval
    unfinished: Interval


class Training(NamedTuple):
    """How the student learnt: words for the objective and for what its rows are, rows, and settings worth knowing."""

    objective: str
    lessons: str
    rows: int
    settings: Mapping[str, Any]


class Serving(NamedTuple):
    """How the folder is served and used, and what the serve check found."""

    commands: Sequence[str]
    name: str
    instruction: str | None
    max_tokens: int
    checked: str


class Drawn(NamedTuple):
    """How right the student's draws are, beside its greedy answers."""

    temperature: float
    top_p: float
    accuracy: Interval
    greedy_only: bool
    """They are so much worse that it should not be sampled."""


class CardFacts(NamedTuple):
    """Everything that a card says."""

    title: str
    student: str
    seed: int
    base: Source
    teacher: Source
    data: Source
    task: str
    problems: Mapping[str, int]
    """Split → problems."""
    training: Training
    rule: str
    measured: Sequence[Measured]
    """The student itself first, then those it is compared with."""
    difference: Interval | None
    """Accuracy minus that of the long student, paired by problem."""
    serving: Serving
    drawn: Drawn | None = None
    """None: nothing was drawn."""


def card(facts: CardFacts) -> str:
    """The whole README.md."""
    sections = [
        _front_matter(facts),
        f"# {facts.title}\n\n{_summary(facts)}",
        f"## Serve it\n\n{_serving(facts.serving)}",
        f"## Numbers\n\n{_numbers(facts)}",
        f"## Data, teacher and method\n\n{_making(facts)}",
        f"## Limits\n\n{_limits(facts)}",
        f"## Licence\n\n{_licence(facts)}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: CardFacts) -> str:
    own = facts.measured[0]
    values: dict[str, Any] = {
        "license": facts.base.licence.lower(),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "tags": ["reasoning", "chain-of-thought", "distillation", "shortcot"],
    }
    if facts.base.revision:
        values["base_model"] = facts.base.name
    if facts.data.revision:
        values["datasets"] = [facts.data.name]
    metrics = [
        {"type": "accuracy", "name": "accuracy (greedy)", "value": round(own.accuracy.value, 4)},
        {"type": "mean_tokens", "name": "tokens per question, thinking and answer", "value": round(own.tokens.value, 1)},
    ]
    result = {
        "task": {"type": "text-generation"},
        "dataset": {"type": facts.data.name, "name": facts.task, "split": "test"},
        "metrics": metrics,
    }
    values["model-index"] = [{"name": facts.title, "results": [result]}]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _summary(facts: CardFacts) -> str:
    return (
        f"A small reasoning model that thinks briefly. It is the student `{facts.student}` (seed {facts.seed}), trained from "
        f"{_named(facts.base)} on shortened reasoning of {_named(facts.teacher)}. It writes its thinking between `<think>` and "
        "`</think>` by itself, then the final statement; thinking is always on."
    )


def _serving(serving: Serving) -> str:
    return (
        "In this folder:\n\n```sh\n" + "\n".join(serving.commands) + "\n```\n\n"
        f"Ask `/v1/chat/completions` for the model `{serving.name}` with `max_tokens` of {serving.max_tokens} and `temperature` 0. The "
        "thinking comes as `message.reasoning` (`reasoning_content` in older servers), the final statement as `message.content`. "
        f"{_asking(serving.instruction)}\n\n{serving.checked}"
    )


def _asking(instruction: str | None) -> str:
    if instruction is None:
        return "No system message is needed."
    shown = "\n".join(f"> {line}".rstrip() for line in instruction.splitlines())
    if QUESTION in instruction:
        return f"It was trained with questions in this message; put yours in place of `{QUESTION}`:\n\n{shown}"
    return f"It was trained with this system message; send it with every request:\n\n{shown}"


def _numbers(facts: CardFacts) -> str:
    rows = [f"| `{m.student}` | {_percent(m.accuracy)} | {_count(m.tokens)} | {_percent(m.unfinished)} |" for m in facts.measured]
    table = "\n".join(["| student | accuracy | tokens per question | unfinished |", "|---|---|---|---|", *rows])
    compared = (
        ""
        if facts.difference is None
        else (f"\n\nPaired difference in accuracy to the student taught the long reasoning: {_points(facts.difference)} points.")
    )
    return (
        f"Greedy answers to {facts.problems['test']} test problems of the task `{facts.task}`; tokens are thinking plus answer; "
        f"in brackets 95 % intervals from a bootstrap over problems.\n\n{table}{compared}\n\n"
        f"This student was chosen on {facts.problems['validation']} validation problems, not on the test problems. The rule: {facts.rule}"
    )


def _making(facts: CardFacts) -> str:
    training = facts.training
    settings = ", ".join(f"{name} {value}" for name, value in training.settings.items())
    return (
        f"- Data: {_named(facts.data)}, licence {facts.data.licence}; {facts.problems['train']} training problems. "
        "Problems that share text with an evaluation problem were dropped before sampling.\n"
        f"- Teacher: {_named(facts.teacher)}, licence {facts.teacher.licence}. Its draws were verified against the gold answers; "
        "right ones were shortened, and short ones were verified again on their thinking alone.\n"
        f"- Method: {training.objective}; {training.rows} rows ({training.lessons}); the loss counts the completion alone.\n"
        f"- Settings: {settings}."
    )


def _limits(facts: CardFacts) -> str:
    unfinished, drawn = facts.measured[0].unfinished, facts.drawn
    sampled = (
        ""
        if drawn is None
        else (
            f"- Drawn at temperature {drawn.temperature:g} with top_p {drawn.top_p:g}, {_percent(drawn.accuracy)} of its answers are right"
            f"{': ask it greedily (`temperature` 0), as it was measured' if drawn.greedy_only else ''}.\n"
        )
    )
    return sampled + (
        f"- It was trained and measured on the task `{facts.task}` in English alone; on anything else nothing is known.\n"
        f"- {_percent(unfinished)} of its answers did not end within {facts.serving.max_tokens} tokens: set `max_tokens`.\n"
        "- Its thinking was selected for a right final answer, not for right steps: a right answer can stand on wrong steps.\n"
        "- It was not tuned for safety and refuses nothing by design; do not use it where a wrong answer does harm."
    )


def _licence(facts: CardFacts) -> str:
    return (
        f"The weights derive from {_named(facts.base)} and carry its licence, {facts.base.licence}. The training text was written by "
        f"{_named(facts.teacher)} ({facts.teacher.licence}) for problems of {_named(facts.data)} ({facts.data.licence}); "
        "their terms apply as well."
    )


def _named(source: Source) -> str:
    return f"`{source.name}`" + (f" at revision `{source.revision}`" if source.revision else "")


def _bounds(number: Interval, write: str, scale: float) -> str:
    low, high = ("–" if bound is None else format(scale * bound + 0.0, write) for bound in (number.low, number.high))
    return f"{format(scale * number.value + 0.0, write)}{{}} [{low}, {high}]"


def _percent(number: Interval) -> str:
    return _bounds(number, ".1f", 100).format(" %")


def _points(number: Interval) -> str:
    return _bounds(number, "+.1f", 100).format("")


def _count(number: Interval) -> str:
    return _bounds(number, ".1f", 1).format("")
