"""What every stage did when it last ran on this machine: `python -m pipeline.commands.table`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.support.history import Run, last
from pipeline.support.params import Params, load
from pipeline.support.text_table import duration, render

HEADER = ("stage", "time", "tokens made", "tokens/s", "rows in", "rows out", "rows dropped by reason")


def table(graph: Mapping[str, Any], params: Params) -> str:
    """One line per stage of the graph (dvc.yaml's `stages`), and the whole run's time."""
    runs = [(name, last(name)) for stage in graph for name in instances(stage, graph[stage], params)]
    rows = [_row(name, run) for name, run in runs]
    known = [run for _, run in runs if run]
    rows.append(("all", duration(sum(run.seconds for run in known)), _count(sum(run.made_tokens for run in known)), "", "", "", ""))
    return render(HEADER, rows, left=(0, len(HEADER) - 1))


def instances(stage: str, definition: Mapping[str, Any], params: Params) -> list[str]:
    """The stage's name, or one name per student."""
    return [f"{stage}@{student}" for student in params.students] if "foreach" in definition else [stage]


def _row(name: str, run: Run | None) -> tuple[str, ...]:
    if run is None:
        return name, "not yet", "", "", "", "", ""
    dropped = ", ".join(f"{reason} {count:,}" for reason, count in sorted(run.dropped.items(), key=lambda item: -item[1]))
    rate = f"{run.tokens_per_second:,.0f}" if run.made_tokens else ""
    return name, duration(run.seconds), _count(run.made_tokens), rate, _count(run.rows_in), _count(run.rows_out), dropped


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


if __name__ == "__main__":
    print(table(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"], load()))
