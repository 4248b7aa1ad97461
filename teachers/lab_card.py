"""What is measured of the lab's models, and the cards that say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from data.chat import split, text_ids
from data.records import Outcome, Reference, Status
from data.statement import split_answer
from data.tasks.lab_text import Habits

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Attempt(NamedTuple):
    """One judged draw of one problem."""

    problem_id: str
    reference: Reference
    text: str
    status: Status
    outcome: Outcome


class Built(NamedTuple):
    """The size of a model and of its training."""

    parameters: int
    layers: int
    width: int
    tokens: int


@dataclass(frozen=True)
class Measured:
    """Properties of a model over problems that it has never seen."""

    problems: int
    draws: int
    right: float
    """Share of right draws."""
    mixed: float
    """Share of problems with both right and other draws."""
    unfinished: float
    """Share of draws that were cut at the token limit."""
    thinking_tokens: float
    """Mean over finished draws."""
    short_tokens: float
    """Mean of the short solution after the thinking, without the final statement."""
    recoveries: float
    """Share of draws in which a slip was noticed and put right."""


def measure(attempts: Iterable[Attempt], tokenizer: PreTrainedTokenizerBase) -> Measured:
    """Sum up the attempts; every problem must have equally many."""
    by_problem: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_problem[attempt.problem_id].append(attempt)
    all_attempts = [attempt for group in by_problem.values() for attempt in group]
    finished = [(split(attempt.text), attempt.reference) for attempt in all_attempts if attempt.status is Status.OK]
    shorts = [found.before for parts, reference in finished if (found := split_answer(parts.answer, reference)) is not None]
    rights = [sum(a.outcome is Outcome.RIGHT for a in group) for group in by_problem.values()]
    return Measured(
        problems=len(by_problem),
        draws=len(all_attempts) // len(by_problem),
        right=sum(rights) / len(all_attempts),
        mixed=sum(0 < right < len(group) for right, group in zip(rights, by_problem.values(), strict=True)) / len(by_problem),
        unfinished=_share(attempt.status is not Status.OK for attempt in all_attempts),
        thinking_tokens=_mean([len(text_ids(tokenizer, parts.thinking)) for parts, _ in finished]),
        short_tokens=_mean([len(text_ids(tokenizer, short)) for short in shorts]),
        recoveries=_share("wait," in attempt.text for attempt in all_attempts),
    )


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


CARD = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
---
# shortcot lab: {name}

{what} {parameters:,} parameters: {layers} layers, width {width}, Qwen3 architecture, untied head, float32.
Trained from random weights on {tokens:,} tokens of generated text (`python -m pipeline.commands.lab_models {name}`).
Measured by `python -m pipeline.commands.lab_cards` on {problems} generated problems of the split `fresh`, which no model was trained on
and no run evaluates:

| property | measured |
|---|---|
{rows}
"""
WHAT = {
    "teacher": (
        "The teacher plans, computes step by step, checks, slips and recovers, then writes a short solution and the answer. "
        f"In its training texts a step slips with probability {Habits.slip}, and a check finds {Habits.caught:.0%} of the slips."
    ),
    "student": "The base student knows the language, one-step arithmetic and looking up a named fact among distractors, and no chains.",
}


def card(name: str, measured: Measured, built: Built) -> str:
    """The model card of `teacher` or `student`."""
    rows = [
        ("right answers, share of draws", f"{measured.right:.1%} ({measured.draws} draws of each problem, temperature 1)"),
        ("unfinished draws", f"{measured.unfinished:.1%}"),
    ]
    if name == "teacher":
        rows += [
            (f"problems with both right and other draws among {measured.draws}", f"{measured.mixed:.1%}"),
            ("mean thinking tokens", f"{measured.thinking_tokens:.1f}"),
            ("mean tokens of the short solution after it", f"{measured.short_tokens:.1f}"),
            ("thinking : short solution", f"{measured.thinking_tokens / measured.short_tokens:.2f}" if measured.short_tokens else "–"),
            ("draws with a slip that was noticed and put right", f"{measured.recoveries:.1%}"),
        ]
    table = "\n".join(f"| {label} | {value} |" for label, value in rows)
    return CARD.format(name=name, what=WHAT[name], problems=measured.problems, rows=table, **built._asdict())
