r"""What a stated answer may mean to a scorer of reasoning-gym, most of which compare texts.

A grid stands in rows below its announcement. And one value has many spellings: `**1,237**`, `\frac{3}{8}`, `25 × 3`, `[4,8,15]`, `yes`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from data.verifiers.statements import Statement
from data.verifiers.texts import BECAUSE, COMMAND, undressed

MAX_READ_CHARACTERS = 4_000
UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
"""What reading a text as Python may raise."""
FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
ROWS = re.compile(r"[^\n]+(?:\n[ \t]*\S[^\n]*)*")
DRESS = re.compile(r"[*_ \t]*\Z")
GROUPED = re.compile(r"[-+]?\d{1,3}(?:(?:,|\{,\}|\\,|\s)\d{3})+(?:\.\d+)?")
GROUPING = re.compile(r"\{,\}|\\,|[,\s]")
TRUTHS = {"yes": "true", "no": "false", "true": "true", "false": "false"}
"""Words for truth and what they mean."""
FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
MARK = re.compile(r"(?:\d+[.)]|[-*•])[ \t]+")
"""Of a row in a list."""
MATRIX = re.compile(r"\\begin\{(?:[bpvBV]?matrix|array)\}(?:\{[lcr|]*\})?(?P<rows>.*?)\\end\{", re.DOTALL)
REMARK = re.compile(r"\s\((?!or\b)[^()]*\)\Z")
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}")
TURN = re.compile(r"\b(?:but|wait|sorry|actually|however|instead|wrong|incorrect|mistake|not (?:right|correct))\b", re.IGNORECASE)
"""What takes back what was said before it."""
CONCLUSION = re.compile(r"[\s,]*(?:no|so|hence|thus|therefore)\b", re.IGNORECASE)
"""What gives no reason, but goes on to another value."""
NAME = re.compile(r"\A[A-Za-z]\w?\s*=\s*(?=[^=]+\Z)")
FIRST = re.compile(r"(?P<word>[^\W\d_]+)\s*[,;:.!(–—]")
WORD = re.compile(r"[^\W_]+")
COMMA = re.compile(r"\s*,\s*")
FACTOR = re.compile(r"(?<=\d)[ ]?(?=[A-Za-z])")
"""Where a sign for times is left out."""
SIGNS = {"\\times": "×", "\\cdot": "·", "\\div": "÷", "−": "-"}
IN_PYTHON = {"×": "*", "·": "*", "÷": "/", "^": "**", "{": "(", "}": ")"}


def with_rows(statement: Statement, text: str, *, many: bool) -> Statement:
    """An announced statement of `text` with all that belongs to it: what a fence holds, the rows up to an empty line where the gold answer
    has `many` of them, else its whole line.
    """
    if not statement.line:  # it is held by a box or by tags
        return statement
    begin = text.rfind(statement.text, statement.start, statement.end)
    if fenced := FENCED.match(text, begin):
        return statement._replace(text=fenced[1], end=fenced.end(), line="")
    if not many:
        return statement._replace(line=text[begin:].partition("\n")[0])
    start_of_line = text.rfind("\n", statement.start, begin) + 1
    if start_of_line and DRESS.match(text[start_of_line:begin]):
        begin = start_of_line  # a row may begin with what looks like Markdown
    rows = ROWS.match(text, begin)
    return statement._replace(text=rows[0].rstrip(), end=rows.end(), line="") if rows else statement


def readings(statement: Statement, gold: str, *, is_formula: bool) -> Iterator[str]:
    """All texts that a statement may mean, the plainest first; `is_formula`: the scorer reads it as Python."""
    for said in filter(None, (statement.text, statement.line)):
        written = COMMAND.sub(r"\1", said).strip()
        for text in _as_rows(written, gold) if "\n" in written or MATRIX.search(written) else (*_without_remarks(said, gold), written):
            yield text
            yield from _respelled(text, gold)
            if is_formula:
                yield _in_python(text)


def _as_rows(text: str, gold: str) -> Iterator[str]:
    """A grid as it is, without indents, without the marks of a list, without a sentence below it, or out of LaTeX."""
    yield text
    if found := MATRIX.search(text):
        yield "\n".join(" ".join(row.replace("&", " ").split()) for row in found["rows"].split("\\\\") if row.strip())
    rows = [line.strip() for line in text.splitlines()]
    yield "\n".join(rows)
    if all(map(MARK.match, rows)):
        yield "\n".join(MARK.sub("", row) for row in rows)
    size = len(gold.strip().splitlines())
    if size < len(rows) and all(map(PROSE.search, rows[size:])):
        yield "\n".join(rows[:size])


def _without_remarks(said: str, gold: str) -> Iterator[str]:
    """A value in a line with and without what names or explains it: `x = 5`, `True because …`, `Yes, it is.`, `03:45 (in hours)`."""
    text = undressed(said)
    yield text
    reason = BECAUSE.search(text)
    if reason and not (TURN.search(text, reason.start()) or CONCLUSION.match(text, reason.start())):
        text = undressed(text[: reason.start()])
        yield text
    if gold.casefold() not in TRUTHS:
        if not TURN.search(text):
            yield undressed(REMARK.sub("", text))
        yield NAME.sub("", text)
    elif (found := FIRST.match(text)) and TRUTHS.keys().isdisjoint(WORD.findall(text[found.end() :].casefold())):
        yield found["word"]


def _respelled(text: str, gold: str) -> Iterator[str]:
    if GROUPED.fullmatch(text):
        yield GROUPING.sub("", text)
    if gold.endswith("."):
        yield f"{text}."
    if (truth := TRUTHS.get(gold.casefold())) and TRUTHS.get(text.casefold()) == truth:
        yield gold
    if " " in gold and "," not in gold:
        yield COMMA.sub(" ", text)
    yield _with_signs(text)
    if (listed := literal_list(text)) is not None:
        yield repr(listed)
        yield json.dumps(listed)


def _in_python(text: str) -> str:
    """A formula of LaTeX or of a schoolbook in Python's spelling."""
    spelled = _with_signs(text)
    for sign, plain in IN_PYTHON.items():
        spelled = spelled.replace(sign, plain)
    return FACTOR.sub("*", spelled)


def _with_signs(text: str) -> str:
    """`text` with signs for LaTeX's commands."""
    spelled = FRACTION.sub(_fraction, text)
    for command, sign in SIGNS.items():
        spelled = spelled.replace(command, sign)
    return spelled


def _fraction(found: re.Match[str]) -> str:
    over, under = (part.strip() for part in found.groups())
    return f"{over}/{under}" if over.isdigit() and under.isdigit() else f"(({over})/({under}))"


def literal_list(text: str) -> list[object] | None:
    """The list that a text is in Python or JSON; None where it is none."""
    if not text.startswith("[") or len(text) > MAX_READ_CHARACTERS:
        return None
    try:
        found = ast.literal_eval(text)
        json.dumps(found)
    except UNREADABLE:
        return None
    return found if isinstance(found, list) else None
