"""What the verifiers of texts (`choice`, `label`, `exact`) share: how an answer is announced, what is dress, how readings settle."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from data.records import Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.phrases import ANSWER, CORRECTED, DENIED, REASON, TEXT_LEAD
from data.verifiers.settling import settle
from data.verifiers.statements import Grammar, Statement, final_statements

MAX_WHOLE_CHARACTERS = 1000
MARKED = re.compile(r"^####[ \t]*(?=\S[^\n]*\s*\Z)", re.MULTILINE)
"""GSM8K's mark on the last line; elsewhere it is a heading."""
COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*\{([^{}]*)\}")
TEX = re.compile(r"\\([ %_&#${}])|\\[()\[\]]|\\(?:left|right)(?![A-Za-z])")
FENCE = re.compile(r"\A```[\w+-]*\n(.*?)\n?```\Z", re.DOTALL)
WRAPPED = re.compile(
    r"\A(?:\*\*(?P<a>(?:(?!\*\*).)+)\*\*|__(?P<b>.+)__|\*(?P<c>[^*]+)\*|`(?P<d>[^`]+)`|\$\$?(?P<e>[^$]+)\$\$?"
    r"|[\"“„«「](?P<f>.+)[\"”“»」]|['‘](?P<g>.+)['’])\Z",
    re.DOTALL,
)
LOOSE = re.compile(r"\A(?:\*+(?=[^*]*\Z)|\$+(?=[^$]*\Z)|`+(?=[^`]*\Z))|(?<![*])(?:(?<=[^\s*])\*\*|`+)\Z|\s\*{1,3}\Z")
"""A mark of which the other one stands outside of the value."""
BECAUSE = re.compile(rf",?\s+(?:{REASON}|due\s+to|given\s+that)\b|，\s*(?:因为|因為|所以|由于)|なので", re.IGNORECASE)
"""Where a reason begins, if a value is to be read without one."""
NOT = r"\s+(?:(?:and|und|et)\s+)?(?:not|nicht|pas|rather than|instead of|statt)\s|[,，]\s*(?:不是|而不是)"
CONTRAST = re.compile(rf",?{NOT}", re.IGNORECASE)
"""Before what the answer is not: "B, not A", "B not A"."""
CONTRAST_AFTER_COMMA = re.compile(rf",{NOT}", re.IGNORECASE)
"""The same for values that may hold a "not" of their own."""
HEDGE = re.compile(
    r"(?:most\s+)?(?:probably|likely|definitely|clearly|certainly|simply|wahrscheinlich|eindeutig|sicherlich|klar)\s+", re.IGNORECASE
)


def grammar(*phrases: str, holding: str | None = None, denied: re.Pattern[str] = DENIED) -> Grammar:
    """Announcements of an answer, and further ones; whatever stands behind them is stated, reasons and all."""
    announced = re.compile(rf"(?:{'|'.join((ANSWER, *phrases))}){TEXT_LEAD}", re.IGNORECASE | re.MULTILINE)
    return Grammar(announced, MARKED, bool, CORRECTED, denied, re.compile(holding, re.IGNORECASE) if holding else None)


def undressed(text: str) -> str:
    """`text` without Markdown, LaTeX's text commands, quotes around it, and a final full stop; spaces collapsed, Unicode composed."""
    text = unicodedata.normalize("NFC", text).strip()
    if fenced := FENCE.fullmatch(text):
        text = fenced[1].strip()
    while True:
        before = text
        text = TEX.sub(lambda found: found[1] or "", COMMAND.sub(r"\1", text)).strip()
        text = text.rstrip("。").strip()
        text = text[:-1].strip() if text.endswith(".") and not text.endswith("..") else text
        if wrapped := WRAPPED.fullmatch(text):
            text = next(part for part in wrapped.groups() if part is not None)
        text = LOOSE.sub("", text).strip()
        if text == before:
            return " ".join(text.split())


def stated_or_whole(answer_text: str, grammar: Grammar, is_value: Callable[[str], bool]) -> list[Statement]:
    """The final statements of an answer; where it has none and is short and nothing but a value, itself."""
    text = answer_text[-MAX_ANSWER_CHARACTERS:]
    finals = final_statements(text, grammar)
    whole = text.strip()
    if finals or not 0 < len(whole) <= MAX_WHOLE_CHARACTERS or not is_value(whole):
        return finals
    begin = text.index(whole)
    return [Statement(whole, begin, begin + len(whole))]


def settled(finals: list[tuple[Statement, str | None]], gold: str, what: str) -> Judgement:
    """Judge the values that were read from the final statements; None: one could not be read as `what`."""

    def verdict(_: Statement, value: str) -> Judgement:
        return Judgement(Outcome.RIGHT if value == gold else Outcome.WRONG, value, f"last statement, gold {gold}"[:300])

    return settle(finals, what, same=str.__eq__, judge=verdict)
