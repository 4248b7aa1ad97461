"""What every stage shares: one error line instead of a traceback, a progress bar, and statistics for the table at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from data.errors import ShortcotError
from pipeline.support.history import Run, instance_of, models_in, record

T = TypeVar("T")


@dataclass
class Statistics:
    """What one stage did; written beside the store when the stage ends well."""

    stage: str
    rows_in: int = 0
    rows_out: int = 0
    made_tokens: int = 0
    """Tokens that were generated now, not taken from the completion store; for a training, tokens trained now."""
    seconds_before: float = 0.0
    """What was spent on it before the stage began, by a command that worked ahead or a run that was killed in its last moment."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason → rows that went in and did not come out."""


def run_stage(name: str, body: Callable[[Statistics], None]) -> None:
    """Run a stage's body and write its statistics; a ShortcotError is printed as one clear message and exits with 1."""
    statistics, started = Statistics(name), time.monotonic()
    try:
        body(statistics)
    except ShortcotError as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    _write(statistics, time.monotonic() - started)


def _write(statistics: Statistics, seconds: float) -> None:
    run = Run(
        stage=statistics.stage,
        instance=instance_of(statistics.stage),
        seconds=round(seconds + statistics.seconds_before, 1),
        made_tokens=statistics.made_tokens,
        rows_in=statistics.rows_in,
        rows_out=statistics.rows_out,
        dropped=dict(sorted(statistics.dropped.items())),
        **models_in(),
    )
    record(run)


def progress(items: Iterable[T], *, label: str, total: int, unit: str = "row") -> Iterator[T]:
    """Pass items through under a progress bar with rate and remaining time."""
    from tqdm import tqdm

    yield from tqdm(items, desc=label, total=total, unit=unit, mininterval=1.0, dynamic_ncols=True)
