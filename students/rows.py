"""Lessons as token rows: the prompt is read, the completion and its end token are learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from data.chat import completion_ids, prompt_ids, text_ids
from data.errors import ParamsError, StageError
from data.records import Lesson, Role
from students.settings import Training

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a position that is not learnt."""
OVERLONG = "longer than max_length"
POOL_BATCHES = 16


class Row(NamedTuple):
    """One lesson in tokens; `labels[t]` is `input_ids[t]` where it is learnt, else IGNORED (the model shifts)."""

    trace_id: str
    question: str
    completion: str
    input_ids: list[int]
    labels: list[int]
    wrong: bool = False
    """Whether it is a wrong trace or the worse side of a pair."""
    pair: tuple[str, int] | None = None
    """The pair that it is a side of."""
    ends: bool = True
    """Whether it ends with the end token: a text that was cut at a limit does not."""


class Encoded(NamedTuple):
    """The rows that are trained, and why the others are not."""

    rows: list[Row]
    dropped: Counter[str]
    longest: tuple[str, int]
    """Trace and tokens of the longest row, dropped or not."""


def encode(lessons: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, training: Training, *, instruction: str | None = None) -> Encoded:
    """Rows of all lessons but the dropped ones. Rows over `max_length`, and pairs with such a side, are dropped and counted, never cut:
    a cut row teaches never to stop. How many may be, students/preflight.py says.

    Raises StageError if there is nothing to train.
    """
    rows = [_row(lesson, tokenizer, instruction) for lesson in lessons if lesson.role is not Role.DROPPED]
    if not rows:
        raise StageError("every lesson has the role `dropped`: there is nothing to train; look at the lessons' reasons and at compose")
    long = {row.pair or row.trace_id for row in rows if len(row.input_ids) > training.max_length}
    kept = [row for row in rows if (row.pair or row.trace_id) not in long]
    longest = max(rows, key=lambda row: len(row.input_ids))
    dropped = Counter({OVERLONG: len(rows) - len(kept)} if len(rows) > len(kept) else {})
    return Encoded(kept, dropped, (longest.trace_id, len(longest.input_ids)))


def _row(lesson: Lesson, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> Row:
    prompt = prompt_ids(tokenizer, lesson.question, instruction)
    completion = completion_ids(tokenizer, lesson.completion) if lesson.ends else text_ids(tokenizer, lesson.completion)
    labels = [IGNORED] * len(prompt) + completion
    pair = None if lesson.pair is None else (lesson.problem_id, lesson.pair)
    wrong = lesson.role in (Role.NEGATIVE, Role.REJECTED)
    return Row(lesson.trace_id, lesson.question, lesson.completion, prompt + completion, labels, wrong, pair, lesson.ends)


def from_fork(rows: Sequence[Row], *, alone: bool) -> list[Row]:
    """The rows, with wrong ones learnt from their fork on: the first token that no right row of the same question has there. `alone`: it
    and nothing behind it. A wrong row without a right one is learnt whole, or from its first token.
    """
    right: dict[str, list[list[int]]] = {}
    for row in rows:
        if not row.wrong:
            right.setdefault(row.question, []).append(row.input_ids)
    return [_from_fork(row, right.get(row.question, []), alone=alone) if row.wrong else row for row in rows]


def _from_fork(row: Row, right: Sequence[list[int]], *, alone: bool) -> Row:
    start = len(row.labels) - len(supervised(row))
    fork = max([start, *(_shared(row.input_ids, other) for other in right)])
    end = min(fork + 1, len(row.labels)) if alone else len(row.labels)
    return row._replace(labels=[IGNORED] * fork + row.labels[fork:end] + [IGNORED] * (len(row.labels) - end))


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two rows begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def supervised(row: Row) -> list[int]:
    """The tokens of a row that are learnt."""
    return [label for label in row.labels if label != IGNORED]


def ending_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows that teach how a text ends: the right ones, or where there are none the wrong ones."""
    ending = [row for row in rows if row.ends]
    return [row for row in ending if not row.wrong] or ending


def steps_of(rows: int, training: Training) -> int:
    """How many optimizer steps the epochs make; every step has exactly `batch_rows` rows."""
    return max(1, round(training.epochs * rows / training.batch_rows))


def layout(rows: Sequence[Row], training: Training, *, seed: int) -> list[int]:
    """Indices of the rows in the order of training, both sides of a pair in one batch."""
    units = _units(rows)
    width = max(map(len, units))
    if training.batch_rows % width:
        raise ParamsError(f"batch_rows: {training.batch_rows} divides pairs; give an even number of batch_rows")
    lengths = [max(len(rows[index].input_ids) for index in unit) for unit in units]
    return [index for unit in training_order(lengths, training, seed=seed, width=width) for index in units[unit]]


def _units(rows: Sequence[Row]) -> list[list[int]]:
    """What stays together: pairs, and every row without one by itself."""
    units: dict[object, list[int]] = {}
    for index, row in enumerate(rows):
        units.setdefault(row.pair or index, []).append(index)
    return list(units.values())


def training_order(lengths: Sequence[int], training: Training, *, seed: int, width: int = 1) -> list[int]:
    """Indices of units of `width` rows in the order of training: `steps_of` batches of exactly `batch_rows` rows, back to back.

    Epochs are permutations laid end to end, so that no unit is seen more than once more often than another. Within pools of
    `POOL_BATCHES` batches units of similar length share a batch (little padding), and the batches of a pool are shuffled
    (no drift of lengths). The order depends on the arguments alone, so a resumed training sees the same rows.
    """
    rng, size = Random(f"rows:{seed}"), training.batch_rows // width
    total = steps_of(len(lengths) * width, training) * size
    stream: list[int] = []
    while len(stream) < total:
        stream.extend(rng.sample(range(len(lengths)), len(lengths)))
    order: list[int] = []
    for start in range(0, total, size * POOL_BATCHES):
        pool = sorted(stream[start : min(start + size * POOL_BATCHES, total)], key=lambda row: lengths[row])
        batches = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        order.extend(row for batch in batches for row in batch)
    return order
