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
    """What is read behind the first `before` tokens of a trunk; its last `scored` tokens are scored."""

    before: int
    tokens: list[int]
    scored: int


class TokenReading(NamedTuple):
    """Of every token that is scored its negative log-likelihood and the entropy before it, in nats."""

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

    def close(self) -> None:
        """Let go of the model's memory, which on a GPU another process may wait for."""
        import torch

        self._model = None
        torch.cuda.empty_cache()

    def tokens(self, cases: Sequence[CaseIds]) -> Iterator[TokenReading]:
        """What it makes of each thinking's tokens, in order; best sorted by length, since cases are read in padded batches."""
        for batch in self._batches(cases):
            yield from self._batch(batch)

    def branches(self, trunk: list[int], branches: Sequence[Branch]) -> list[TokenReading]:
        """What it makes of each branch's scored tokens; the trunk is read once, and many branches in a pass."""
        import torch

        found: list[TokenReading] = []
        with torch.inference_mode():
            cache = self._model(input_ids=self._tensor([trunk]), use_cache=True, logits_to_keep=1).past_key_values
            for group in _groups(branches):
                found += self._group(cache, len(trunk), group)
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
            self.read_tokens += len(row)
            yield _reading(logits_TV[len(ids.before) - 1 : len(row) - 1], self._tensor(ids.thinking))

    def _group(self, cache: Any, trunk: int, group: Sequence[Branch]) -> Iterator[TokenReading]:
        """One pass over several branches, each of which sees its own beginning of the trunk and itself."""
        tokens = [token for branch in group for token in branch.tokens]
        ends = list(accumulate(len(branch.tokens) for branch in group))
        scored = [range(end - branch.scored, end) for branch, end in zip(group, ends, strict=True)]
        logits_QV = self._model(
            input_ids=self._tensor([tokens]),
            position_ids=self._tensor([[branch.before + offset for branch in group for offset in range(len(branch.tokens))]]),
            attention_mask=self._mask(trunk, group, ends)[None, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=self._tensor([index - 1 for own in scored for index in own]),
        ).logits[0]
        begin = 0
        for own in scored:
            yield _reading(logits_QV[begin : begin + len(own)], self._tensor(tokens[own.start : own.stop]))
            begin += len(own)

    def _mask(self, trunk: int, group: Sequence[Branch], ends: Sequence[int]) -> torch.Tensor:
        """What is added to the attention of each token of the branches (rows) to the trunk's and theirs (columns)."""
        import torch

        lowest, dtype = torch.finfo(self._model.dtype).min, self._model.dtype
        mask_QK = torch.full((ends[-1], trunk + ends[-1]), lowest, dtype=dtype, device=self._model.device)
        for branch, end in zip(group, ends, strict=True):
            begin = end - len(branch.tokens)
            mask_QK[begin:end, : branch.before] = 0
            mask_QK[begin:end, trunk + begin : trunk + end].triu_(1)
        return mask_QK

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


def _reading(logits_TV: torch.Tensor, targets_T: torch.Tensor) -> TokenReading:
    logp_TV = logits_TV.float().log_softmax(-1)
    nll_T = -logp_TV.gather(-1, targets_T[:, None])[:, 0]
    return TokenReading(_rounded(nll_T), _rounded(-(logp_TV.exp() * logp_TV).sum(-1)))


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values.tolist())
