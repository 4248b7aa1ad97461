"""Numbers, tables and texts as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from data.chat import split
from data.dedup import Drop
from data.metrics.bootstrap import Estimate
from data.records import Problem, Recheck, Score, Trace
from students.examples import Example

NONE = "–"
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Header and rows."""
SHOWN = 5
"""Problems that are shown of those left out for one reason."""


def percent(estimate: Estimate) -> str:
    """`71.2 % [68.4, 73.9]`."""
    return _interval(estimate, lambda value: f"{100 * value:.1f}", unit=" %")


def points(estimate: Estimate) -> str:
    """A difference in percentage points, with its sign."""
    return _interval(estimate, lambda value: f"{100 * value + 0.0:+.1f}")


def count(estimate: Estimate) -> str:
    """Tokens."""
    return _interval(estimate, lambda value: f"{value:.1f}")


def ratio(estimate: Estimate) -> str:
    """A ratio of tokens."""
    return _interval(estimate, lambda value: f"{value:.2f}")


def _interval(estimate: Estimate, write: Callable[[float], str], *, unit: str = "") -> str:
    if estimate.value is None:
        return NONE
    low, high = (NONE if bound is None else write(bound) for bound in (estimate.low, estimate.high))
    return f"{write(estimate.value)}{unit} [{low}, {high}]"


def p_value(p: float, resamples: int) -> str:
    """A p-value, or a bound where it is smaller than 0.001 or than so many permutations can tell."""
    least = max(1 / resamples, 0.001)
    return f"< {least:.1g}" if p < least or p <= 1.0001 / (resamples + 1) else f"{p:.3f}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent."""
    return f"{100 * part / whole:.1f} %" if whole else NONE


def plain(value: float | None) -> str:
    """A ratio without interval."""
    return NONE if value is None else f"{value:.2f}"


def markdown(table: Table) -> str:
    """An aligned table of Markdown."""
    header, rows = table
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [_line(header, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(row: Sequence[str], widths: Iterable[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def side_by_side(problems: Iterable[Problem], columns: Mapping[str, Mapping[str, Score]]) -> str:
    """What students wrote to `problems`: column title → problem → score."""
    blocks = []
    for problem in problems:
        shown = [(title, rows[problem.id]) for title, rows in columns.items()]
        header = [f"{title}: {s.outcome.value}, {s.thinking_tokens + s.answer_tokens} tokens" for title, s in shown]
        table = markdown((header, [[_cell(s.text) for _, s in shown]]))
        blocks.append(f"**{_cell(problem.question)}** (gold answer: {_cell(problem.reference.value)})\n\n{table}")
    return "\n\n".join(blocks)


def ways_of_shortening(problem: Problem, traces: Iterable[Trace], rechecks: Mapping[str, Recheck], tokens: Callable[[str], int]) -> str:
    """The thinkings of one problem's traces under each other, with their tokens and what re-verification said (by trace)."""
    header = ("written by", "tokens", "survived?", "thinking")
    rows = []
    for trace in traces:
        thinking = split(trace.text).thinking
        said = rechecks.get(trace.id)
        survived = NONE if said is None else f"{'yes' if said.survives else 'no'}: {said.reason}"
        rows.append([trace.writer, str(tokens(thinking)), survived, _cell(thinking)])
    return f"**{_cell(problem.question)}** (gold answer: {_cell(problem.reference.value)})\n\n{markdown((header, rows))}"


def left_out(drops: Sequence[Drop]) -> str:
    """Why problems were left out, and the first of every reason beside what they match; no text where none was."""
    reasons = Counter(drop.reason for drop in drops)
    shown = [drop for reason in sorted(reasons) for drop in [own for own in drops if own.reason == reason][:SHOWN]]
    if not shown:
        return ""
    counts = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
    rows = [[drop.reason, _at(drop.question, drop.place), _at(drop.match, drop.match_place), _cell(drop.detail, 300)] for drop in shown]
    table = markdown((("why", "problem", "what it matches", "how"), rows))
    return f"Of the source's problems {len(drops)} were left out: {counts}. The first of each:\n\n{table}"


def _at(question: str, place: str) -> str:
    """A question and where its source holds it."""
    return f"{_cell(question, 300)}{f' ({_cell(place)})' if place else ''}"


def trained_rows(rows: Mapping[str, Iterable[Example]]) -> str:
    """What students read in training, by student: of every row shown what is only read apart from what is supervised."""
    return "\n\n".join(_trained_row(student, row) for student, own in rows.items() for row in own)


def _trained_row(student: str, row: Example) -> str:
    kind = "a wrong row" if row.wrong else "a row"
    counted = f"{row.tokens} tokens, {row.learnt_tokens} of them supervised ({share(row.learnt_tokens, row.tokens)})"
    runs = [f"{'Supervised' if run.learnt else 'Read'}, {run.tokens} tokens:\n\n{_fenced(run.text)}" for run in row.runs]
    return "\n\n".join([f"**`{student}`**, {kind} (trace `{row.trace_id}`): {counted}.", *runs])


def _fenced(text: str, *, ends: int = 750) -> str:
    """A block of code that shows a text as it is, of a long one both ends."""
    cut = text if len(text) <= 2 * ends else f"{text[:ends]} … ({len(text) - 2 * ends} more characters) … {text[-ends:]}"
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", cut)), default=0))
    return f"{fence}text\n{cut}\n{fence}"


def _cell(text: str, longest: int = 1500) -> str:
    cut = text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest} more characters)"
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", "<br>")):
        cut = cut.replace(sign, safe)
    return cut
