"""Plots of a report: CSV files for `dvc plots`, and the Pareto picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import RecordError
from data.metrics.bootstrap import Estimate
from data.metrics.compare import Comparison
from data.metrics.control import Prediction
from pipeline.support.paths import model_of
from students.curve import CURVE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARETO_COLUMNS = ("student", "accuracy", "low", "high", "tokens", "tokens_low", "tokens_high", "tokens_per_right", "unfinished")
CURVE_COLUMNS = ("student", "seed", "step", "loss")
Curves = dict[tuple[str, int], list[dict[str, float]]]
"""Student and seed → rows of its training curve, each with a `step`."""


def pareto_rows(test: Comparison) -> list[dict[str, str | float | None]]:
    """Accuracy against mean tokens, with the bounds of both, from few tokens to many."""
    rows = []
    for student, own in test.summary.items():
        accuracy, tokens = own["accuracy"], own["tokens"]
        values = (*accuracy, *tokens, own["tokens_per_right"].value, own["unfinished"].value)
        rounded = [None if value is None else round(value, 6) for value in values]
        rows.append(dict(zip(PARETO_COLUMNS, (student, *rounded), strict=True)))
    return sorted(rows, key=lambda row: (row["tokens"] or 0, row["student"]))


def read_curves(students: Iterable[str], seeds: Sequence[int]) -> Curves:
    """The training curves that lie beside the models. Raises RecordError where a line is no row of numbers."""
    files = {(student, seed): model_of(student, seed) / CURVE for student in students for seed in seeds}
    return {key: _read_curve(path) for key, path in sorted(files.items()) if path.is_file()}


def _read_curve(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as lines:
        try:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
        except (TypeError, ValueError) as error:
            raise RecordError(f"{path}: {error}; every column of a training curve is a number. Train again: `dvc repro`") from None


def curve_rows(curves: Curves) -> list[dict[str, str | float]]:
    """The points of all curves that have a loss, as one table."""
    return [{"student": student, "seed": seed, **row} for (student, seed), rows in curves.items() for row in rows if "loss" in row]


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Write rows under `columns` and all others that any row has."""
    columns = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw_pareto(path: Path, test: Comparison, *, problems: str = "test problems") -> None:
    """Accuracy against mean tokens with 95 % error bars, one colour per student, as PNG."""
    figure, axes = _empty()
    for number, student in enumerate(str(row["student"]) for row in pareto_rows(test)):
        _draw_student(axes, test, student, number)
    axes.set_xlabel("mean tokens per question (thinking + answer)")
    axes.set_ylabel("accuracy, %")
    axes.set_title(f"{test.problems} {problems}, greedy; bars: 95 % intervals", fontsize=10)
    axes.set_xlim(left=0)
    _save(figure, axes, path, legend="student")


def draw_risk(path: Path, predictions: Sequence[Prediction]) -> None:
    """What ESC is expected to cost and to change, a line for each window and a point for each most draws, as PNG."""
    figure, axes = _empty()
    for window in sorted({found.window for found in predictions}):
        own = sorted((found for found in predictions if found.window == window), key=lambda found: found.most)
        axes.plot([found.draws for found in own], [100 * found.changed for found in own], marker="o", label=str(window))
        for found in own:
            axes.annotate(str(found.most), (found.draws, 100 * found.changed), textcoords="offset points", xytext=(4, 4), fontsize=8)
    axes.set_xlabel("draws expected per problem (beside the points: the most that are allowed)")
    axes.set_ylabel("answers changed, at most, %")
    _save(figure, axes, path, legend="window")


def _empty() -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Figure, axes: Axes, path: Path, *, legend: str) -> None:
    axes.grid(alpha=0.3)
    axes.legend(title=legend, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    # Without the version of matplotlib in it, equal numbers are an equal file.
    figure.savefig(path, metadata={"Software": None})


def _draw_student(axes: Axes, test: Comparison, student: str, number: int) -> None:
    own = test.summary[student]
    x, x_bars = _bars(own["tokens"], 1)
    y, y_bars = _bars(own["accuracy"], 100)
    axes.errorbar(x, y, xerr=x_bars, yerr=y_bars, fmt="osD^vP*X"[number % 8], color=f"C{number % 10}", capsize=3, label=student)


def _bars(estimate: Estimate, scale: float) -> tuple[float, list[list[float]]]:
    """A point and its distances to both bounds; a bound on the wrong side of the point (few, skewed values) is drawn at the point."""
    value, low, high = (scale * (number or 0.0) for number in estimate)
    return value, [[max(0.0, value - low)], [max(0.0, high - value)]]
