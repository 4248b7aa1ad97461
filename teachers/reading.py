"""A model reads what was written and says how likely each token was: plain passes over whole texts, and over texts with parts left out.

With transformers, since engines that generate keep no log-probabilities of prompts under all circumstances (vLLM's die with a LoRA).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from data.chat import Format, begin_answer, prompt_ids, text_ids
from data.steps import steps
from teachers.engine import ModelRef
from teachers.hf import load_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

MAX_LOGITS = 64_000_000
"""Logits held at once (a batch of texts × tokens × vocabulary): 256 MB in float32."""
BRANCH_TOKENS = 512
"""Tokens of branches that are read in one pass: with more, most of the attention falls on other branches, for nothing."""
_MARK = "\0"


class Case(NamedTuple):
    """A thinking to score: the question before it and the final statement after it."""

    question: str
    thinking: str
    statement: str


@dataclass(frozen=True)
class Reader:
    """Who reads, and how it is asked: the model, its tokenizer, its instruction, the format that it writes, the dtype of its weights."""

    model: ModelRef
    tokenizer: PreTrainedTokenizerBase
    instruction: str | None = None
    written: Format = Format.THINK
    dtype: str = "float32"


class CaseIds(NamedTuple):
    """A case in tokens: all before the thinking, the thinking with where its tokens begin, what closes it, the statement."""

    before: list[int]
    thinking: list[int]
    begins: list[int]
    close: list[int]
    statement: list[int]


class Branch(NamedTuple):
    """What is read behind the first `before` tokens of a trunk."""

    before: int
    tokens: list[int]


class TokenReading(NamedTuple):
    """Negative log-likelihood and entropy, in nats, of every token of a thinking."""

    nll: tuple[float, ...]
    entropy: tuple[float, ...]


def case_ids(reader: Reader, case: Case) -> CaseIds:
    """The tokens of a case as the reader's writer would have written them."""
    head, _, close = begin_answer(_MARK, reader.written).partition(_MARK)
    found = reader.tokenizer(case.thinking, add_special_tokens=False, return_offsets_mapping=True)
    before = [*prompt_ids(reader.tokenizer, case.question, reader.instruction), *text_ids(reader.tokenizer, head)]
    close_ids, statement_ids = (text_ids(reader.tokenizer, text) for text in (close, case.statement))
    return CaseIds(before, list(found["input_ids"]), [begin for begin, _ in found["offset_mapping"]], close_ids, statement_ids)


def step_bounds(ids: CaseIds, thinking: str) -> list[tuple[int, int]]:
    """First and last (exclusive) token of each step; a token belongs to the step in which it begins."""
    ends = [bisect_left(ids.begins, end) for end in accumulate(map(len, steps(thinking)))]
    return list(zip([0, *ends], ends, strict=False))


class Reading:
    """The loaded model of a reader; `read_tokens` counts what went through it."""

    def __init__(self, reader: Reader) -> None:
        self.read_tokens = 0
        self._model: Any = load_model(reader.model, dtype=reader.dtype)

    def tokens(self, cases: Sequence[CaseIds]) -> Iterator[TokenReading]:
        """What it makes of each thinking's tokens, in order; best sorted by length, since cases are read in padded batches."""
        for batch in self._batches(cases):
            yield from self._batch(batch)

    def branches(self, trunk: list[int], branches: Sequence[Branch], *, scored: int) -> list[float]:
        """Log-probability of the last `scored` tokens of each branch; the trunk is read once, branches many in a pass."""
        import torch

        found: list[float] = []
        with torch.inference_mode():
            cache = self._model(input_ids=self._tensor([trunk]), use_cache=True, logits_to_keep=1).past_key_values
            for group in _groups(branches):
                found += self._group(cache, len(trunk), group, scored=scored)
                read = sum(len(branch.tokens) for branch in group)
                cache.crop(-read)
                self.read_tokens += read
        self.read_tokens += len(trunk)
        return found

    def _batches(self, cases: Sequence[CaseIds]) -> Iterator[list[CaseIds]]:
        """As many cases as their logits fit."""
        vocabulary, batch, longest = self._model.config.get_text_config().vocab_size, list[CaseIds](), 0
        for ids in cases:
            longest = max(longest, len(ids.before) + len(ids.thinking))
            if batch and (len(batch) + 1) * longest * vocabulary > MAX_LOGITS:
                yield batch
                batch, longest = [], len(ids.before) + len(ids.thinking)
            batch.append(ids)
        if batch:
            yield batch

    def _batch(self, batch: Sequence[CaseIds]) -> Iterator[TokenReading]:
        import torch

        rows = [[*ids.before, *ids.thinking] for ids in batch]
        longest = max(map(len, rows))
        input_BT = self._tensor([row + [0] * (longest - len(row)) for row in rows])
        mask_BT = self._tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            logits_BTV = self._model(input_ids=input_BT, attention_mask=mask_BT, use_cache=False).logits
        for row, ids, logits_TV in zip(rows, batch, logits_BTV, strict=True):
            logp_TV = logits_TV[len(ids.before) - 1 : len(row) - 1].float().log_softmax(-1)
            nll_T = -logp_TV.gather(-1, self._tensor(ids.thinking)[:, None])[:, 0]
            self.read_tokens += len(row)
            yield TokenReading(_rounded(nll_T), _rounded(-(logp_TV.exp() * logp_TV).sum(-1)))

    def _group(self, cache: Any, trunk: int, group: Sequence[Branch], *, scored: int) -> list[float]:
        """One pass over several branches, each of which sees its own beginning of the trunk and itself."""
        import torch

        tokens = [token for branch in group for token in branch.tokens]
        positions = [branch.before + offset for branch in group for offset in range(len(branch.tokens))]
        lowest, dtype = torch.finfo(self._model.dtype).min, self._model.dtype
        mask_QK = torch.full((len(tokens), trunk + len(tokens)), lowest, dtype=dtype, device=self._model.device)
        ends = list(accumulate(len(branch.tokens) for branch in group))
        for branch, end in zip(group, ends, strict=True):
            begin = end - len(branch.tokens)
            mask_QK[begin:end, : branch.before] = 0
            mask_QK[begin:end, trunk + begin : trunk + end].triu_(1)
        last = self._tensor([index for end in ends for index in range(end - scored - 1, end - 1)])
        logits_QV = self._model(
            input_ids=self._tensor([tokens]),
            position_ids=self._tensor([positions]),
            attention_mask=mask_QK[None, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
        ).logits[0]
        targets_Q = self._tensor(tokens)[last + 1]
        logp_Q = logits_QV.float().log_softmax(-1).gather(-1, targets_Q[:, None])[:, 0]
        return [float(each) for each in logp_Q.view(len(group), scored).sum(-1)]

    def _tensor(self, values: Sequence[Any]) -> torch.Tensor:
        import torch

        return torch.tensor(values, dtype=torch.long, device=self._model.device)


def _groups(branches: Sequence[Branch]) -> Iterator[list[Branch]]:
    """As many branches as are read in one pass."""
    group, held = list[Branch](), 0
    for branch in branches:
        if group and held + len(branch.tokens) > BRANCH_TOKENS:
            yield group
            group, held = [], 0
        group.append(branch)
        held += len(branch.tokens)
    if group:
        yield group


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values.tolist())
