"""Verifier of classifications: one label of a set, with further spellings in any language. Pure and of linear time.

Announcements are those of an answer, and "Verdict:", "I classify this as", JSON such as {"label": "unsafe"} or {"safe": false}, and the
like in other languages; where none of them states a label, one behind some other key ("Grade: B"). The longest spelling wins ("unsafe" is
not "safe"); a denied, graded ("mostly safe") or doubled label is none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from data.records import LabelReference
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.phrases import COLON, DRESS, PICTURES, RETRACTION
from data.verifiers.statements import LETTER, Grammar, Statement, final_statements
from data.verifiers.texts import HEDGE, grammar, settled, stated_or_whole, undressed

NAME = "label"
VERSION = "5"
INLINE = True
KEY = (
    r"(?:label|verdict|classification|veredicto|urteil|einstufung|étiquette|etiqueta|clasificación|classificação|etichetta|rótulo"
    r"|метка|вердикт)"
)
LOOSE_KEY = r"(?:category|rating|kategorie|catégorie|categoría|categoria|категория)"
"""Keys by which a text may also call something that is no label ("category S6", "the rating is 5 stars")."""
FURTHER = (
    r"(?:safety|decision|sentiment|stance|intent|topic|priority|severity|urgency|toxicity(?:\s+level)?|polarity|emotion|conclusion|result"
    r"|bewertung|ergebnis|entscheidung|klassifikation|klassifizierung|résultat|décision|resultado|decisión|decisão|esito|decisione|классификация"
    r"|решение|вывод|判断|结论|結論|분류|판정|결론|التصنيف|الحكم|القرار)"
)
"""Names of what is decided; other things go by them too, so that they count only where nothing else states a label."""
DENIED_LABEL = re.compile(r"(?:neither|weder|none of)\b", re.IGNORECASE)
NEVER = re.compile(r"(?!)")
NAMED = rf"[\"'](?:answer|{KEY})[\"']\s*:\s*(?:[\"'](?P<value>[^\"'\n]*)[\"']|(?P<bare>true|false)\b)"
"""A key of JSON, or of a dictionary as Python prints it, that names a label."""
FURTHER_GRAMMAR = grammar(
    rf"(?:^[ \t*_#>→-]*|\*\*)(?:(?:final|overall|revised)\s+)?{FURTHER}{DRESS}{COLON}",
    holding=rf"[\"']{FURTHER}[\"']\s*:\s*[\"'](?P<value>[^\"'\n]*)[\"']",
)
KEYED_LINE = re.compile(
    r"^[^\w\n{}\"']*(?P<key>[^\W\d_][\w'’ -]{0,30}?)[ \t*_]*[:：]\s{0,3}(?P<value>\S[^\n]{0,80}?)[ \t]*$"
    r"|^#{1,6}[ \t]+(?P<heading>[^\W\d_][\w'’ -]{0,30}?)[ \t]*\n\s{0,3}(?P<below>\S[^\n]{0,80}?)[ \t]*$"
    r"|[{,]\s*[\"'](?P<name>[\w -]{1,30})[\"']\s*:\s*[\"'](?P<string>[^\"'\n]{1,80})[\"']",
    re.MULTILINE,
)
"""Some key and its value, as a line, under a heading, or in JSON."""
NO_KEY = re.compile(
    r"\b(?:gold|ground|truth|target|reference|expected|correct|example|previous|old|initial|draft|first|second|runner|alternative|least|unlikely|opposite"
    r"|closest|default|rejected|possible|allowed|human|annotator|their|not|if|without|guess|impression|glance|hypothetical(?:ly)?|counterexample|model|definition"
    r"|wrong|false|incorrect|bad)\b"
    r"|\b(?:options?|labels|choices|input|prompt|document|content|text|sentence|word|keyword|title|quote|message|question|premise|hypothesis"
    r"|user|note|comment|reason(?:ing)?|explanation|analysis|rationale)\Z",
    re.IGNORECASE,
)
"""What is no key of the answer."""
YES_OR_NO = ("yes", "no", "true", "false")
OWN_SENTENCE = re.compile(r"(?:\A|[.!?\n])[\W_]*(?:yes|no|true|false)\b", re.IGNORECASE)
"""Behind a first yes or no: a second one, which is no "no" within a sentence."""
PLAIN_KEY = re.compile(
    r"(?:(?:my|final|overall)\s+)*(?:answer|grade|class|rating|decision|score|(?:harmful\s+)?(?:request|response))", re.IGNORECASE
)
"""By what a label goes that is a letter, or yes or no, with which many things may be said."""
TAKEN_BACK = re.compile(r"\W*(?:but|however|no|actually)\b", re.IGNORECASE)
GRADED = re.compile(
    r"\b(?:bordering|borderline|verging|leaning|mixed\s+with|mix\s+of|partly|somewhat)\b",
    re.IGNORECASE,
)
"""Behind a label that holds in part only."""
LEADING = re.compile(
    r"(?:(?:\(?[a-h1-9][.)](?=\s+\w{2})|a|an|the|clearly|definitely|eindeutig|clairement|claramente|chiaramente|явно)\s+)*", re.IGNORECASE
)
BEHIND = re.compile(
    r"\s*(?:\Z|[,:.](?!\d)|[;!(（，；：。！]|[–—-]\s|因为|因為"
    r"|\s(?:because|since|as|due to|given|for|under|according|weil|da|car|porque|perché|pois)\b)",
    re.IGNORECASE,
)
"""What may follow a label."""
BUT = re.compile(r"\s*[,;，；]?\s*(?:but|however|aber|mais|pero|ma|mas|но|但)\b", re.IGNORECASE)
FIRST = re.compile(
    r"[.!。！][*_]*\s+|\n+|(?<=[。！])|(?:(?<=\Ayes)|(?<=\Aja)|(?<=\Ano)|(?<=\Anein)|(?<=\Aoui)|(?<=\Anon)|(?<=\Así)),\s+(?!wait\b|but\b)",
    re.IGNORECASE,
)
"""Behind the first sentence, or a first yes or no."""
QUOTES = re.compile(r"\*\*|[\"“”„«»]")
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
    text = CODES.sub("", answer_text.rstrip())[-MAX_ANSWER_CHARACTERS:]
    own = _grammar(tuple(spelling for spelling, _ in spellings), _booleans(reference))
    stated = stated_or_whole(text, own, lambda whole: _first(spellings, whole) is not None)
    if any(_stated(reference, statement) for statement in stated):
        return stated
    others = final_statements(text, FURTHER_GRAMMAR)
    if not stated:
        return others or _keyed(spellings, text)
    return others if others and others[-1].start > stated[-1].start else stated


def gold_text(reference: LabelReference) -> str:
    """The gold label on a line of its own kind."""
    return f"Label: {reference.value}"


@lru_cache(maxsize=64)
def _grammar(spellings: tuple[str, ...], booleans: re.Pattern[str]) -> Grammar:
    """What states one of these labels. A loose key counts only with a label behind it; an object is one statement, whatever it holds."""
    names = "|".join(re.sub(r"(?:\\ )+", r"[\\s_-]+", re.escape(text)) for text in spellings)
    behind = rf"(?=[^\n.。]{{0,60}}?(?<![A-Za-z])(?:{names}|unclear|unsure|unknown|undecided))"
    return grammar(
        rf"(?<![\"'])\b(?:(?:final|overall|safety)\s+)?{KEY}\b{DRESS}(?:{COLON}|\s+(?:[—–-]|(?:is|ist|lautet|est|es|è|é)(?!\w){behind}))",
        rf"(?<![\"'])\b{LOOSE_KEY}\b{DRESS}(?:{COLON}|\s+(?:[—–-]|(?:is|ist|lautet|est|es|è|é)(?!\w))){behind}",
        rf"^[ \t]*#{{1,6}}[ \t]*(?:final[ \t]+)?(?:{KEY}|{LOOSE_KEY})[ \t]*\n",
        rf"(?:标签|標籤|分类|类别|ラベル|分類|判定){DRESS}(?:是|为|は|{COLON})",
        r"\bI(?:['’]d|\s+would)?\s+(?:classify|label|rate|categorize|categorise)\s+(?:this|it|the)\b[^.:\n?!]{0,60}?\s+as\b(?!\s+follows)",
        r"\b(?:is|are)\s+(?:therefore\s+|thus\s+)?classified\s+as\b",
        holding=rf"(?P<object>[{{}}][^{{}}]*{booleans.pattern}[^{{}}]*\}}?)|{NAMED}"
        rf"|[\"']{LOOSE_KEY}[\"']\s*:\s*[\"'](?P<other>{names})[\"']",
        denied=NEVER if "neither" in spellings else DENIED_LABEL,
    )


def _keyed(spellings: list[tuple[str, str]], text: str) -> list[Statement]:
    """The label behind a key of the first or the last line, if no other line has another one and nothing behind takes it back."""
    found: list[tuple[str, str, Statement]] = []
    for line in KEYED_LINE.finditer(text):
        key, value = line["key"] or line["heading"] or line["name"], line["value"] or line["below"] or line["string"]
        value = undressed(PICTURES.sub("", value))
        label = _first(spellings, value)
        if label is not None:
            found.append((key, label, Statement(value, *line.span())))
    if not found or NO_KEY.search(found[-1][0]):
        return []
    key, label, last = found[-1]
    if not PLAIN_KEY.fullmatch(key) and any(len(spelling) == 1 or spelling in YES_OR_NO for spelling, _ in spellings):
        return []
    is_outer = not text[: last.start].strip() or not LETTER.search(text, last.end) or text.lstrip().startswith(("{", "```"))
    is_left = RETRACTION.search(text, last.start) is None and TAKEN_BACK.match(text, last.end) is None
    return [last] if is_outer and is_left and all(own == label for _, own, _ in found) else []


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
    return re.compile(rf"[\"'](?:is_)?(?P<key>{keys})[\"']\s*:\s*(?P<truth>{values})\b", re.IGNORECASE)


def _stated(reference: LabelReference, statement: Statement) -> str | None:
    """The label that an object states, or that a statement begins with, if what follows it leaves it standing."""
    spellings = _spellings(reference)
    if booleans := list(_booleans(reference).finditer(statement.text)):
        named = {_only(spellings, found["value"] or found["bare"]) for found in re.finditer(NAMED, statement.text, re.IGNORECASE)}
        stated = ({_true(spellings, found) for found in booleans} | named) - {None}
        return stated.pop() if len(stated) == 1 else None
    text = _bare(statement.text)
    whole = _only(spellings, statement.text) or (_first(spellings, statement.text) if not statement.line else None)
    found = (whole, len(text)) if whole else _beginning(spellings, text)
    if found is None or BUT.match(text, found[1]) or GRADED.match(text[found[1] :].lstrip(" ,;")):
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
    if label is not None and plain(first).strip(". ") in YES_OR_NO:
        return None if OWN_SENTENCE.search(" ".join(rest)) else label
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
    text = QUOTES.sub("", text)
    joined = re.sub(r"(?<=[^\W\d_])[_-](?=[^\W\d_])", " ", unicodedata.normalize("NFKC", undressed(text)))
    return " ".join(joined.split()).casefold()
