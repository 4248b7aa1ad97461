"""Every compressor of a run over the right traces of every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from data.chat import split, tokenizer_hash
from data.errors import ParamsError, RecordError
from data.records import Problem, Trace, content_id
from teachers.compressors.contract import Compressor, Desk, Skipped
from teachers.compressors.registry import build

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Order:
    """One compressor that a run asks for; `like` names the compressor whose length it gets as its budget."""

    name: str
    kind: str
    like: str | None = None

    @property
    def settings_id(self) -> str:
        """A hash of whatever shapes its texts."""
        return content_id("shorten", self.kind, self.like)


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

    def __init__(self, orders: Iterable[Order], tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer, self._hash = tokenizer, tokenizer_hash(tokenizer)
        self._orders = in_order(list(orders))
        self._compressors: dict[str, Compressor] = {o.name: build(o.kind, Desk(o.name, o.settings_id, tokenizer)) for o in self._orders}

    def shorten(self, problem: Problem, right: Sequence[Trace], *, into: Shortened) -> None:
        """Add the short traces of one problem, made of its right traces in draw order, or the reasons why there are none."""
        self._check_counts(right)
        made: dict[str, list[Trace]] = {}
        for order in self._orders:
            try:
                made[order.name] = self._compressors[order.name].compress(problem, right, self._budget(order, made))
            except Skipped as skipped:
                into.dropped[f"{order.name}: {skipped}"] += 1
        into.traces += (trace for traces in made.values() for trace in traces)

    def _budget(self, order: Order, made: Mapping[str, Sequence[Trace]]) -> int | None:
        """The thinking tokens of the trace whose length is matched."""
        if order.like is None:
            return None
        if not made.get(order.like):
            raise Skipped(f"no trace of {order.like} to match")
        return len(self._tokenizer(split(made[order.like][0].text).thinking, add_special_tokens=False)["input_ids"])

    def _check_counts(self, right: Sequence[Trace]) -> None:
        for trace in right:
            if trace.tokenizer != self._hash:
                raise RecordError(
                    f"trace {trace.id}: field tokenizer: found {trace.tokenizer!r}, but sample.teacher's is {self._hash!r}; token counts "
                    "of two tokenizers cannot be compared. Name the teacher that wrote the traces, or import them as lines with `question` "
                    "and `text`"
                )


def in_order(orders: Sequence[Order]) -> list[Order]:
    """The orders with each one after the one that it is `like`, otherwise as given. Raises ParamsError for a circle or an unknown name."""
    done: list[Order] = []
    while len(done) < len(orders):
        names = {order.name for order in done}
        ready = [order for order in orders if order.name not in names and (order.like is None or order.like in names)]
        if not ready:
            left = {f"shorten.{order.name}.like": order.like for order in orders if order.name not in names}
            raise ParamsError(
                f"{left}: these compressors wait for each other or for one that is not there; `like` must lead to one without `like`"
            )
        done += ready
    return done
