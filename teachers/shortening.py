"""Every compressor of a run over what it works on: the long traces of every problem, or what another compressor made of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from data.chat import split, text_ids, tokenizer_hash
from data.errors import RecordError
from data.records import Problem, Trace, content_id
from teachers.compressors.asking import prompt_text
from teachers.compressors.contract import Asking, Compressor, Desk, Evidence, Skipped
from teachers.compressors.registry import build
from teachers.compressors.settings import AnyCompression, AskingSettings, ByDifficulty

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from teachers.engine import Request


class Work(NamedTuple):
    """What compressors are given of one problem: the traces to shorten, and the long trace that budgets are shares of."""

    problem: Problem
    traces: Sequence[Trace]
    long: Trace


@dataclass
class Shortened:
    """Short traces, and how many problems each compressor left out for which reason."""

    made: dict[str, dict[str, list[Trace]]] = field(default_factory=lambda: defaultdict(dict))
    """Problem → compressor → its traces."""
    dropped: Counter[str] = field(default_factory=Counter)

    def work(self, drawn: Sequence[tuple[Problem, Sequence[Trace]]], *, of: str | None) -> list[Work]:
        """What there is to shorten: the long traces of each problem, or what the compressor `of` made of them, which may be nothing."""
        return [Work(problem, own if of is None else self.made[problem.id].get(of, []), own[0]) for problem, own in drawn]

    def table(self) -> list[Trace]:
        """The traces in the order of their table."""
        traces = (trace for of_problem in self.made.values() for own in of_problem.values() for trace in own)
        return sorted(traces, key=lambda trace: (trace.problem_id, trace.writer, trace.draw, trace.id))


class Shortener:
    """Compressors that work on the same traces."""

    def __init__(self, compressors: Mapping[str, AnyCompression], tokenizer: PreTrainedTokenizerBase, evidence: Evidence) -> None:
        self._tokenizer, self._hash, self._evidence = tokenizer, tokenizer_hash(tokenizer), evidence
        self._settings = compressors
        self._compressors: dict[str, Compressor] = {
            name: build(settings, Desk(name, settings_id(settings), tokenizer, evidence)) for name, settings in self._settings.items()
        }

    def shorten(self, work: Work, *, into: Shortened) -> None:
        """Add the short traces of one problem, or the reasons why there are none."""
        self._check_counts(work.traces)
        made = into.made[work.problem.id]
        for name, settings in self._settings.items():
            try:
                if not work.traces:
                    raise Skipped(f"no trace of {settings.of}")
                made[name] = self._compressors[name].compress(work.problem, work.traces, self._budget(settings, work, made))
            except Skipped as skipped:
                into.dropped[f"{name}: {skipped}"] += 1

    def requests(self, work: Work) -> list[Request]:
        """What a model must answer before the traces of this problem are shortened."""
        found: list[Request] = []
        for name, compressor in self._compressors.items():
            if isinstance(compressor, Asking) and work.traces:
                with suppress(Skipped):  # it will say so again when it compresses
                    found += compressor.requests(work.problem, work.traces, self._budget(self._settings[name], work, {}))
        return found

    def _budget(self, settings: AnyCompression, work: Work, made: Mapping[str, Sequence[Trace]]) -> int | None:
        """The thinking tokens that are asked for: those of the trace whose length is matched, or a share of the first right draw's."""
        if settings.like is not None:
            if not made.get(settings.like):
                raise Skipped(f"no trace of {settings.like} to match")
            return self._thinking_tokens(made[settings.like][0])
        share = settings.share
        if isinstance(share, ByDifficulty):
            share = share.of(self._evidence.difficulties[work.problem.id])
        return None if share is None else ceil(share * self._thinking_tokens(work.long))

    def _thinking_tokens(self, trace: Trace) -> int:
        return len(text_ids(self._tokenizer, split(trace.text).thinking))

    def _check_counts(self, traces: Sequence[Trace]) -> None:
        for trace in traces:
            if trace.tokenizer != self._hash:
                raise RecordError(
                    f"trace {trace.id}: field tokenizer: found {trace.tokenizer!r}, but sample.teacher's is {self._hash!r}; token counts "
                    "of two tokenizers cannot be compared. Name the teacher that wrote the traces, or import them as lines with `question` "
                    "and `text`"
                )


def settings_id(settings: AnyCompression) -> str:
    """A hash of a compressor's own settings; what it works on is in its traces' parents. Of a prompt the text counts, not the file."""
    asked = prompt_text(settings.prompt) if isinstance(settings, AskingSettings) else None
    return content_id("shorten", settings.model_dump(mode="json", exclude={"control", "prompt"}), asked)
