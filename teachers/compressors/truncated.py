"""Length-matched truncation: the control that any way of shortening must beat (as in Compress-Distill, arXiv 2606.05988)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.chat import split, text_ids
from data.errors import ParamsError
from data.records import Problem, Trace
from teachers.compressors.contract import Desk, Skipped
from teachers.compressors.settings import TruncatedSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Truncated:
    """Keeps the beginning of the first trace's thinking, and its final statement."""

    desk: Desk
    settings: TruncatedSettings

    def compress(self, problem: Problem, traces: Sequence[Trace], budget: int | None) -> list[Trace]:
        """One trace whose thinking has at most `budget` tokens, as many of them as it can. Skipped without a budget."""
        if budget is None:
            raise Skipped("no budget")
        thinking = cut(self.desk.tokenizer, split(traces[0].text).thinking, budget)
        return [self.desk.write(problem, traces[:1], thinking, budget=budget)]


def cut(tokenizer: PreTrainedTokenizerBase, text: str, budget: int) -> str:
    """The longest beginning of `text` that ends with one of its tokens and has at most `budget` tokens when it stands alone.

    Raises ParamsError where the tokenizer cannot say where its tokens end.
    """
    if not tokenizer.is_fast:
        raise ParamsError(f"{tokenizer.name_or_path}: cutting needs a fast tokenizer (tokenizer.json), which knows where its tokens end")
    ends = [end for _, end in tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]]
    for kept in range(min(budget, len(ends)), 0, -1):
        beginning = text[: ends[kept - 1]].rstrip()
        if len(text_ids(tokenizer, beginning)) <= budget:
            return beginning
    return ""
