"""What a run will take, before anything is spent: `python -m pipeline.commands.plan [FILE]`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import ShortcotError
from pipeline.support.estimates import Estimate, estimates
from pipeline.support.history import all_runs
from pipeline.support.params import PARAMS, Params, load
from pipeline.support.text_table import duration, render, size

HEADER = ("stage", "tokens, at most", "tokens/s", "time", "disk", "rate")
NOTE = (
    "Upper bounds: no problem dropped, every answer as long as a long one, nothing in the completion store yet. "
    "The other stages take seconds to minutes."
)


def plan(params: Params, found: Sequence[Estimate]) -> str:
    """A table of `found` with its total, and the recipe's own words about cost."""
    rows = [_row(estimate) for estimate in found]
    tokens = sum(estimate.tokens for estimate in found)
    seconds = _total([estimate.seconds for estimate in found], duration)
    disk = _total([estimate.disk_bytes for estimate in found], size)
    rows.append(("all", f"{tokens:,}", "", seconds, disk, ""))
    lines = [render(HEADER, rows, left=(0, len(HEADER) - 1)), "", NOTE]
    if params.plan.cost:
        lines.append(f"The recipe says: {params.plan.cost} ({'measured' if params.plan.measured else 'not yet measured'}).")
    return "\n".join(lines)


def _row(estimate: Estimate) -> tuple[str, ...]:
    rate = estimate.rate.tokens_per_second
    seconds, disk = estimate.seconds, estimate.disk_bytes
    return (
        estimate.stage,
        f"{estimate.tokens:,}",
        "unknown" if rate is None else f"{rate:,.0f}",
        "unknown" if seconds is None else duration(seconds),
        "unknown" if disk is None else size(disk),
        estimate.rate.origin,
    )


def _total(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    """The sum; "over" where a part is unknown."""
    known = show(sum(value for value in values if value is not None))
    return known if None not in values else f"over {known}"


if __name__ == "__main__":
    try:
        settings = load(Path(sys.argv[1]) if len(sys.argv) > 1 else PARAMS)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(plan(settings, estimates(settings, all_runs())))
