"""How far verifiers can be trusted: their errors on answers that people judged, and where a fast and a thorough one disagree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter

from data.errors import RecordError
from data.records import ExpressionReference, NumberReference, Outcome, Record, Reference, Status, content_id
from data.tables import read_lines
from data.verifiers.judge import TextCase, judge_texts
from data.verifiers.quantity import read_quantity

REFERENCE: TypeAdapter[Reference] = TypeAdapter(Reference)


class Judged(Record):
    """An answer text, and what a person says that it is."""

    reference: Reference
    text: str
    expected: Annotated[Outcome | None, Field(strict=False)] = None
    """Null: nobody has judged it yet."""
    why: str = ""
    said: dict[str, str] = {}
    """Verifier → what it said, where they disagreed."""

    @property
    def key(self) -> str:
        """The same for the same text as an answer to the same gold value, whichever verifier judges it."""
        return content_id("judged", self.reference.model_dump(exclude={"kind"}), self.text)


class Error(NamedTuple):
    """A case on which a verifier is not of a person's opinion."""

    case: Judged
    found: Outcome
    detail: str


class Share(NamedTuple):
    """So many of so many, with an exact 95 % interval (Clopper and Pearson); of none, nothing is known."""

    found: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and the highest share that agree with the count."""
        from scipy.stats import binomtest

        if not self.of:
            return 0.0, 1.0
        interval = binomtest(self.found, self.of).proportion_ci(0.95)
        return float(interval.low), float(interval.high)


class Confusion(NamedTuple):
    """What a verifier says of judged cases: (expected, found) → how many, and every difference."""

    counts: Mapping[tuple[Outcome, Outcome], int]
    errors: Sequence[Error]

    @property
    def missed(self) -> Share:
        """Right answers that the verifier does not call right: its false negatives."""
        right = [(found, count) for (expected, found), count in self.counts.items() if expected is Outcome.RIGHT]
        return Share(sum(count for found, count in right if found is not Outcome.RIGHT), sum(count for _, count in right))

    @property
    def let_through(self) -> Share:
        """Answers that the verifier calls right, and that are not: its false positives."""
        others = [(found, count) for (expected, found), count in self.counts.items() if expected is not Outcome.RIGHT]
        return Share(sum(count for found, count in others if found is Outcome.RIGHT), sum(count for _, count in others))


class Answer(NamedTuple):
    """A whole text, thinking and answer, to a problem with this gold answer."""

    reference: Reference
    text: str
    status: Status = Status.OK


def golden(path: Path) -> Iterator[Judged]:
    """The cases of a golden file, whose name is their kind: gold, text, expected, why.

    A gold answer is a value, a whole reference, or the name of one in the file of references beside it (`code_references.jsonl`).
    """
    named = path.with_name(f"{path.stem}_references.jsonl")
    rows = [json.loads(line) for _, line in read_lines(named)] if named.is_file() else []
    references = {row["name"]: row["reference"] for row in rows}
    for place, line in read_lines(path):
        try:
            row = json.loads(line)
            gold = row["gold"] if isinstance(row["gold"], dict) else references.get(row["gold"], {"kind": path.stem, "value": row["gold"]})
            yield Judged(reference=REFERENCE.validate_python(gold), text=row["text"], expected=Outcome(row["expected"]), why=row["why"])
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{place}: not a golden case: {error}; it needs gold, text, expected and why") from None


def confusions(cases: Iterable[Judged], *, workers: int, timeout_seconds: float) -> dict[str, Confusion]:
    """Kind → what its verifier says of the cases that people judged."""
    judged = [case for case in cases if case.expected is not None]
    texts = (TextCase(str(number), case.reference, case.text, Status.OK) for number, case in enumerate(judged))
    counts: dict[str, Counter[tuple[Outcome, Outcome]]] = {}
    errors: dict[str, list[Error]] = {}
    for verdict in judge_texts(texts, workers=workers, timeout_seconds=timeout_seconds):
        case = judged[int(verdict.trace_id)]
        assert case.expected is not None
        counts.setdefault(verdict.verifier, Counter())[case.expected, verdict.outcome] += 1
        own = errors.setdefault(verdict.verifier, [])
        if verdict.outcome is not case.expected:
            own.append(Error(case, verdict.outcome, verdict.detail))
    return {kind: Confusion(counts[kind], errors[kind]) for kind in sorted(counts)}


def disagreements(answers: Iterable[Answer], *, workers: int, timeout_seconds: float) -> list[Judged]:
    """The answers of which `number` and `math` do not say the same, for a person to judge, each once; first where one of them says right.

    Only gold answers that are plain numbers have both.
    """
    cases: dict[str, TextCase] = {}
    for number, answer in enumerate(answers):
        if isinstance(answer.reference, NumberReference | ExpressionReference) and read_quantity(answer.reference.value) is not None:
            for kind in (NumberReference, ExpressionReference):
                case = TextCase(f"{number}/{kind.__name__}", kind(value=answer.reference.value), answer.text, answer.status)
                cases[case.key] = case
    said: dict[str, dict[str, Outcome]] = {}
    for verdict in judge_texts(cases.values(), workers=workers, timeout_seconds=timeout_seconds):
        said.setdefault(verdict.trace_id.split("/")[0], {})[verdict.verifier] = verdict.outcome
    found: dict[str, tuple[bool, Judged]] = {}
    for key, outcomes in said.items():
        if len(set(outcomes.values())) > 1:
            case = cases[f"{key}/{NumberReference.__name__}"]
            judged = Judged(reference=case.reference, text=case.text, said={kind: own.value for kind, own in sorted(outcomes.items())})
            found[judged.key] = (Outcome.RIGHT not in outcomes.values(), judged)
    return [judged for _, judged in sorted(found.values(), key=lambda pair: (pair[0], pair[1].key))]
