"""A finding confirmed on problems that nobody has seen: `python -m pipeline.commands.confirm post_think`.

The lab makes fresh problems, of chains that occur in no other split. The named students of the last `dvc repro`, the long one and the
base answer them, greedily, with every seed; what comes out is written as `measures.json` is. Do it once: a second look is no confirmation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from data.errors import ParamsError, ShortcotError
from data.metrics.compare import Comparison
from data.records import Problem, Split
from data.sources import lab
from data.tables import disk_errors_named
from pipeline.evaluate import evaluate
from pipeline.support.findings import flat_comparison
from pipeline.support.params import Params, load
from pipeline.support.prepare_settings import LabSource
from pipeline.support.probes import compared, quiet
from pipeline.support.report_text import count, percent, points, ratio
from pipeline.support.stage import Statistics
from pipeline.support.student_settings import BASE
from pipeline.support.text_table import render

PROBLEMS, SEED = 1000, 20261124


def confirm(params: Params, students: Sequence[str], *, problems: int = PROBLEMS, seed: int = SEED) -> Comparison:
    """These students, the long one and the base on so many fresh problems of the lab. Raises ParamsError where there are none to make."""
    asked = dict.fromkeys([params.report.long, *students])
    if unknown := [name for name in asked if name not in params.writers]:
        raise ParamsError(f"{unknown} are no students of params.yaml that write; allowed: {sorted(params.writers)}")
    own = quiet(params, students={name: params.students[name] for name in asked})
    scores = evaluate(own, fresh_problems(params, problems, seed), statistics=Statistics("confirm"))
    return compared(params, scores, (params.report.long, BASE))


def fresh_problems(params: Params, problems: int, seed: int) -> list[Problem]:
    """Problems of the split that no run takes, asked like test problems."""
    source = params.prepare.source
    if not isinstance(source, LabSource):
        raise ParamsError(f"prepare.source.kind: {source.kind}; fresh problems can only be made by the lab's generator")
    made = lab.load(params.prepare.task, {Split.FRESH: problems}, seed=seed, max_steps=source.max_steps)
    return [problem.model_copy(update={"split": Split.TEST}) for problem in made]


def table(comparison: Comparison, long: str) -> str:
    """The students on the fresh problems, from few tokens to many."""
    rows = []
    for student in sorted(comparison.summary, key=lambda name: comparison.value(name, "tokens")):
        own, pair = comparison.summary[student], comparison.paired[long].get(student)
        against = [points(pair.difference), ratio(pair.token_ratio), pair.keeps.value] if pair else ["", "", ""]
        rows.append([student, percent(own["accuracy"]), count(own["tokens"]), *against])
    return render(("student", "accuracy", "tokens / question", f"- {long} (points)", f"tokens / {long}'s", "keeps accuracy?"), rows)


def _main(students: Sequence[str], problems: int, out: Path) -> None:
    params = load()
    comparison = confirm(params, students, problems=problems)
    with disk_errors_named(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(flat_comparison(comparison, long=params.report.long), indent=1) + "\n", encoding="utf-8")
    print(f"{comparison.problems} fresh problems, greedy; written to {out}\n{table(comparison, params.report.long)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("students", nargs="+", help="students of params.yaml")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="how many (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results/fresh.json"), help="where the numbers go (default: %(default)s)")
    asked = parser.parse_args()
    try:
        _main(asked.students, asked.problems, asked.out)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
