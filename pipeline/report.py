"""Stage `report`: from scores to tables, plots and metrics with intervals, the best short student, and the mirror in MLflow."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from data.chat import completion_ids
from data.dedup import Drop
from data.lineage import origin
from data.records import Drawn, Lesson, Problem, Recheck, Score, Split, Trace, Verdict
from data.tables import disk_errors_named, read_all, read_table
from pipeline.support import paths, report_plots
from pipeline.support.engines import tokenizer_of
from pipeline.support.findings import Findings, Tables, findings, flat, headline
from pipeline.support.params import PARAMS, Params, load
from pipeline.support.report_page import Shown, main_table, ordered, page
from pipeline.support.report_text import NONE, left_out, side_by_side, trained_rows, ways_of_shortening
from pipeline.support.stage import Statistics, run_stage
from pipeline.support.student_settings import ancestors
from pipeline.support.text_table import render
from pipeline.support.tracking import LOCK, Child, Execution, mirror
from students.job import Trained

EXAMPLES = 2


def report(tables: Tables, params: Params, curves: report_plots.Curves, *, folder: Path) -> Findings:
    """Tables and training curves → the folder of the report."""
    found = findings(tables, params)
    with disk_errors_named(folder):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "plots").mkdir(parents=True)
        metrics = flat(found, long=params.report.long)
        _write_json(folder / "metrics.json", headline(metrics))
        _write_json(folder / "measures.json", metrics)
        _write_json(folder / "best.json", found.choice.model_dump(mode="json"))
        shown = Shown(_examples(tables, found, params), _shortened(tables), left_out(tables.left_out), trained_rows(tables.trained_rows))
        (folder / "report.md").write_text(page(found, params.report, shown), encoding="utf-8")
        report_plots.write_csv(folder / "plots/pareto.csv", report_plots.pareto_rows(found.test), report_plots.PARETO_COLUMNS)
        report_plots.write_csv(folder / "plots/training.csv", report_plots.curve_rows(curves), report_plots.CURVE_COLUMNS)
        report_plots.draw_pareto(folder / "plots/pareto.png", found.test)
    return found


def _write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _examples(tables: Tables, found: Findings, params: Params) -> str:
    """The first test problems, whatever came of them: the long student beside the best short one (or the shortest one)."""
    short = found.choice.student or ordered(found.test, params.report.long)[-1]
    seeds = {params.report.long: params.seeds[0], short: found.choice.seed if found.choice.seed is not None else params.seeds[0]}
    columns = {
        student: {row.problem_id: row for row in tables.scores if (row.student, row.seed, row.mode) == (student, seed, "greedy")}
        for student, seed in seeds.items()
    }
    shown = [problem for problem in tables.problems if problem.split is Split.TEST][:EXAMPLES]
    return side_by_side(shown, columns)


def _shortened(tables: Tables) -> str:
    """What every compressor made of one problem: the first of those that most of them shortened."""
    made: dict[str, list[Trace]] = defaultdict(list)
    for trace in tables.short:
        made[trace.problem_id].append(trace)
    if not made:
        return NONE
    chosen = max(sorted(made), key=lambda problem_id: len({trace.writer for trace in made[problem_id]}))
    everything = {trace.id: trace for trace in (*tables.long, *tables.short)}
    long = {(root := origin(trace, everything)).id: root for trace in made[chosen]}
    problem = next(problem for problem in tables.problems if problem.id == chosen)
    shown = [*long.values(), *sorted(made[chosen], key=lambda trace: -trace.completion_tokens)]
    rechecks = {recheck.trace_id: recheck for recheck in tables.short_verdicts}
    return ways_of_shortening(problem, shown, rechecks, lambda text: tables.count_tokens(text) - 1)  # a thinking has no end token


def _tables(params: Params) -> Tables:
    lessons = {student: list(read_table(paths.lessons_of(student), Lesson)) for student in params.students}
    trained = _trained(params)
    return Tables(
        read_all(paths.PROBLEMS, Problem),
        list(read_table(paths.DROPS, Drop)),
        read_all(paths.SCORES, Score),
        read_all(paths.LONG_TRACES, Trace),
        read_all(paths.LONG_VERDICTS, Verdict),
        list(read_table(paths.SHORT_TRACES, Trace)),
        list(read_table(paths.SHORT_VERDICTS, Recheck)),
        read_all(paths.DRAWN, Drawn),
        lessons,
        _trained_tokens(params, trained),
        {student: own.examples for student, own in trained.items()},
        _counter(params),
    )


def _trained(params: Params) -> dict[str, Trained]:
    """What the first seed's training did; students whose model is not there are left out."""
    own = {student: Trained.read(paths.model_of(student, params.seeds[0])) for student in params.students}
    return {student: found for student, found in own.items() if found}


def _trained_tokens(params: Params, trained: Mapping[str, Trained]) -> dict[str, int]:
    """Tokens of a training, and of those that it goes on from."""
    tokens = {student: found.trained_tokens for student, found in trained.items()}
    chains = {student: [student, *ancestors(params.students, student)] for student in tokens}
    return {student: sum(tokens[name] for name in chain) for student, chain in chains.items() if tokens.keys() >= set(chain)}


def _counter(params: Params) -> Callable[[str], int]:
    tokenizer = tokenizer_of(params.distill.base)
    return lambda text: len(completion_ids(tokenizer, text))


def _execution(found: Findings, params: Params, curves: report_plots.Curves, *, folder: Path) -> Execution:
    measured = {
        **{(ranker, seed): {} for ranker in sorted(params.students.keys() - params.writers) for seed in params.seeds},
        **found.seeds,
    }
    children = [Child(student, seed, own, curves.get((student, seed), ())) for (student, seed), own in measured.items()]
    metrics = flat(found, long=params.report.long)
    return Execution(params.report.experiment, params.model_dump(mode="json", by_alias=True), metrics, children, (folder, PARAMS, LOCK))


def _body(statistics: Statistics) -> None:
    params = load()
    tables, curves = _tables(params), report_plots.read_curves(params.students, params.seeds)
    found = report(tables, params, curves, folder=paths.REPORT)
    statistics.rows_in, statistics.rows_out = len(tables.scores), len(found.test.summary)
    print(render(*main_table(found, params.report)))
    print(f"The whole report: {paths.REPORT / 'report.md'}")
    mirror(_execution(found, params, curves, folder=paths.REPORT))


if __name__ == "__main__":
    run_stage("report", _body)
