"""Verifier of classifications: one label of a set, with further spellings in any language. Pure and of linear time.

Announcements are those of an answer, and "Verdict:", "I classify this as", JSON such as {"label": "unsafe"} or {"safe": false}, and the
like in other languages. The longest spelling wins ("unsafe" is not "safe"); a denied, graded ("mostly safe") or doubled label is none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from data.records import LabelReference
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.phrases import COLON, DRESS
from data.verifiers.statements import Statement, final_statements
from data.verifiers.texts import HEDGE, grammar, settled, stated_or_whole, undressed

NAME = "label"
VERSION = "4"
INLINE = True
KEY = r"(?:label|verdict|classification|category|rating)"
FURTHER = (
    r"(?:safety|decision|sentiment|stance|intent|topic|priority|severity|urgency|toxicity(?:\s+level)?|polarity|emotion|conclusion|result"
    r"|bewertung|ergebnis|entscheidung|klassifikation|klassifizierung|résultat|décision|resultado|decisión|decisão|esito|decisione|классификация"
    r"|решение|вывод|判断|结论|結論|분류|판정|결론|التصنيف|الحكم|القرار)"
)
"""Names of what is decided; other things go by them too, so that they count only where nothing else states a label."""
GRAMMAR = grammar(
    rf"(?<![\"'])\b(?:(?:final|overall|safety)\s+)?{KEY}\b{DRESS}(?:{COLON}|\s+is\b)",
    rf"^[ \t]*#{{1,6}}[ \t]*(?:final[ \t]+)?{KEY}[ \t]*\n",
    rf"\b(?:urteil|einstufung|kategorie|étiquette|catégorie|etiqueta|categoría|clasificación|etichetta|categoria|rótulo|метка|вердикт|категория)\b"
    rf"{DRESS}(?:{COLON}|\s+[—–-]|\s+(?:ist|lautet|est|es|è|é)(?!\w))",
    rf"(?:标签|標籤|分类|类别|ラベル|分類|判定){DRESS}(?:是|为|は|{COLON})",
    r"\bI\s+(?:would\s+)?(?:classify|label|rate|categorize|categorise)\s+(?:this|it|the)\b[^.:\n?!]{0,60}?\s+as\b",
    r"\b(?:is|are)\s+(?:therefore\s+|thus\s+)?classified\s+as\b",
    denied=re.compile(r"(?:neither|weder|none of)\b", re.IGNORECASE),
)
NAMED = rf"[\"'](?:answer|{KEY})[\"']\s*:\s*[\"'](?P<value>[^\"'\n]*)[\"']"
FURTHER_GRAMMAR = grammar(
    rf"(?:^[ \t*_#>-]*|\*\*)(?:(?:final|overall)\s+)?{FURTHER}{DRESS}{COLON}",
    holding=rf"[\"']{FURTHER}[\"']\s*:\s*[\"'](?P<value>[^\"'\n]*)[\"']",
)
"""A key of JSON, or of a dictionary as Python prints it, that names a label."""
LEADING = re.compile(r"(?:(?:a|an|the|clearly|definitely|eindeutig|clairement|claramente|chiaramente|явно)\s+)*", re.IGNORECASE)
BEHIND = re.compile(
    r"\s*(?:\Z|[,:.](?!\d)|[;!(（，；：。！]|[–—-]\s|因为|因為"
    r"|\s(?:because|since|as|due to|given|for|under|according|weil|da|car|porque|perché|pois)\b)",
    re.IGNORECASE,
)
"""What may follow a label."""
BUT = re.compile(r"\s*[,;，；]?\s*(?:but|however|aber|mais|pero|ma|mas|но|但)\b", re.IGNORECASE)
FIRST = re.compile(r"[.!。！]\s+|\n+|(?<=[。！])")
WORD = re.compile(r"[^\W_]+")
PARTS = re.compile(r"[.,;:()，；。（）]")
OR = re.compile(r"\A\s*(?:or|oder|ou|o|или)\s+", re.IGNORECASE)
CODES = re.compile(r"\n[ \t]*[A-Z]\d{1,2}(?:,[ \t]*[A-Z]\d{1,2})*\Z")
"""The categories that guard models write under their verdict."""


def judge(reference: LabelReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking; the extracted answer is the label's name."""
    finals = statements(reference, answer_text)
    return settled([(statement, _stated(reference, statement)) for statement in finals], reference.value, "one of the labels")


def statements(reference: LabelReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer: its whole text where that is nothing but a label."""
    spellings = _spellings(reference)
    # An object is one statement, whatever it holds, so that a label that is true beside another one states nothing.
    holding = re.compile(rf"(?P<object>[{{}}][^{{}}]*{_booleans(reference).pattern}[^{{}}]*\}}?)|{NAMED}", re.IGNORECASE)
    text = CODES.sub("", answer_text.rstrip())
    stated = stated_or_whole(text, GRAMMAR._replace(holding=holding), lambda whole: _first(spellings, whole) is not None)
    return stated or final_statements(text[-MAX_ANSWER_CHARACTERS:], FURTHER_GRAMMAR)


def gold_text(reference: LabelReference) -> str:
    """The gold label on a line of its own kind."""
    return f"Label: {reference.value}"


def _spellings(reference: LabelReference) -> list[tuple[str, str]]:
    """(plain spelling, label), the longest first."""
    every = {(plain(spelling), label) for label, others in reference.labels.items() for spelling in (label, *others)}
    return sorted(every, key=lambda pair: (-len(pair[0]), pair))


def _booleans(reference: LabelReference) -> re.Pattern[str]:
    """A spelling as a key and its boolean. Of more than two labels one that is false leaves others, so that only true states one."""
    spellings = tuple(text for label, others in reference.labels.items() for text in (label, *others))
    return _boolean_keys(spellings, "true|false" if len(reference.labels) == 2 else "true")


@lru_cache(maxsize=64)
def _boolean_keys(spellings: tuple[str, ...], values: str) -> re.Pattern[str]:
    keys = "|".join(re.sub(r"(?:\\[ -]|_)+", r"[\\s_-]+", re.escape(text)) for text in sorted(spellings))
    return re.compile(rf"[\"'](?P<key>{keys})[\"']\s*:\s*(?P<truth>{values})\b", re.IGNORECASE)


def _stated(reference: LabelReference, statement: Statement) -> str | None:
    """The label that an object states, or that a statement begins with, if what follows it leaves it standing."""
    spellings = _spellings(reference)
    if booleans := list(_booleans(reference).finditer(statement.text)):
        named = {_only(spellings, found["value"]) for found in re.finditer(NAMED, statement.text, re.IGNORECASE)}
        stated = ({_true(spellings, found) for found in booleans} | named) - {None}
        return stated.pop() if len(stated) == 1 else None
    text = _bare(statement.text)
    whole = _only(spellings, statement.text) or (_first(spellings, statement.text) if not statement.line else None)
    found = (whole, len(text)) if whole else _beginning(spellings, text)
    if found is None or BUT.match(text, found[1]):
        return None
    second = _beginning(spellings, text[found[1] :].lstrip(" ,;/&+，；、"))
    others = [second[0] if second else None, *(_only(spellings, OR.sub("", part)) for part in PARTS.split(statement.line)[1:])]
    return found[0] if set(others) <= {None, found[0]} else None


def _true(spellings: list[tuple[str, str]], boolean: re.Match[str]) -> str | None:
    """The label of a key that is true, or of two labels the other one of a key that is false."""
    label = dict(spellings).get(plain(boolean["key"]))
    if label is None or boolean["truth"].lower() == "true":
        return label
    return next(other for _, other in spellings if other != label)


def _first(spellings: list[tuple[str, str]], text: str) -> str | None:
    """The label that is a text's first sentence, or all of it, where no other label is named behind it."""
    first, *rest = FIRST.split(text.strip(), maxsplit=1)
    label = _only(spellings, first)
    behind = " ".join(["", *WORD.findall(plain(" ".join(rest))), ""])
    return None if any(own != label and f" {spelling} " in behind for spelling, own in spellings) else label


def _beginning(spellings: list[tuple[str, str]], text: str) -> tuple[str, int] | None:
    """The label of the longest spelling that a text begins with, and where it ends."""
    fitting = ((label, len(spelling)) for spelling, label in spellings if text.startswith(spelling) and BEHIND.match(text, len(spelling)))
    return next(fitting, None)


def _only(spellings: list[tuple[str, str]], text: str) -> str | None:
    bare = _bare(text).strip("()[]!.* ")
    return next((label for spelling, label in spellings if spelling == bare), None)


def _bare(text: str) -> str:
    return LEADING.sub("", HEDGE.sub("", plain(text), count=1), count=1)


def plain(text: str) -> str:
    """How spellings are compared: without markup and case, hyphens and underscores between letters as spaces."""
    text = text.replace("**", "")
    joined = re.sub(r"(?<=[^\W\d_])[_-](?=[^\W\d_])", " ", unicodedata.normalize("NFKC", undressed(text)))
    return " ".join(joined.split()).casefold()
