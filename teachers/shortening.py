"""Every compressor of a run over the right traces of every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from data.chat import split, text_ids, tokenizer_hash
from data.errors import RecordError
from data.records import Problem, Trace, content_id
from teachers.compressors.asking import prompt_text
from teachers.compressors.contract import Asking, Compressor, Desk, Evidence, Skipped
from teachers.compressors.registry import build
from teachers.compressors.settings import AnyCompression, AskingSettings, ByDifficulty, in_order

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from teachers.engine import Request


@dataclass
class Shortened:
    """Short traces, and how many problems each compressor left out for which reason."""

    traces: list[Trace] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def table(self) -> list[Trace]:
        """The traces in the order of their table."""
        return sorted(self.traces, key=lambda trace: (trace.problem_id, trace.writer, trace.draw, trace.id))


class Shortener:
    """The compressors of a run, each after the one whose length it takes."""

    def __init__(self, compressors: Mapping[str, AnyCompression], tokenizer: PreTrainedTokenizerBase, evidence: Evidence) -> None:
        self._tokenizer, self._hash, self._evidence = tokenizer, tokenizer_hash(tokenizer), evidence
        self._settings = {name: compressors[name] for name in in_order(compressors)}
        self._compressors: dict[str, Compressor] = {
            name: build(settings, Desk(name, settings_id(settings), tokenizer, evidence)) for name, settings in self._settings.items()
        }

    def shorten(self, problem: Problem, right: Sequence[Trace], *, into: Shortened) -> None:
        """Add the short traces of one problem, made of its right traces in draw order, or the reasons why there are none."""
        self._check_counts(right)
        made: dict[str, list[Trace]] = {}
        for name, settings in self._settings.items():
            try:
                made[name] = self._compressors[name].compress(problem, right, self._budget(settings, problem, right[0], made))
            except Skipped as skipped:
                into.dropped[f"{name}: {skipped}"] += 1
        into.traces += (trace for traces in made.values() for trace in traces)

    def requests(self, problem: Problem, right: Sequence[Trace]) -> list[Request]:
        """What a model must answer before the traces of this problem are shortened."""
        found: list[Request] = []
        for name, compressor in self._compressors.items():
            if isinstance(compressor, Asking):
                with suppress(Skipped):  # it will say so again when it compresses
                    found += compressor.requests(problem, right, self._budget(self._settings[name], problem, right[0], {}))
        return found

    def _budget(self, settings: AnyCompression, problem: Problem, first: Trace, made: Mapping[str, Sequence[Trace]]) -> int | None:
        """The thinking tokens that are asked for: those of the trace whose length is matched, or a share of the first right draw's."""
        if settings.like is not None:
            if not made.get(settings.like):
                raise Skipped(f"no trace of {settings.like} to match")
            return self._thinking_tokens(made[settings.like][0])
        if settings.share is None:
            return None
        share = settings.share.of(self._evidence.difficulties[problem.id]) if isinstance(settings.share, ByDifficulty) else settings.share
        return ceil(share * self._thinking_tokens(first))

    def _thinking_tokens(self, trace: Trace) -> int:
        return len(text_ids(self._tokenizer, split(trace.text).thinking))

    def _check_counts(self, right: Sequence[Trace]) -> None:
        for trace in right:
            if trace.tokenizer != self._hash:
                raise RecordError(
                    f"trace {trace.id}: field tokenizer: found {trace.tokenizer!r}, but sample.teacher's is {self._hash!r}; token counts "
                    "of two tokenizers cannot be compared. Name the teacher that wrote the traces, or import them as lines with `question` "
                    "and `text`"
                )


def settings_id(settings: AnyCompression) -> str:
    """A hash of whatever shapes a compressor's texts; of a prompt the text counts and not the file's name."""
    asked = prompt_text(settings.prompt) if isinstance(settings, AskingSettings) else None
    return content_id("shorten", settings.model_dump(mode="json", exclude={"control", "prompt"}), asked)
