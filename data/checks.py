"""What a check finds before anything expensive starts: how bad it is, where, what was found, and the fix.

Checks are functions that yield findings and refuse nothing themselves, so that a stage and `make doctor` share them. `settle` is where a
stage refuses, with all errors at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from data.errors import PreflightError

_LOG = logging.getLogger(__name__)


class Severity(StrEnum):
    """`error`: it cannot work, or would go wrong silently; `warning`: it may; `info`: something that could not be looked at."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(NamedTuple):
    """One thing that a check found; `place` is a key of params.yaml, a file, or a trace."""

    severity: Severity
    place: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found}; {self.fix}"


def error(place: str, found: str, fix: str) -> Finding:
    """Something that must be put right first."""
    return Finding(Severity.ERROR, place, found, fix)


def warning(place: str, found: str, fix: str) -> Finding:
    """Something to know before much is spent."""
    return Finding(Severity.WARNING, place, found, fix)


def info(place: str, found: str, fix: str) -> Finding:
    """Something that could not be looked at."""
    return Finding(Severity.INFO, place, found, fix)


def summed(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings that have the same fix the first, with the number of the others: one line for a trap and not one for each trace."""
    alike: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.severity, finding.fix), []).append(finding)
    return [first._replace(place=f"{first.place} (and {len(others)} more)") if others else first for first, *others in alike.values()]


def settle(findings: Iterable[Finding]) -> None:
    """Log every warning once. Raises PreflightError with all errors, where there are any."""
    known = list(dict.fromkeys(findings))
    for finding in known:
        if finding.severity is Severity.WARNING and os.environ.get("RANK", "0") == "0":  # one of several processes speaks for all
            _warn(str(finding))
    errors = [str(finding) for finding in known if finding.severity is Severity.ERROR]
    if len(errors) == 1:
        raise PreflightError(errors[0])
    if errors:
        raise PreflightError(f"{len(errors)} things to put right first:\n" + "\n".join(f"  {text}" for text in errors))


@cache
def _warn(text: str) -> None:
    """Cached, so that it is said once by a process that trains several seeds."""
    _LOG.warning(text)
