"""What a model's own probabilities say about a thinking: of each token, and of each step for the answer.

Computed once per text and model, and kept by content (a shard of `.shortcot/scores` for each kind of scores). Steps are scored by
leaving one out: the thinking is read once, and what follows each step is read again behind the part of it that comes before the step.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import Annotated, Self, TypeVar

from pydantic import Field, NonNegativeInt

from data.chat import tokenizer_hash
from data.records import Record
from teachers.identity import model_hash
from teachers.reading import Branch, Case, Reader, Reading, case_ids, step_bounds
from teachers.shards import ShardWriter, shard_path, whole_lines

KEY = re.compile(rb'\{"schema_version":\d+,"key":"([0-9a-f]{32})"')


class Scores(Record):
    """One line of the store; `key` hashes model, tokenizer and everything that is read."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class TokenScores(Scores):
    """Of each token of a thinking: where it begins (characters), its negative log-likelihood and the entropy before it, in nats."""

    begins: tuple[NonNegativeInt, ...]
    nll: tuple[float, ...]
    entropy: tuple[float, ...]

    def means(self, parts: Sequence[str], *, by: str) -> list[float]:
        """Of each part of the thinking (all of them in order) the mean score of its tokens, by "nll" or "entropy"; 0 where there are none.

        A token belongs to the part in which it begins; a part in which none begins has the score of the token that reaches into it.
        """
        ends, values = list(accumulate(map(len, parts))), self.entropy if by == "entropy" else self.nll
        of_part: list[list[float]] = [[] for _ in parts]
        for begin, score in zip(self.begins, values, strict=True):
            of_part[min(bisect_right(ends, begin), len(parts) - 1)].append(score)
        found, last = list[float](), 0.0
        for own in of_part:
            found.append(fmean(own) if own else last)
            last = own[-1] if own else last
        return found


class StepScores(Scores):
    """Of each step of a thinking: by how many nats the final statement is less likely without it."""

    importance: tuple[float, ...]


S = TypeVar("S", bound=Scores)


class Scorer:
    """Scores of cases, from the store or computed now; a context manager that owns its shards while it is open."""

    def __init__(self, reader: Reader, store_folder: Path) -> None:
        self._reader = reader
        self._shards: dict[type[Scores], _Shard] = {kind: _Shard(store_folder, kind) for kind in (TokenScores, StepScores)}
        self._loaded: Reading | None = None

    def __enter__(self) -> Self:
        for shard in self._shards.values():
            shard.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
        for shard in self._shards.values():
            shard.close()

    @property
    def made_tokens(self) -> int:
        """Tokens that the model had to read."""
        return self._loaded.read_tokens if self._loaded else 0

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
        return [model_hash(reader.model.folder), tokenizer_hash(reader.tokenizer), reader.instruction, reader.written, reader.dtype]

    def _key(self, case: Case) -> str:
        return hashlib.sha256(json.dumps([*self._identity, *case]).encode()).hexdigest()[:32]

    def _token_scores(self, cases: list[Case]) -> Iterator[tuple[Case, TokenScores]]:
        all_ids = [case_ids(self._reader, case) for case in cases]
        for case, ids, read in zip(cases, all_ids, self._model.tokens(all_ids) if cases else (), strict=True):
            yield case, TokenScores(key=self._key(case), begins=tuple(ids.begins), nll=read.nll, entropy=read.entropy)

    def _step_scores(self, cases: list[Case]) -> Iterator[tuple[Case, StepScores]]:
        for case in cases:
            yield case, StepScores(key=self._key(case), importance=tuple(self._importance(case)))

    def _importance(self, case: Case) -> list[float]:
        """For each step: log p(statement | all steps) − log p(statement | all steps but this one)."""
        ids = case_ids(self._reader, case)
        tail = [*ids.close, *ids.statement]
        trunk = [*ids.before, *ids.thinking]
        bounds, scored = step_bounds(ids, case.thinking), len(ids.statement)
        branches = [Branch(len(ids.before) + begin, [*ids.thinking[end:], *tail], scored) for begin, end in bounds]
        whole, *without = (sum(read.nll) for read in self._model.branches(trunk, [Branch(len(trunk), tail, scored), *branches]))
        return [round(each - whole, 6) for each in without]

    @property
    def _model(self) -> Reading:
        """Loaded when the first score is missing."""
        if self._loaded is None:
            self._loaded = Reading(self._reader)
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
