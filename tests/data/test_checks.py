import logging

import pytest

from data.checks import error, info, settle, summed, warning
from data.errors import PreflightError


def test_all_errors_are_raised_together_and_warnings_are_logged_once(caplog):
    findings = [error("a.b", "1 found", "make it 2"), warning("odd place", "odd", "look"), info("c", "not seen", "-"), error("d", "x", "y")]
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with pytest.raises(PreflightError) as refusal:
                settle(findings)
    assert str(refusal.value) == "2 things to put right first:\n  a.b: 1 found; make it 2\n  d: x; y"
    assert [record.getMessage() for record in caplog.records] == ["odd place: odd; look"]
    settle(findings[1:3])


def test_only_the_first_of_several_processes_warns(caplog, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    settle([warning("place of rank 1", "odd", "look")])
    assert not caplog.records


def test_findings_with_one_fix_are_one_with_their_number():
    findings = [error(f"trace t{n}", f"{n} tokens", "shorten it") for n in range(3)] + [warning("trace t3", "3 tokens", "shorten it")]
    assert [str(finding) for finding in summed(findings)] == [
        "trace t0 (and 2 more): 0 tokens; shorten it",
        "trace t3: 3 tokens; shorten it",
    ]
