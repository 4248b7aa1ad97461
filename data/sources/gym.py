"""Problems of a reasoning-gym generator, which judges them with its own scorer.

A generator's entry of seed s and place i is that of seed s + 1 and place i - 1, so parts with neighbouring seeds would share nearly
all problems: each part gets a seed of its own, far from the others, and what repeats nevertheless is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from data.dedup import tokens
from data.errors import ParamsError, RecordError
from data.records import GymReference, Problem, Split, content_id
from data.splits import EVALUATION_FIRST

PATIENCE = 20
"""Entries that are looked at for each problem that is asked for."""


def load(name: str, counts: Mapping[Split, int], *, task: str, seed: int, arguments: Mapping[str, Any]) -> list[Problem]:
    """So many problems per split, the same ones for the same seed; no question (data.dedup.tokens) occurs twice.

    Raises ParamsError for a data set or arguments that reasoning-gym refuses; RecordError where it makes too few different questions,
    and where an entry has no gold answer in text.
    """
    seen: set[tuple[str, ...]] = set()
    problems: list[Problem] = []
    for split in sorted(counts, key=EVALUATION_FIRST.index):
        dataset = _create(name, seed=_seed(seed, split), size=PATIENCE * counts[split], arguments=arguments)
        made = [
            Problem.create(task=task, split=split, question=entry["question"].strip(), reference=_reference(name, entry, arguments))
            for entry in islice(_new(dataset, seen), counts[split])
        ]
        if len(made) < counts[split]:
            raise RecordError(
                f"reasoning-gym {name}: {counts[split]} {split.value} problems are asked for, but it made {len(made)} that are new in "
                f"{len(dataset)}; ask for fewer, or give arguments that allow for more"
            )
        problems += made
    return problems


def _create(name: str, *, seed: int, size: int, arguments: Mapping[str, Any]) -> Any:
    import reasoning_gym

    try:
        return reasoning_gym.create_dataset(name, seed=seed, size=size, **arguments)
    except (ValueError, TypeError, AssertionError) as error:
        raise ParamsError(
            f"prepare.source: reasoning-gym refuses name {name!r} with arguments {dict(arguments)}: {error}; `seed` and `size` are set here"
        ) from error


def _seed(seed: int, split: Split) -> int:
    return int(content_id("gym", seed, split.value)[:8], 16)


def _new(dataset: Any, seen: set[tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    """The entries whose question is not in `seen`, which takes them in."""
    for place in range(len(dataset)):
        entry = dataset[place]
        question = tokens(entry["question"])
        if question not in seen:
            seen.add(question)
            yield entry


def _reference(name: str, entry: Mapping[str, Any], arguments: Mapping[str, Any]) -> GymReference:
    gold = entry["answer"]
    if not isinstance(gold, str) or not gold.strip():
        raise RecordError(
            f"reasoning-gym {name}: field answer: {gold!r} is no text, so there is no gold answer to check; choose another data set"
        )
    shown = {"question": entry["question"], "metadata": entry["metadata"]}
    return GymReference(dataset=name, arguments=dict(arguments), entry=repr(_plain(name, shown)), value=gold)


def _plain(name: str, value: Any) -> Any:
    """`value` of Python's own types, so that it can be written as a literal."""
    if isinstance(value, dict):
        return {_plain(name, key): _plain(name, own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        own = [_plain(name, part) for part in value]
        return own if isinstance(value, list) else tuple(own)
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):  # numpy's are of other types, which a literal cannot name
            return kind(value)
    raise RecordError(f"reasoning-gym {name}: field metadata: {value!r} is no literal; choose another data set")
