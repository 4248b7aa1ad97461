"""Tables of the README that name their results file say what it says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"<!-- (results/[\w.-]+\.json) -->\n((?:\|.*\n)+)")
TABLES = MARK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
COLUMNS = {
    "accuracy": ("accuracy", 100, "{:.1f}", " %"),
    "tokens per question": ("tokens", 1, "{:.1f}", ""),
    "− long, points": ("vs_long_difference", 100, "{:+.1f}", ""),
    "tokens ÷ long": ("vs_long_token_ratio", 1, "{:.2f}", ""),
    "data ÷ long": ("data_token_ratio", 1, "{:.2f}", ""),
}


def cells(line: str) -> list[str]:
    return [cell.strip().replace("**", "").replace("`", "") for cell in line.strip("|\n").split("|")]


def said(results: dict[str, float], student: str, column: str) -> str:
    name, scale, form, unit = COLUMNS[column]
    value = results.get(f"{student}.{name}")
    if value is None:
        return "–"
    bounds = [form.format(scale * results[key]) for end in ("low", "high") if (key := f"{student}.{name}_{end}") in results]
    return form.format(scale * value) + unit + (f" [{', '.join(bounds)}]" if bounds else "")


@pytest.mark.parametrize(("file", "table"), TABLES, ids=[file for file, _ in TABLES])
def test_a_table_of_results_says_what_was_measured(file: str, table: str) -> None:
    results = json.loads((ROOT / file).read_text(encoding="utf-8"))
    header, _, *rows = table.splitlines()
    assert set(cells(header)) <= {"student", "what it was taught", *COLUMNS}, "a column that nothing checks"
    for row in rows:
        values = dict(zip(cells(header), cells(row), strict=True))
        student = values["student"].split(" ")[0]
        shown = {column: values[column].replace("−", "-") for column in COLUMNS if column in values}
        assert shown == {column: said(results, student, column) for column in shown}, student


def test_there_are_such_tables() -> None:
    assert TABLES
