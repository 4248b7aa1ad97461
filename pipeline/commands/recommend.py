"""Which short is right for this student? Small trainings of compressors and mixes, compared on validation problems alone.

It stands beside the graph: it reads the traces that the last `dvc repro` verified, trains probes on a share of the problems, and writes
a params file with the recommended student, a plot and a table to .shortcot/recommend. A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from data.errors import ParamsError, ShortcotError
from data.metrics.choose import Choice, choose
from data.metrics.compare import Comparison
from data.records import TEACHER, Split
from data.tables import disk_errors_named
from pipeline.code import check_current
from pipeline.commands.params import resolved
from pipeline.compose import Tables, compose, read_tables
from pipeline.support import paths, report_plots
from pipeline.support.findings import candidates
from pipeline.support.params import Params, load
from pipeline.support.probes import compared, on_validation, quiet, train_probes
from pipeline.support.report_text import count, percent, points, ratio
from pipeline.support.student_settings import BASE, Student
from pipeline.support.text_table import render
from teachers.compressors.settings import of_wrong

LONG = "long"


class Options(NamedTuple):
    """How much is tried: share of the training problems, number of seeds, shares of long lessons in a mix; trainings at a time."""

    share: float = 0.34
    seeds: int = 3
    long_shares: tuple[float, ...] = (0.0, 0.2)
    jobs: int = 1


class Recommendation(NamedTuple):
    """What was found, and the settings that follow from it."""

    comparison: Comparison
    choice: Choice
    params: Params


def recommend(params: Params, tables: Tables, options: Options, folder: Path) -> Recommendation:
    """Train and compare probes under `folder`. Raises ParamsError where there is nothing to choose from, or nothing was learnt."""
    probes = _probes(params, options)
    lessons = compose(probes, _part(tables, options.share))
    models, _ = train_probes(probes, lessons, folder, jobs=options.jobs)
    scores = on_validation(probes, tables.problems, models, command="recommend")
    comparison = compared(probes, scores, (LONG, BASE))
    _check_learnt(comparison)
    choice = choose(comparison, scores, baseline=LONG, candidates=candidates(probes), margin=params.report.margin)
    return Recommendation(comparison, choice, _settings(params, probes, choice))


def _check_learnt(comparison: Comparison) -> None:
    """Probes that learnt nothing say nothing of compressors: even the long one must surely be better than the base."""
    gain = comparison.paired[BASE][LONG].difference
    if gain.low is None or gain.low <= 0:
        raise ParamsError(
            f"the long probe is {points(gain)} points above the untrained base on {comparison.problems} validation problems, so the probes "
            "are too small to tell compressors apart; raise --share, or distill.training.epochs"
        )


def _settings(params: Params, probes: Params, choice: Choice) -> Params:
    """The params with the chosen student in them, and with it alone to be handed off."""
    assert choice.student is not None
    students = {**params.students, choice.student: probes.students[choice.student]}
    handoff = params.handoff.model_copy(update={"candidates": [choice.student]})
    try:
        return Params.model_validate(params.model_copy(update={"students": students, "handoff": handoff}).model_dump(by_alias=True))
    except ValueError as error:
        raise ParamsError(f"the recommended student {choice.student!r} does not fit beside the others of params.yaml: {error}") from None


def _probes(params: Params, options: Options) -> Params:
    """The params with a student for every compressor (no controls) and mix, and the long one."""
    if not 0 < options.share <= 1 or options.seeds < 1 or not all(0 <= long < 1 for long in options.long_shares):
        raise ParamsError(f"{options}: allowed are a share in (0, 1], at least one seed, and long shares in [0, 1)")
    left_out = of_wrong(params.shorten)
    compressors = [name for name, settings in params.shorten.items() if not settings.control and name not in left_out]
    if not compressors:
        raise ParamsError("shorten: names no compressor but controls, so there is nothing to choose from; add one")
    students = {LONG: _student({TEACHER: 1.0})}
    for name in compressors:
        students |= {_name(name, long): _student({name: 1 - long} | ({TEACHER: long} if long else {})) for long in options.long_shares}
    report = params.report.model_copy(update={"long": LONG})
    handoff = params.handoff.model_copy(update={"candidates": None})  # those are students of the run, not probes
    return quiet(params, students=students, seeds=list(range(options.seeds)), report=report, handoff=handoff)


def _name(compressor: str, long: float) -> str:
    return f"{compressor}_long{round(100 * long)}" if long else compressor


def _student(lessons: Mapping[str, float]) -> Student:
    return Student.model_validate({"from": "base", "lessons": lessons})


def _part(tables: Tables, share: float) -> Tables:
    """The tables of a share of the training problems, chosen by id."""
    training = sorted(problem.id for problem in tables.problems if problem.split is Split.TRAIN)
    left_out = set(training[max(1, round(share * len(training))) :])
    long, short = ([trace for trace in traces if trace.problem_id not in left_out] for traces in (tables.long, tables.short))
    ids = {trace.id for trace in (*long, *short)}
    return Tables(
        [problem for problem in tables.problems if problem.id not in left_out],
        long,
        [verdict for verdict in tables.long_verdicts if verdict.trace_id in ids],
        short,
        [recheck for recheck in tables.short_verdicts if recheck.trace_id in ids],
    )


def table(found: Recommendation) -> tuple[list[str], list[list[str]]]:
    """The probes on the validation problems, from few tokens to many."""
    header = ["probe", "accuracy", "tokens / question", "- long (points)", "tokens / long's", "within the margin?"]
    within = {row.student: "yes" if row.within_margin else "no" for row in found.choice.candidates}
    pairs = found.comparison.paired[LONG]
    rows = []
    for student in sorted(found.comparison.summary, key=lambda name: found.comparison.value(name, "tokens")):
        own, pair = found.comparison.summary[student], pairs.get(student)
        compared = [points(pair.difference), ratio(pair.token_ratio)] if pair else ["", ""]
        rows.append([student, percent(own["accuracy"]), count(own["tokens"]), *compared, within.get(student, "")])
    return header, rows


def reason(found: Recommendation, options: Options) -> str:
    """Why this student, in one paragraph."""
    best = str(found.choice.student)
    pair = found.comparison.paired[LONG][best]
    margin = "" if found.choice.within_margin else " None was within the margin; this one is the most accurate."
    return (
        f"{best}: {points(pair.difference)} points against the long student at {ratio(pair.token_ratio)} of its tokens, on "
        f"{found.comparison.problems} validation problems; probes of {options.share:.0%} of the training problems, {options.seeds} seeds, "
        f"95 % intervals over problems. Of the probes within {found.choice.margin:g} of the long one's accuracy it writes the fewest "
        f"tokens.{margin}"
    )


def _write(found: Recommendation, options: Options, folder: Path) -> Path:
    with disk_errors_named(folder):
        report_plots.draw_pareto(folder / "pareto.png", found.comparison, problems="validation problems")
        path = folder / "params.yaml"
        said = "\n".join(f"# {line}" for line in textwrap.wrap(reason(found, options), 120))
        path.write_text(f"{said}\n{resolved(found.params)}", encoding="utf-8")
    return path


def _main(options: Options) -> None:
    params, folder = load(), paths.workspace() / "recommend"
    check_current(params)
    tables = read_tables()
    found = recommend(params, tables, options, folder)
    path = _write(found, options, folder)
    print(render(*table(found)))
    print(f"{reason(found, options)}\nPlot: {folder / 'pareto.png'}. Settings: make repro PARAMS={path}")


if __name__ == "__main__":
    default = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=default.share, help="of the training problems (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=default.seeds, help="trainings of every probe (default: %(default)s)")
    parser.add_argument("--long-shares", type=float, nargs="+", default=default.long_shares, help="of the mixes (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=default.jobs, help="trainings at a time (default: %(default)s)")
    asked = parser.parse_args()
    try:
        _main(Options(asked.share, asked.seeds, tuple(asked.long_shares), asked.jobs))
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
