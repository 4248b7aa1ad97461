"""Rows of a training as the model reads them, decoded, with what is learnt marked off: what a report shows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data.records import Section
from students.rows import IGNORED, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Run(Section):
    """Tokens that follow each other, all of them learnt or all of them only read."""

    learnt: bool
    tokens: int
    text: str


class Example(Section):
    """One row."""

    trace_id: str
    wrong: bool
    """Whether it is a wrong trace or the worse side of a pair."""
    runs: list[Run]

    @property
    def tokens(self) -> int:
        """Of the whole row."""
        return sum(run.tokens for run in self.runs)

    @property
    def learnt_tokens(self) -> int:
        """Those that have a label."""
        return sum(run.tokens for run in self.runs if run.learnt)


def examples_of(rows: Sequence[Row], collate: Callable[[list[dict[str, Any]]], Any], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
    """The first right row and the first wrong one, by the name of their trace, as the collator makes batches of them."""
    named = sorted(rows, key=lambda row: row.trace_id)
    firsts = [next((row for row in named if row.wrong is wrong), None) for wrong in (False, True)]
    return [_example(row, collate, tokenizer) for row in firsts if row is not None]


def _example(row: Row, collate: Callable[[list[dict[str, Any]]], Any], tokenizer: PreTrainedTokenizerBase) -> Example:
    batch = collate([{"input_ids": row.input_ids, "labels": row.labels}])
    ids, labels, read = (batch[name][0].tolist() for name in ("input_ids", "labels", "attention_mask"))
    known = [(token, label != IGNORED) for token, label, is_read in zip(ids, labels, read, strict=True) if is_read]
    runs = [(learnt, [token for token, _ in group]) for learnt, group in groupby(known, key=lambda pair: pair[1])]
    return Example(
        trace_id=row.trace_id,
        wrong=row.wrong,
        runs=[Run(learnt=learnt, tokens=len(tokens), text=_decoded(tokens, tokenizer)) for learnt, tokens in runs],
    )


def _decoded(tokens: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))
