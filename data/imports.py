"""Traces from a file instead of a teacher: a table of traces, or lines that hold a question and a text.

Lines are matched to training problems by their question, white space aside. What matches nothing is counted; a line that
cannot be read is an error that names file, line and field.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import ConfigDict, Field, NonNegativeInt

from data.chat import Format, completion_ids, prompt_ids, to_think, tokenizer_hash
from data.errors import RecordError
from data.records import CONTENT_ID, TEACHER, Problem, Record, Status, Trace, content_id
from data.tables import parse_record, read_lines

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_PROBLEM = "matches no training problem"
FORMAT = "format"


class Gathered(NamedTuple):
    """Long traces, sorted by (problem, draw), and how many draws were left out for which reason."""

    traces: list[Trace]
    dropped: Counter[str]


class TextLine(Record):
    """One line of a file with texts; other fields may stand in the line and are not read."""

    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    text: str
    draw: NonNegativeInt | None = None
    """Tells equal texts of one question apart; else the draws are numbered as they stand in the file."""
    status: Annotated[Status, Field(strict=False)] = Status.OK
    """`truncated` where the text hit a limit."""


@dataclass(frozen=True)
class TextImport:
    """How lines with texts become traces: the tokenizer counts them, the format says how they mark their thinking."""

    tokenizer: PreTrainedTokenizerBase
    written: Format
    instruction: str | None = None

    @cached_property
    def tokenizer_hash(self) -> str:
        """How traces name the tokenizer; it reads the whole vocabulary, so once."""
        return tokenizer_hash(self.tokenizer)


def gathered(traces: Iterable[Trace], dropped: Counter[str]) -> Gathered:
    """Traces in the order of every table, whatever the order in which they came."""
    return Gathered(sorted(traces, key=lambda trace: (trace.problem_id, trace.draw)), dropped)


def import_traces(path: Path, problems: Sequence[Problem], *, how: TextImport) -> Gathered:
    """The long traces that a file holds for these problems. Raises RecordError for bad or duplicate lines and for an empty result."""
    lines = list(read_lines(path))
    if not lines:
        raise RecordError(f"{path}: the file is empty; put one trace, or one object with `question` and `text`, on each line")
    dropped: Counter[str] = Counter()
    reader = _from_table if '"problem_id"' in lines[0][1] else _from_texts
    result = gathered(reader(lines, problems, how=how, dropped=dropped), dropped)
    if not result.traces:
        raise RecordError(
            f"{path}: none of {len(lines)} lines gives a trace of a training problem ({dict(dropped)}); "
            "check the questions and `sample.format`"
        )
    return result


def _from_table(lines: list[tuple[str, str]], problems: Sequence[Problem], *, how: TextImport, dropped: Counter[str]) -> Iterator[Trace]:
    known, seen = {problem.id for problem in problems}, _Seen("id", "problem and draw")
    if own := next((problem_id for problem_id in sorted(known) if not CONTENT_ID.fullmatch(problem_id)), None):
        raise RecordError(
            f"{lines[0][0]}: traces are tied to problems by `problem_id`, and an id of one's own such as {own!r} does not say whether the "
            "question is still the one that they answer; leave `prepare.source.id` out, or import lines with `question` and `text`"
        )
    for place, line in lines:
        trace = parse_record(line, Trace, place=place)
        _check_long(trace, place)
        seen.add(place, trace.id, (trace.problem_id, trace.draw))
        if trace.problem_id not in known:
            dropped[NO_PROBLEM] += 1
        elif trace.status is Status.OK and to_think(trace.text, Format.THINK) is None:
            dropped[FORMAT] += 1
        else:
            yield trace


def _check_long(trace: Trace, place: str) -> None:
    if trace.writer != TEACHER or trace.parent_ids:
        raise RecordError(
            f"{place}: field writer: found {trace.writer!r} with {len(trace.parent_ids)} parents; a long trace has {TEACHER!r} and none"
        )
    expected = Trace.create(**trace.model_dump(exclude={"id", "schema_version"})).id
    if trace.id != expected:
        raise RecordError(f"{place}: field id: found {trace.id!r}, but that of the content is {expected!r}; make traces with Trace.create")


def _from_texts(lines: list[tuple[str, str]], problems: Sequence[Problem], *, how: TextImport, dropped: Counter[str]) -> Iterator[Trace]:
    by_question = {_plain(problem.question): problem for problem in problems}
    seen, next_draw = _Seen("question, text and draw", "question and draw"), defaultdict[str, int](int)
    for place, line in lines:
        told = parse_record(line, TextLine, place=place)
        key = _plain(told.question)
        draw = next_draw[key] if told.draw is None else told.draw
        next_draw[key] += 1
        seen.add(place, (key, told.text, told.draw), (key, draw))
        problem, text = by_question.get(key), _think_text(told, how.written)
        if problem is None or text is None:
            dropped[NO_PROBLEM if problem is None else FORMAT] += 1
        else:
            yield _trace(problem, told, how=how, text=text, draw=draw)


def _plain(question: str) -> str:
    return " ".join(question.split())


def _think_text(told: TextLine, written: Format) -> str | None:
    """The text in the think format; one that hit a limit may stop anywhere and is kept as it is."""
    mapped = to_think(told.text, written)
    return told.text if mapped is None and told.status is Status.TRUNCATED else mapped


def _trace(problem: Problem, told: TextLine, *, how: TextImport, text: str, draw: int) -> Trace:
    return Trace.create(
        problem_id=problem.id,
        parent_ids=(),
        writer=TEACHER,
        settings_id=content_id("import", how.written),
        draw=draw,
        text=text,
        status=told.status,
        prompt_tokens=len(prompt_ids(how.tokenizer, problem.question, how.instruction)),
        completion_tokens=len(completion_ids(how.tokenizer, told.text)),
        tokenizer=how.tokenizer_hash,
    )


class _Seen:
    """Remembers where each key stood; a key that comes back is an error that names both places."""

    def __init__(self, *names: str) -> None:
        self._names, self._places = names, [dict[object, str]() for _ in names]

    def add(self, place: str, *keys: object) -> None:
        for name, places, key in zip(self._names, self._places, keys, strict=True):
            if key in places:
                raise RecordError(f"{place}: duplicate of {places[key]}: the same {name}; delete one line, or give each its own `draw`")
            places[key] = place
