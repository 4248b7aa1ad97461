"""The lab's task: word problems in plain English whose answers are exact by construction.

A problem is a chain of facts ("Ben has 3 more apples than Ana.") that ends in a question about its last
person, hidden among distracting facts about other people. A chain belongs to exactly one split, by a hash of its names and
numbers, so that the splits are disjoint for every seed: whatever is generated for `train`, by this run or by
the build of the lab's models, can never occur in `validation`, `test` or `fresh`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

NAMES = (
    "Ana", "Ben", "Cid", "Dora", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun",
    "Kim", "Leo", "Mia", "Ned", "Ola", "Pia", "Raj", "Sam", "Tia", "Uma",
)  # fmt: skip
ITEMS = ("apples", "books", "coins", "eggs", "pens", "shells", "stamps", "marbles")
VERBS = ("has", "owns", "keeps")
TIMES = {2: "twice", 3: "three times"}
MAX_VALUE = 99
MAX_STEPS = 4
SPLIT_BUCKETS = {"test": range(0, 2), "validation": range(2, 3), "fresh": range(3, 4), "train": range(4, 20)}
"""Which of the 20 hash buckets belong to a split; they partition all chains."""


class Op(StrEnum):
    """How one person's number follows from another's."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"

    def apply(self, left: int, right: int) -> int:
        """The result of `left op right`."""
        return {Op.PLUS: left + right, Op.MINUS: left - right, Op.TIMES: left * right}[self]

    @property
    def inverse(self) -> str:
        """The sign that undoes this operation, as the lab's texts write it."""
        return {Op.PLUS: "-", Op.MINUS: "+", Op.TIMES: "/"}[self]


@dataclass(frozen=True)
class Link:
    """One relation: `name`'s number is the number of `source`, `op`, `amount`."""

    name: str
    source: str
    op: Op
    amount: int


@dataclass(frozen=True)
class Given:
    """One stated number: `name` has `value`."""

    name: str
    value: int


Fact = Given | Link


@dataclass(frozen=True)
class LabProblem:
    """A chain and its distractors, with the English text that states them.

    `links` run from the given person to the asked one; `values` are the numbers of the chain in that order,
    the given one first, so `values[-1]` is the answer.
    """

    given: Given
    links: tuple[Link, ...]
    distractors: tuple[Fact, ...]
    item: str
    question: str

    @property
    def values(self) -> tuple[int, ...]:
        """The number of every person of the chain, the given one first."""
        numbers = [self.given.value]
        for link in self.links:
            numbers.append(link.op.apply(numbers[-1], link.amount))
        return tuple(numbers)

    @property
    def answer(self) -> int:
        """The number that the question asks for."""
        return self.values[-1]

    @property
    def steps(self) -> int:
        """How many computations the chain needs."""
        return len(self.links)


def split_of(given: Given, links: tuple[Link, ...]) -> str:
    """The one split that a chain belongs to, from a hash of its names and numbers."""
    chain = f"{given.name}:{given.value}" + "".join(f"|{k.name}{k.op}{k.amount}" for k in links)
    bucket = int.from_bytes(hashlib.sha256(chain.encode()).digest()[:8], "big") % 20
    return next(split for split, buckets in SPLIT_BUCKETS.items() if bucket in buckets)


def generate(split: str, *, seed: int, min_steps: int = 1, max_steps: int = MAX_STEPS, max_distractors: int = 2) -> Iterator[LabProblem]:
    """Endless problems of one split, the same ones for the same arguments; a chain occurs once.

    `min_steps` 0 asks for a given number directly (a look-up among distractors).
    """
    rng = Random(f"{split}:{seed}:{min_steps}:{max_steps}:{max_distractors}")
    seen: set[tuple[Given, tuple[Link, ...]]] = set()
    while True:
        steps = rng.randint(min_steps, max_steps)
        names = rng.sample(NAMES, steps + 1 + max_distractors)
        given = Given(names[0], rng.randint(3, 60))
        links = _chain(rng, given, names[1 : steps + 1])
        if links is None or split_of(given, links) != split or (given, links) in seen:
            continue
        if links:  # look-ups are few and may repeat
            seen.add((given, links))
        yield _tell(rng, given, links, names[steps + 1 :])


def _chain(rng: Random, given: Given, names: list[str]) -> tuple[Link, ...] | None:
    """Links from `given` through `names`, or None where a number leaves 1..MAX_VALUE."""
    links: list[Link] = []
    source, value = given.name, given.value
    for name in names:
        link = _link(rng, name, source)
        value = link.op.apply(value, link.amount)
        if not 1 <= value <= MAX_VALUE:
            return None
        links.append(link)
        source = name
    return tuple(links)


def _link(rng: Random, name: str, source: str) -> Link:
    op = rng.choice((Op.PLUS, Op.PLUS, Op.MINUS, Op.MINUS, Op.TIMES))
    amount = rng.randint(2, 3) if op is Op.TIMES else rng.randint(2, 19)
    return Link(name, source, op, amount)


def _tell(rng: Random, given: Given, links: tuple[Link, ...], spare: list[str]) -> LabProblem:
    """State a chain in shuffled sentences between distractors about the `spare` names."""
    known = [given.name, *(link.name for link in links)]
    distractors: list[Fact] = [
        Given(name, rng.randint(3, 60)) if rng.random() < 0.5 else _link(rng, name, rng.choice(known))
        for name in spare[: rng.randint(0, len(spare))]
    ]
    item = rng.choice(ITEMS)
    facts: list[Fact] = [given, *links, *distractors]
    rng.shuffle(facts)
    sentences = [state(fact, item=item, verb=rng.choice(VERBS)) for fact in facts]
    question = " ".join([*sentences, _ask(rng, known[-1], item)])
    return LabProblem(given, links, tuple(distractors), item, question)


def state(fact: Fact, *, item: str, verb: str = "has") -> str:
    """One fact as an English sentence."""
    if isinstance(fact, Given):
        return f"{fact.name} {verb} {fact.value} {item}."
    if fact.op is Op.TIMES:
        return f"{fact.name} {verb} {TIMES[fact.amount]} as many {item} as {fact.source}."
    more = "more" if fact.op is Op.PLUS else "fewer"
    return f"{fact.name} {verb} {fact.amount} {more} {item} than {fact.source}."


def _ask(rng: Random, name: str, item: str) -> str:
    return rng.choice(
        (
            f"How many {item} does {name} have?",
            f"What number of {item} does {name} have?",
            f"Find the number of {item} of {name}.",
        )
    )
