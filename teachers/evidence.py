"""What compressors choose by, computed for all problems at once: scores of the first trace of each problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from data.chat import split
from data.difficulty import Difficulty
from data.records import Problem, Trace
from data.statement import final_statement
from teachers.compressors.contract import Evidence
from teachers.compressors.prune_tokens import words
from teachers.compressors.settings import AnyCompression, Need, PruneTokensSettings, needs
from teachers.llmlingua import WordKeeper
from teachers.reading import Case
from teachers.scores import Scorer

T = TypeVar("T")
Cases = Mapping[Case, Sequence[str]]
"""What is scored, each with the ids of its traces."""


class Watch(Protocol):
    """Passes what is yielded on and shows how far it is."""

    def __call__(self, items: Iterator[T], *, label: str, total: int) -> Iterator[T]:
        """The same items."""


class Sources(NamedTuple):
    """Where evidence comes from: the teacher's scores, and the folder of any other model by (path or hub name, revision)."""

    scorer: Scorer
    folder_of: Callable[[str, str | None], Path]


def gather(
    compressors: Mapping[str, AnyCompression],
    first: Sequence[tuple[Problem, Trace]],
    difficulties: Mapping[str, Difficulty],
    sources: Sources,
    *,
    watch: Watch,
) -> Evidence:
    """Everything that these compressors choose by; `first` holds each problem with the first trace that they are given."""
    wanted, scorer, asked = needs(compressors.values()), sources.scorer, _cases(first)

    def scored(
        need: Need, score: Callable[[Iterable[Case]], Iterator[tuple[Case, T]]], cases: Mapping[Case, Sequence[str]]
    ) -> dict[str, T]:
        return _by_trace(watch(score(cases), label=f"{need} scores", total=len(cases)), cases) if need in wanted else {}

    classifiers = {s.model: s.revision for s in compressors.values() if isinstance(s, PruneTokensSettings) and s.model is not None}
    return Evidence(
        difficulties,
        tokens=scored("tokens", scorer.tokens, asked),
        blind=scored("blind", scorer.tokens, _blind(asked)),
        steps=scored("steps", scorer.steps, asked),
        words={model: _keep(WordKeeper(sources.folder_of(model, revision)), first) for model, revision in classifiers.items()},
    )


def _keep(keeper: WordKeeper, first: Sequence[tuple[Problem, Trace]]) -> dict[str, list[float]]:
    return {trace.id: keeper.keep(words(split(trace.text).thinking)) for _, trace in first}


def _cases(first: Sequence[tuple[Problem, Trace]]) -> dict[Case, list[str]]:
    """The thinking of each of these traces."""
    found: dict[Case, list[str]] = defaultdict(list)
    for problem, trace in first:
        parts = split(trace.text)
        found[Case(problem.question, parts.thinking, final_statement(parts.answer, problem.reference) or "")].append(trace.id)
    return dict(found)


def _blind(traces: Cases) -> dict[Case, list[str]]:
    """The same cases with an empty question; of several questions with one text one case is left."""
    found: dict[Case, list[str]] = defaultdict(list)
    for case, trace_ids in traces.items():
        found[case._replace(question="")] += trace_ids
    return dict(found)


def _by_trace(scored: Iterator[tuple[Case, T]], traces: Cases) -> dict[str, T]:
    return {trace_id: scores for case, scores in scored for trace_id in traces[case]}
