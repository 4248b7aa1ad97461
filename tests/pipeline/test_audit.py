from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import RecordError
from data.records import NumberReference, Outcome
from data.tables import read_all, write_table
from data.verifiers.audit import Judged
from pipeline.commands.audit import cases, keep, table, unjudged

GOLD = NumberReference(value="18")


def judged(text: str, expected: Outcome | None = None) -> Judged:
    return Judged(reference=GOLD, text=text, expected=expected)


def test_judgements_are_kept_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    asked, kept = tmp_path / "asked.jsonl", tmp_path / "kept.jsonl"
    write_table(asked, [judged("a", Outcome.RIGHT), judged("b"), judged("c", Outcome.WRONG)])
    assert keep(asked, kept) == 2
    write_table(asked, [judged("a", Outcome.UNPARSED), judged("b", Outcome.WRONG)])
    assert keep(asked, kept) == 1
    known = {case.text: case.expected for case in read_all(kept, Judged)}
    assert known == {"a": Outcome.UNPARSED, "b": Outcome.WRONG, "c": Outcome.WRONG}
    assert unjudged([judged("a"), judged("d")], read_all(kept, Judged)) == [judged("d")]
    assert {case.text for case in cases(tmp_path / "none", kept)} == {"a", "b", "c"}


def test_only_a_verdict_can_be_expected(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    write_table(asked, [judged("a", Outcome.TIMEOUT)])
    with pytest.raises(RecordError, match="allowed: right, wrong, unparsed"):
        keep(asked, tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()


def test_the_golden_cases_are_read_with_their_verifiers() -> None:
    found = list(cases(kept=Path("none")))
    kinds = {case.reference.kind for case in found}
    assert {"number", "math", "choice", "label", "exact"} <= kinds
    assert table({}).splitlines()[0].startswith("verifier")
