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
    "− positives, points": ("vs_long_difference", 100, "{:+.1f}", ""),
    "tokens ÷ long": ("vs_long_token_ratio", 1, "{:.2f}", ""),
    "data ÷ long": ("data_token_ratio", 1, "{:.2f}", ""),
    "tokens trained": ("trained_tokens", 1e-6, "{:.2f}", " M"),
    "unfinished": ("unfinished", 100, "{:.1f}", " %"),
    "kept": ("kept", 1, "{:.2f}", ""),
    "survived": ("survival", 100, "{:.0f}", " %"),
    "gain": ("gain", 100, "{:+.1f}", ""),
}
NAMED = re.compile(r"\(named (\w+)")
UNCHECKED = ("what it was taught", "its thinking")
"""How columns begin that are words, not numbers."""


def named(row: dict[str, str]) -> str:
    """What the results call the student or compressor of a row."""
    own = row.get("student") or row["compressor"]
    name = found[1] if (found := NAMED.search(own)) else own.split(" ")[0]
    return name if "student" in row else f"compressor_{name}"


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
    unchecked = [name for name in cells(header)[1:] if not name.startswith(UNCHECKED)]
    assert set(unchecked) <= set(COLUMNS), "a column that nothing checks"
    for row in rows:
        values = dict(zip(cells(header), cells(row), strict=True))
        student = named(values)
        shown = {column: values[column].replace("−", "-") for column in COLUMNS if column in values}
        assert shown == {column: said(results, student, column) for column in shown}, student


def test_there_are_such_tables() -> None:
    assert TABLES
