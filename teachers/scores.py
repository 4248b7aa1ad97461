"""What a model's own probabilities say about a thinking: of each token, and of each step for the answer.

Computed with transformers, once per text and model, and kept by content (a shard of `.shortcot/scores`). Steps are scored by leaving
one out: the thinking is read once, and what follows each step is read again behind the part of it that comes before the step, all
such branches in one pass, since an attention mask lets each see its own beginning alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, TypeVar

from pydantic import Field, NonNegativeInt

from data.chat import Format, begin_answer, prompt_ids, text_ids, tokenizer_hash
from data.records import Record
from data.steps import steps
from teachers.engine import ModelRef
from teachers.hf import load_model
from teachers.identity import model_hash
from teachers.shards import ShardWriter, shard_path, whole_lines

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

MAX_LOGITS = 64_000_000
"""Logits held at once (a batch of texts × tokens × vocabulary): 256 MB in float32."""
BRANCH_TOKENS = 512
"""Tokens of branches that are read in one pass: with more, most of the attention falls on other branches, for nothing."""
_MARK = "\0"
KEY = re.compile(rb'\{"schema_version":\d+,"key":"([0-9a-f]{32})"')


class Case(NamedTuple):
    """A thinking to score: the question before it and the final statement after it."""

    question: str
    thinking: str
    statement: str


class Scores(Record):
    """One line of the store; `key` hashes model, tokenizer and everything that is read."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class TokenScores(Scores):
    """Of each token of a thinking: where it begins (characters), its negative log-likelihood and the entropy before it, in nats."""

    begins: tuple[NonNegativeInt, ...]
    nll: tuple[float, ...]
    entropy: tuple[float, ...]

    def means(self, parts: Sequence[str], *, by: str) -> list[float]:
        """Of each part of the thinking (all of them in order) the mean score of its tokens, by "nll" or "entropy"; 0 without tokens.

        A token belongs to the part in which it begins.
        """
        ends = list(accumulate(map(len, parts)))
        of_part: list[list[float]] = [[] for _ in parts]
        for begin, score in zip(self.begins, self.entropy if by == "entropy" else self.nll, strict=True):
            of_part[min(bisect_right(ends, begin), len(parts) - 1)].append(score)
        return [fmean(own) if own else 0.0 for own in of_part]


class StepScores(Scores):
    """Of each step of a thinking: by how many nats the final statement is less likely without it."""

    importance: tuple[float, ...]


S = TypeVar("S", bound=Scores)


@dataclass(frozen=True)
class Reader:
    """Who reads, and how it is asked: the model, its tokenizer, its instruction, the format that it writes."""

    model: ModelRef
    tokenizer: PreTrainedTokenizerBase
    instruction: str | None = None
    written: Format = Format.THINK


class _Ids(NamedTuple):
    """A case in tokens: all before the thinking, the thinking with where its tokens begin, what closes it, the statement."""

    before: list[int]
    thinking: list[int]
    begins: list[int]
    close: list[int]
    statement: list[int]


class Scorer:
    """Scores of cases, from the store or computed now; a context manager that owns its shards while it is open."""

    def __init__(self, reader: Reader, store_folder: Path) -> None:
        self.made_tokens = 0
        self._reader = reader
        self._shards: dict[type[Scores], _Shard] = {kind: _Shard(store_folder, kind) for kind in (TokenScores, StepScores)}
        self._loaded: Any = None

    def __enter__(self) -> Self:
        for shard in self._shards.values():
            shard.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loaded = None
        for shard in self._shards.values():
            shard.close()

    def tokens(self, cases: Iterable[Case]) -> Iterator[tuple[Case, TokenScores]]:
        """Yield every case once with the scores of its tokens, in any order."""
        yield from self._scored(cases, TokenScores, self._token_scores)

    def steps(self, cases: Iterable[Case]) -> Iterator[tuple[Case, StepScores]]:
        """Yield every case once with the scores of its steps (as `data.steps.steps` divides it), in any order."""
        yield from self._scored(cases, StepScores, self._step_scores)

    def _scored(
        self, cases: Iterable[Case], kind: type[S], compute: Callable[[list[Case]], Iterator[tuple[Case, S]]]
    ) -> Iterator[tuple[Case, S]]:
        shard = self._shards[kind]
        missing: dict[Case, None] = {}
        for case in dict.fromkeys(cases):
            found = shard.find(self._key(case))
            if found is None:
                missing[case] = None
            else:
                yield case, kind.model_validate_json(found)
        for case, scores in compute(sorted(missing, key=lambda case: (len(case.thinking), case))):
            shard.put(scores.key, scores.model_dump_json().encode())
            yield case, scores

    @cached_property
    def _identity(self) -> list[str | None]:
        """Whatever decides a score beside the case."""
        reader = self._reader
        return [model_hash(reader.model.folder), tokenizer_hash(reader.tokenizer), reader.instruction, reader.written]

    def _key(self, case: Case) -> str:
        return hashlib.sha256(json.dumps([*self._identity, *case]).encode()).hexdigest()[:32]

    def _token_scores(self, cases: list[Case]) -> Iterator[tuple[Case, TokenScores]]:
        for batch in self._batches([(case, _ids(self._reader, case)) for case in cases]):
            for (case, ids), (nll, entropy) in zip(batch, self._read([ids for _, ids in batch]), strict=True):
                yield case, TokenScores(key=self._key(case), begins=tuple(ids.begins), nll=tuple(nll), entropy=tuple(entropy))

    def _batches(self, cases: list[tuple[Case, _Ids]]) -> Iterator[list[tuple[Case, _Ids]]]:
        """Cases of like length, as many as their logits fit."""
        vocabulary, batch = self._model.config.get_text_config().vocab_size, list[tuple[Case, _Ids]]()
        for case, ids in cases:
            if batch and (len(batch) + 1) * (len(ids.before) + len(ids.thinking)) * vocabulary > MAX_LOGITS:
                yield batch
                batch = []
            batch.append((case, ids))
        if batch:
            yield batch

    def _read(self, batch: Sequence[_Ids]) -> Iterator[tuple[list[float], list[float]]]:
        """Negative log-likelihood and entropy of each thinking token, text by text."""
        import torch

        rows = [[*ids.before, *ids.thinking] for ids in batch]
        longest = max(map(len, rows))
        input_BT = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self._model.device)
        mask_BT = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._model.device)
        with torch.inference_mode():
            logits_BTV = self._model(input_ids=input_BT, attention_mask=mask_BT, use_cache=False).logits
        for row, ids, logits_TV in zip(rows, batch, logits_BTV, strict=True):
            begin, end = len(ids.before) - 1, len(row) - 1
            logp_TV = logits_TV[begin:end].float().log_softmax(-1)
            nll_T = -logp_TV.gather(-1, torch.tensor(ids.thinking, dtype=torch.long, device=logp_TV.device)[:, None])[:, 0]
            self.made_tokens += len(row)
            yield _rounded(nll_T), _rounded(-(logp_TV.exp() * logp_TV).sum(-1))

    def _step_scores(self, cases: list[Case]) -> Iterator[tuple[Case, StepScores]]:
        for case in cases:
            yield case, StepScores(key=self._key(case), importance=tuple(self._importance(case)))

    def _importance(self, case: Case) -> list[float]:
        """For each step: log p(statement | all steps) − log p(statement | all steps but this one)."""
        ids = _ids(self._reader, case)
        bounds = _bounds(ids, case.thinking)
        tail = [*ids.close, *ids.statement]
        trunk = [*ids.before, *ids.thinking]
        branches = [(len(ids.before) + begin, [*ids.thinking[end:], *tail]) for begin, end in bounds]
        whole, *without = self._branch_logprobs(trunk, [(len(trunk), tail), *branches], scored=len(ids.statement))
        return [round(whole - each, 6) for each in without]

    def _branch_logprobs(self, trunk: list[int], branches: list[tuple[int, list[int]]], *, scored: int) -> list[float]:
        """Log-probability of the last `scored` tokens of each branch (how much of the trunk comes before it, its tokens)."""
        import torch

        found: list[float] = []
        with torch.inference_mode():
            cache = self._model(
                input_ids=torch.tensor([trunk], device=self._model.device), use_cache=True, logits_to_keep=1
            ).past_key_values
            for group in _groups(branches):
                found += self._group_logprobs(cache, len(trunk), group, scored=scored)
                read = sum(len(tokens) for _, tokens in group)
                cache.crop(-read)
                self.made_tokens += read
        self.made_tokens += len(trunk)
        return found

    def _group_logprobs(self, cache: Any, trunk: int, group: list[tuple[int, list[int]]], *, scored: int) -> list[float]:
        import torch

        device = self._model.device
        tokens = [token for _, own in group for token in own]
        positions = [before + offset for before, own in group for offset in range(len(own))]
        mask_QK = torch.full((len(tokens), trunk + len(tokens)), torch.finfo(self._model.dtype).min, dtype=self._model.dtype, device=device)
        ends = list(accumulate(len(own) for _, own in group))
        for (before, own), end in zip(group, ends, strict=True):
            begin = end - len(own)
            mask_QK[begin:end, :before] = 0
            mask_QK[begin:end, trunk + begin : trunk + end].triu_(1)
        last = torch.tensor([index for end in ends for index in range(end - scored - 1, end - 1)], device=device)
        logits_QV = self._model(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([positions], device=device),
            attention_mask=mask_QK[None, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
        ).logits[0]
        targets_Q = torch.tensor(tokens, device=device)[last + 1]
        logp_Q = logits_QV.float().log_softmax(-1).gather(-1, targets_Q[:, None])[:, 0]
        return [float(each) for each in logp_Q.view(len(group), scored).sum(-1)]

    @property
    def _model(self) -> Any:
        """Loaded when the first score is missing."""
        if self._loaded is None:
            self._loaded = load_model(self._reader.model, dtype="float32")
        return self._loaded


class _Shard:
    """Lines by the key that each begins with; the first of equal ones counts."""

    def __init__(self, folder: Path, kind: type[Scores]) -> None:
        self._path, self._lines = shard_path(folder, kind.__name__), dict[str, bytes]()
        self._writer: ShardWriter | None = None

    def open(self) -> None:
        self._writer = ShardWriter(self._path)
        for _, line in whole_lines(self._path, 0):
            if found := KEY.match(line):
                self._lines.setdefault(found[1].decode(), line)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def find(self, key: str) -> bytes | None:
        return self._lines.get(key)

    def put(self, key: str, line: bytes) -> None:
        assert self._writer is not None, "use the Scorer as a context manager: `with Scorer(…) as scorer:`"
        self._writer.append(line)
        self._lines[key] = line


def _ids(reader: Reader, case: Case) -> _Ids:
    head, _, close = begin_answer(_MARK, reader.written).partition(_MARK)
    found = reader.tokenizer(case.thinking, add_special_tokens=False, return_offsets_mapping=True)
    before = [*prompt_ids(reader.tokenizer, case.question, reader.instruction), *text_ids(reader.tokenizer, head)]
    close_ids, statement_ids = (text_ids(reader.tokenizer, text) for text in (close, case.statement))
    return _Ids(before, list(found["input_ids"]), [begin for begin, _ in found["offset_mapping"]], close_ids, statement_ids)


def _bounds(ids: _Ids, thinking: str) -> list[tuple[int, int]]:
    """First and last (exclusive) token of each step; a token belongs to the step in which it begins."""
    ends = [bisect_left(ids.begins, end) for end in accumulate(map(len, steps(thinking)))]
    return list(zip([0, *ends], ends, strict=False))


def _groups(branches: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    """As many branches as are read in one pass."""
    group, held = list[tuple[int, list[int]]](), 0
    for branch in branches:
        if group and held + len(branch[1]) > BRANCH_TOKENS:
            yield group
            group, held = [], 0
        group.append(branch)
        held += len(branch[1])
    if group:
        yield group


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
